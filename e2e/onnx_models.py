"""Small ONNX models that stories bring along, built from the ONNX standard itself."""

import math

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


def network(inputs: int = 32, hidden: int = 64) -> bytes:
    """Two products of matrices with a ReLU between them: input `x` FP32 [-1, inputs], output `score` FP32 [-1, 1]."""
    shapes = ((inputs, hidden), (hidden, 1))
    # Any weights will do, as long as they are the same each time and not all alike.
    weights = [[math.sin(1 + each * 7.7) / 6 for each in range(rows * columns)] for rows, columns in shapes]
    nodes = [
        helper.make_node("MatMul", ["x", "w0"], ["h"]),
        helper.make_node("Relu", ["h"], ["r"]),
        helper.make_node("MatMul", ["r", "w1"], ["score"]),
    ]
    graph = helper.make_graph(
        nodes,
        "network",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["rows", inputs])],
        [helper.make_tensor_value_info("score", TensorProto.FLOAT, ["rows", 1])],
        [
            helper.make_tensor(f"w{number}", TensorProto.FLOAT, shape, values)
            for number, (shape, values) in enumerate(zip(shapes, weights, strict=True))
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    checker.check_model(model)
    content: bytes = model.SerializeToString()
    return content
