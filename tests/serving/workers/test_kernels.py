"""Which models are computed in the server's own process is decided by their graph."""

from collections.abc import Sequence
from pathlib import Path

import onnx
import pytest
from onnx import NodeProto, TensorProto, helper

from flywheel_serving.model.onnx_file import read_model
from flywheel_serving.workers.kernels import unsafe_operator
from tests.serving.workers.graphs import scalar, write_model

FLOAT, DOUBLE, INT64 = TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.INT64


def node(operator: str, inputs: str, output: str = "y", **attributes: object) -> NodeProto:
    return helper.make_node(operator, inputs.split(), [output], **attributes)


@pytest.mark.parametrize(
    ("element", "nodes"),
    [
        pytest.param(FLOAT, [node("Neg", "x")], id="a bounded operator"),
        pytest.param(FLOAT, [node("Div", "x half")], id="a division of reals"),
        pytest.param(DOUBLE, [node("Cast", "x", "d", to=DOUBLE), node("Div", "d d")], id="a division after a cast to reals"),
        pytest.param(FLOAT, [node("Add", "x half", "a"), node("Mul", "a a", "b"), node("Div", "b b", "c"), node("Neg", "c")], id="reals are followed"),
        pytest.param(INT64, [node("Add", "x x")], id="a sum of integers"),
    ],
)  # fmt: skip
def test_a_model_of_defined_kernels_is_computed_in_the_server(
    tmp_path: Path, element: int, nodes: Sequence[NodeProto]
) -> None:
    path = write_model(tmp_path, nodes, element, constants=[scalar("half", element, 1)])

    assert unsafe_operator(read_model(path)) == ""


@pytest.mark.parametrize(
    ("nodes", "operator"),
    [
        pytest.param([node("Div", "two x")], "Div of integers", id="a division of integers"),
        pytest.param([node("Mod", "two x")], "Mod of integers", id="a remainder of integers"),
        pytest.param([node("Div", "x minus_one")], "Div of integers", id="a division by -1"),
        pytest.param([node("Mod", "x zero")], "Mod of integers", id="a remainder by 0"),
        pytest.param(
            [node("Add", "two two", "four"), node("Div", "x four")], "Div of integers", id="a divisor that is computed"
        ),
        pytest.param([node("Abs", "x", "a"), node("Div", "a a")], "Div of integers", id="integers are followed"),
        pytest.param([node("Tile", "x two")], "Tile", id="a value decides the size"),
        pytest.param([node("NewOperator", "x")], "NewOperator", id="an operator that nobody knows"),
        pytest.param([node("Neg", "x", domain="com.example")], "Neg", id="a known name of another domain"),
    ],
)
def test_any_other_model_is_computed_in_workers(tmp_path: Path, nodes: Sequence[NodeProto], operator: str) -> None:
    constants = [scalar(name, INT64, value) for name, value in (("two", 2), ("minus_one", -1), ("zero", 0))]
    path = write_model(tmp_path, nodes, INT64, constants=constants)

    assert unsafe_operator(read_model(path)) == operator


def test_a_division_by_a_constant_other_than_0_and_minus_1_is_computed_in_the_server(tmp_path: Path) -> None:
    nodes = [node("Mod", "x week", "day"), node("Div", "day seven")]
    week = helper.make_tensor("week", INT64, [1, 1], (7).to_bytes(8, "little"), raw=True)
    path = write_model(tmp_path, nodes, INT64, constants=[week, scalar("seven", INT64, 7)])

    assert unsafe_operator(read_model(path)) == ""


def test_a_divisor_that_a_request_may_replace_is_no_constant(tmp_path: Path) -> None:
    path = write_model(tmp_path, [node("Div", "x two")], INT64, constants=[scalar("two", INT64, 2)])
    replaced, twice = onnx.load(path), onnx.load(path)
    replaced.graph.input.append(helper.make_tensor_value_info("two", INT64, []))
    twice.graph.initializer.append(scalar("two", INT64, -1))

    for model in (replaced, twice):
        path.write_bytes(model.SerializeToString())
        assert unsafe_operator(read_model(path)) == "Div of integers"


def test_a_name_that_is_declared_twice_or_is_no_text_hides_no_division(tmp_path: Path) -> None:
    """onnxruntime refuses such files, or reads them in one of two ways."""
    path = write_model(tmp_path, [node("Abs", "x", "a"), node("Div", "a a")], INT64)
    model = onnx.load(path)
    twice = onnx.ModelProto.FromString(model.SerializeToString())
    for element in (FLOAT, INT64):
        twice.graph.value_info.append(helper.make_tensor_value_info("a", element, [None, 2]))
    real = helper.make_tensor_value_info("r", FLOAT, [None, 2])
    model.graph.value_info.append(real)
    content = (
        model.SerializeToString()
        .replace(b"\n\x01r", b"\n\x01\xfe")
        .replace(b"\n\x01a", b"\n\x01\xff")
        .replace(b"\x12\x01a", b"\x12\x01\xff")
    )
    cast = write_model(tmp_path, [node("Cast", "x", to=INT64), node("Div", "y y", "z")], INT64).read_bytes()
    two_types = onnx.load_model_from_string(cast)
    two_types.graph.node[0].attribute.append(helper.make_attribute("to", FLOAT))

    for file in (twice.SerializeToString(), content, two_types.SerializeToString()):
        path.write_bytes(file)
        assert unsafe_operator(read_model(path)) == "Div of integers"


def test_bodies_and_functions_are_computed_in_workers(tmp_path: Path, counting: Path) -> None:
    assert unsafe_operator(read_model(counting / "model.onnx")) == "Loop"

    function = helper.make_function("", "Own", ["x"], ["y"], [node("Neg", "x")], [helper.make_opsetid("", 17)])
    shapes = [helper.make_tensor_value_info(name, FLOAT, [None, 2]) for name in ("x", "y")]
    graph = helper.make_graph([node("Own", "x")], "one", shapes[:1], shapes[1:])
    made = helper.make_model(graph, functions=[function], opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    (tmp_path / "model.onnx").write_bytes(made.SerializeToString())
    assert unsafe_operator(read_model(tmp_path / "model.onnx")) == "a function of its own"


def test_a_trained_pipeline_is_computed_in_the_server(flights: Path) -> None:
    assert unsafe_operator(read_model(flights / "model.onnx")) == ""
