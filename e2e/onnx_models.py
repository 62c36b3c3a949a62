"""Small ONNX models that stories bring along, built from the ONNX standard itself."""

from onnx import TensorProto, checker, helper


def linear(weights: list[float], bias: float = 0.0) -> bytes:
    """score = x · weights + bias: input `x` FP32 [-1, n], output `score` FP32 [-1, 1]."""
    count = len(weights)
    graph = helper.make_graph(
        [helper.make_node("Gemm", ["x", "w", "b"], ["score"])],
        "linear",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["rows", count])],
        [helper.make_tensor_value_info("score", TensorProto.FLOAT, ["rows", 1])],
        [
            helper.make_tensor("w", TensorProto.FLOAT, [count, 1], weights),
            helper.make_tensor("b", TensorProto.FLOAT, [1], [bias]),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    checker.check_model(model)
    content: bytes = model.SerializeToString()
    return content
