"""Small ONNX models that end-to-end tests bring along, built from the ONNX standard itself."""

import math

from onnx import NodeProto, TensorProto, checker, helper


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


def columns(weights: dict[str, float]) -> bytes:
    """prediction = the weighted sum of columns: an input FP32 [-1, 1] for each, output `prediction` FP32 [-1, 1]."""
    names = list(weights)
    graph = helper.make_graph(
        [
            helper.make_node("Concat", names, ["x"], axis=1),
            helper.make_node("MatMul", ["x", "w"], ["prediction"]),
        ],
        "columns",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["rows", 1]) for name in names],
        [helper.make_tensor_value_info("prediction", TensorProto.FLOAT, ["rows", 1])],
        [helper.make_tensor("w", TensorProto.FLOAT, [len(names), 1], list(weights.values()))],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    checker.check_model(model)
    content: bytes = model.SerializeToString()
    return content


def classifier(weights: dict[str, float], bias: float) -> bytes:
    """Two classes: an input FP32 [-1, 1] for each column, outputs `label` INT64 [-1] and `probabilities` FP32 [-1, 2], of a logistic model."""
    names = list(weights)
    nodes = [
        helper.make_node("Concat", names, ["x"], axis=1),
        helper.make_node("Gemm", ["x", "w", "b"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["probabilities"], axis=1),
        helper.make_node("ArgMax", ["probabilities"], ["label"], axis=1, keepdims=0),
    ]
    both = [each for weight in weights.values() for each in (0.0, weight)]
    graph = helper.make_graph(
        nodes,
        "classifier",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["rows", 1]) for name in names],
        [
            helper.make_tensor_value_info("label", TensorProto.INT64, ["rows"]),
            helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["rows", 2]),
        ],
        [
            helper.make_tensor("w", TensorProto.FLOAT, [len(names), 2], both),
            helper.make_tensor("b", TensorProto.FLOAT, [2], [0.0, bias]),
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


def faulty(weights: list[float]) -> bytes:
    """Like `linear`, until the first number of a row is 10 or more: then it looks into a table where there is nothing, and fails."""
    table = helper.make_tensor("table", TensorProto.FLOAT, [10, 1], [0.0] * 10)
    nodes = [
        *_first_column(),
        helper.make_node("Cast", ["first"], ["whole"], to=TensorProto.INT64),
        helper.make_node("Squeeze", ["whole", "second_axis"], ["index"]),
        helper.make_node("Gather", ["table", "index"], ["extra"], axis=0),
    ]
    return _scored(weights, nodes, [table, *_FIRST_COLUMN, _axis("second_axis", 1)])


def not_a_number(weights: list[float]) -> bytes:
    """Like `linear` where the first number of a row is 0; from 1 on it takes the logarithm of something negative."""
    one = helper.make_tensor("one", TensorProto.FLOAT, [1], [1.0])
    nodes = [
        *_first_column(),
        helper.make_node("Sub", ["one", "first"], ["rest"]),
        helper.make_node("Log", ["rest"], ["extra"]),
    ]
    return _scored(weights, nodes, [one, *_FIRST_COLUMN])


def slow(weights: list[float], products: int = 4, size: int = 512) -> bytes:
    """Like `linear`, after some products of big matrices, which depend on the input, so that nobody can compute them beforehand."""
    nodes = [
        helper.make_node("ReduceMax", ["x"], ["greatest"], keepdims=0),
        helper.make_node("Mul", ["greatest", "zero"], ["nothing"]),
        helper.make_node("Expand", ["nothing", "big"], ["m0"]),
        *(helper.make_node("MatMul", [f"m{each}", f"m{each}"], [f"m{each + 1}"]) for each in range(products)),
        helper.make_node("ReduceMax", [f"m{products}"], ["extra"], keepdims=0),
    ]
    zero = helper.make_tensor("zero", TensorProto.FLOAT, [], [0.0])
    big = helper.make_tensor("big", TensorProto.INT64, [2], [size, size])
    return _scored(weights, nodes, [zero, big])


def counting() -> bytes:
    """Counts to `n` [1] in a loop, a few microseconds for each step: the request sets the duration. Output `counted` INT64 [1]."""
    step, count, next_count = (
        helper.make_tensor_value_info(name, TensorProto.INT64, []) for name in ("step", "count", "next_count")
    )
    going, still_going = (
        helper.make_tensor_value_info(name, TensorProto.BOOL, []) for name in ("going", "still_going")
    )
    body = helper.make_graph(
        [
            helper.make_node("Identity", ["going"], ["still_going"]),
            helper.make_node("Add", ["count", "one"], ["next_count"]),
        ],
        "step",
        [step, going, count],
        [still_going, next_count],
    )
    graph = helper.make_graph(
        [
            helper.make_node("Squeeze", ["n"], ["steps"]),
            helper.make_node("Loop", ["steps", "yes", "zero"], ["final"], body=body),
            helper.make_node("Reshape", ["final", "shape"], ["counted"]),
        ],
        "counting",
        [helper.make_tensor_value_info("n", TensorProto.INT64, [1])],
        [helper.make_tensor_value_info("counted", TensorProto.INT64, [1])],
        [
            helper.make_tensor("zero", TensorProto.INT64, [], [0]),
            helper.make_tensor("one", TensorProto.INT64, [], [1]),
            helper.make_tensor("yes", TensorProto.BOOL, [], [True]),
            helper.make_tensor("shape", TensorProto.INT64, [1], [1]),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    checker.check_model(model)
    content: bytes = model.SerializeToString()
    return content


def _axis(name: str, number: int) -> TensorProto:
    return helper.make_tensor(name, TensorProto.INT64, [1], [number])


_FIRST_COLUMN = [_axis("from", 0), _axis("to", 1), _axis("along", 1)]


def _first_column() -> list[NodeProto]:
    return [helper.make_node("Slice", ["x", "from", "to", "along"], ["first"])]


def _scored(weights: list[float], nodes: list[NodeProto], constants: list[TensorProto]) -> bytes:
    """score = x · weights + extra, which the nodes compute from x."""
    count = len(weights)
    product = [
        helper.make_node("MatMul", ["x", "w"], ["product"]),
        helper.make_node("Add", ["product", "extra"], ["score"]),
    ]
    graph = helper.make_graph(
        [*nodes, *product],
        "scored",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["rows", count])],
        [helper.make_tensor_value_info("score", TensorProto.FLOAT, ["rows", 1])],
        [*constants, helper.make_tensor("w", TensorProto.FLOAT, [count, 1], weights)],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    checker.check_model(model, full_check=True)
    content: bytes = model.SerializeToString()
    return content
