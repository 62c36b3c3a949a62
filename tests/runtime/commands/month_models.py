"""Models of the column `month` of flights, which nobody trained."""

from typing import Any

from onnx import TensorProto, helper


def onnx_of_month(
    output: str = "probabilities", kind: int = TensorProto.INT64, finite_from: int | None = None
) -> bytes:
    """month -> label = month > 6, and probabilities by its sign; a model of strangers, without a signature.

    `finite_from`: the probabilities of months before it are not a number.
    """
    finite = [] if finite_from is None else _not_a_number_before(finite_from)
    graph = helper.make_graph(
        [
            helper.make_node("Cast", ["month"], ["m"], to=TensorProto.FLOAT),
            helper.make_node("Constant", [], ["six"], value_floats=[6.0]),
            helper.make_node("Sub", ["m", "six"], ["over" if finite_from is None else "sign"]),
            *finite,
            helper.make_node("Sigmoid", ["over"], ["p"]),
            helper.make_node("Constant", [], ["one"], value_floats=[1.0]),
            helper.make_node("Sub", ["one", "p"], ["q"]),
            helper.make_node("Concat", ["q", "p"], [output], axis=1),
            helper.make_node("ArgMax", [output], ["label"], axis=1, keepdims=0),
        ],
        "month",
        [helper.make_tensor_value_info("month", kind, ["rows", 1])],
        [
            helper.make_tensor_value_info("label", TensorProto.INT64, ["rows"]),
            helper.make_tensor_value_info(output, TensorProto.FLOAT, ["rows", 2]),
        ],
    )
    content: bytes = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9
    ).SerializeToString()
    return content


def _not_a_number_before(month: int) -> list[Any]:
    """over = sign + 0 * sqrt(m - month + 0.5), which has no value before `month`."""
    return [
        helper.make_node("Constant", [], ["first"], value_floats=[month - 0.5]),
        helper.make_node("Constant", [], ["none"], value_floats=[0.0]),
        helper.make_node("Sub", ["m", "first"], ["since"]),
        helper.make_node("Sqrt", ["since"], ["root"]),
        helper.make_node("Mul", ["root", "none"], ["nothing"]),
        helper.make_node("Add", ["sign", "nothing"], ["over"]),
    ]
