"""An artifact as a Triton model repository; the configuration is read by the protocol's own definition of it."""

import json
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import text_format
from onnx import TensorProto, helper
from tritonclient.grpc import model_config_pb2

from flywheel_runtime.commands import triton
from flywheel_runtime.commands.triton import Tensor, render

GOLDEN = Path(__file__).parent / "golden/config.pbtxt"
SIGNATURE: dict[str, Any] = {
    "v": 1,
    "inputs": [
        {"name": "month", "datatype": "FP32", "shape": [-1, 1]},
        {"name": "carrier", "datatype": "BYTES", "shape": [-1, 1]},
    ],
    "outputs": [
        {"name": "label", "datatype": "INT64", "shape": [-1]},
        {"name": "probabilities", "datatype": "FP32", "shape": [-1, 2]},
    ],
}


@pytest.fixture
def pod(tmp_path: Path) -> Path:
    """A pod whose fetch brought an artifact."""
    artifact = tmp_path / "inputs/model"
    artifact.mkdir(parents=True)
    (artifact / "model.onnx").write_bytes(linear())
    (artifact / "signature.json").write_text(json.dumps(SIGNATURE))
    return tmp_path


def linear() -> bytes:
    """x · w: `x` FP32 [-1, 2], `score` FP32 [-1, 1]."""
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["score"])],
        "linear",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["rows", 2])],
        [helper.make_tensor_value_info("score", TensorProto.FLOAT, ["rows", 1])],
        [helper.make_tensor("w", TensorProto.FLOAT, [2, 1], [1.0, 2.0])],
    )
    content: bytes = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]).SerializeToString()
    return content


def run(pod: Path, model: str = "flight-delay") -> int:
    log = pod / "termination-log"
    env = {"FLYWHEEL_ROOT": str(pod), "FLYWHEEL_TERMINATION_LOG": str(log), "FLYWHEEL_MODEL_NAME": model}
    return triton.main(env)


def config(pod: Path, model: str = "flight-delay") -> Any:
    """config.pbtxt as Triton reads it."""
    return text_format.Parse((pod / "repository" / model / "config.pbtxt").read_text(), model_config_pb2.ModelConfig())


def test_the_repository_has_the_model_and_its_configuration(pod: Path) -> None:
    assert run(pod) == 0

    folder = pod / "repository/flight-delay"
    assert (folder / "1/model.onnx").read_bytes() == linear()
    assert (folder / "config.pbtxt").read_text() == GOLDEN.read_text()


def test_the_shapes_are_those_of_the_signature(pod: Path) -> None:
    run(pod)

    found = config(pod)
    assert (found.name, found.backend, found.max_batch_size) == ("flight-delay", "onnxruntime", 0)
    assert [(each.name, list(each.dims)) for each in found.input] == [("month", [-1, 1]), ("carrier", [-1, 1])]
    assert [(each.name, list(each.dims)) for each in found.output] == [("label", [-1]), ("probabilities", [-1, 2])]
    assert found.input[1].data_type == model_config_pb2.TYPE_STRING


def test_it_warms_up_before_it_is_ready(pod: Path) -> None:
    run(pod)

    [warm_up] = config(pod).model_warmup
    assert warm_up.batch_size == 1
    assert {name: (list(each.dims), each.zero_data) for name, each in warm_up.inputs.items()} == {
        "month": ([1, 1], True),
        "carrier": ([1, 1], True),
    }


def test_a_container_that_starts_again_finds_its_own_work(pod: Path) -> None:
    assert run(pod) == 0
    assert run(pod) == 0


def test_a_model_without_a_signature_is_its_own(pod: Path) -> None:
    (pod / "inputs/model/signature.json").unlink()

    assert run(pod) == 0
    assert [(each.name, list(each.dims)) for each in config(pod).input] == [("x", [-1, 2])]


@pytest.mark.parametrize("name", ['a"b', "a\\b", "größe", "line\nbreak", "tab\t", "x { name: 'y' }"])
def test_any_name_of_a_tensor_stays_one_name(name: str) -> None:
    tensor = Tensor(name, "FP64", ())
    found = text_format.Parse(render("m", [tensor], [tensor]), model_config_pb2.ModelConfig())

    assert ([each.name for each in found.input], list(found.model_warmup[0].inputs)) == ([name], [name])
    assert (list(found.input[0].dims), list(found.input[0].reshape.shape)) == ([1], [])


@pytest.mark.parametrize(
    ("file", "content", "reason"),
    [
        pytest.param("model.onnx", None, "ModelMissing", id="no model"),
        pytest.param("signature.json", b"{", "SignatureInvalid", id="half a signature"),
        pytest.param("signature.json", b"[]", "SignatureInvalid", id="a list"),
        pytest.param("signature.json", b'{"inputs": [{"name": "x"}], "outputs": []}', "SignatureInvalid", id="a tensor without a type"),
        pytest.param(
            "signature.json",
            b'{"inputs": [{"name": "x", "datatype": "BF16", "shape": [-1]}], "outputs": []}',
            "UnsupportedType",
            id="a type that Triton does not take",
        ),
    ],
)  # fmt: skip
def test_what_can_never_be_served_is_refused(pod: Path, file: str, content: bytes | None, reason: str) -> None:
    path = pod / "inputs/model" / file
    if content is None:
        path.unlink()
    else:
        path.write_bytes(content)

    assert run(pod) == 2
    told = json.loads((pod / "termination-log").read_text())
    assert (told["reason"], told["retry"]) == (reason, False)


def test_a_file_that_is_no_model_is_refused(pod: Path) -> None:
    (pod / "inputs/model/signature.json").unlink()
    (pod / "inputs/model/model.onnx").write_bytes(b"not a model")

    assert run(pod) == 2
    assert json.loads((pod / "termination-log").read_text())["reason"] == "NotONNX"
