"""`python3 -m flywheel_runtime triton`, between fetch and tritonserver: `repository/<model>/config.pbtxt` and `repository/<model>/1/model.onnx`."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from flywheel_runtime.commands.triton.model_config import DATATYPES, Tensor, render
from flywheel_runtime.contract import termination_message
from flywheel_runtime.contract.errors import Failure
from flywheel_runtime.contract.paths import Paths

ONLY_VERSION = "1"


def main(env: Mapping[str, str] = os.environ) -> int:
    """0, or 2 with a message of the contract: what is refused here can never be served."""
    paths = Paths.from_env(env)
    try:
        lay_out(paths.inputs / "model", paths.root / "repository", env["FLYWHEEL_MODEL_NAME"])
    except Failure as failure:
        termination_message.report_end(paths.termination_log, failure.reason, failure.message, retry=failure.retry)
        return 2
    return 0


def lay_out(artifact: Path, repository: Path, model: str) -> None:
    """The artifact as a model repository; once more over itself where the container is started again. Raises Failure."""
    source = artifact / "model.onnx"
    if not source.is_file():
        raise Failure("ModelMissing", "the artifact has no model.onnx; register the version again")
    inputs, outputs = signature(artifact)
    folder = repository / model
    (folder / ONLY_VERSION).mkdir(parents=True, exist_ok=True)
    target = folder / ONLY_VERSION / "model.onnx"
    target.unlink(missing_ok=True)
    target.hardlink_to(source)  # on the same volume: no second copy
    (folder / "config.pbtxt").write_text(render(model, inputs, outputs), encoding="ascii")


def signature(artifact: Path) -> tuple[list[Tensor], list[Tensor]]:
    """Inputs and outputs by signature.json; without one, by the model itself. Raises Failure."""
    path = artifact / "signature.json"
    if not path.exists():
        return _of_the_model(artifact / "model.onnx")
    try:
        document = json.loads(path.read_bytes())
        return _tensors(document["inputs"]), _tensors(document["outputs"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        words = f"signature.json cannot be read ({error!r}); register the version again"
        raise Failure("SignatureInvalid", words) from error


def _tensors(described: list[dict[str, Any]]) -> list[Tensor]:
    found = [Tensor(str(each["name"]), str(each["datatype"]), tuple(map(int, each["shape"]))) for each in described]
    return [_supported(tensor) for tensor in found]


def _of_the_model(path: Path) -> tuple[list[Tensor], list[Tensor]]:
    import onnx

    try:
        graph = onnx.load(str(path), load_external_data=False).graph
    except Exception as error:  # protobuf and onnx raise many kinds
        raise Failure("NotONNX", f"model.onnx cannot be read ({error}); export it again") from error
    constants = {each.name for each in graph.initializer}
    inputs = [_of_value(each) for each in graph.input if each.name not in constants]
    return inputs, [_of_value(each) for each in graph.output]


def _of_value(value: Any) -> Tensor:
    from onnx import TensorProto

    tensor = value.type.tensor_type
    names = {"FLOAT": "FP32", "DOUBLE": "FP64", "FLOAT16": "FP16", "STRING": "BYTES"}
    kind = TensorProto.DataType.Name(tensor.elem_type)
    shape = tuple(axis.dim_value if axis.HasField("dim_value") else -1 for axis in tensor.shape.dim)
    return _supported(Tensor(value.name, names.get(kind, kind), shape))


def _supported(tensor: Tensor) -> Tensor:
    if tensor.datatype not in DATATYPES:
        words = f"tensor '{tensor.name}' has the type {tensor.datatype}, which Triton does not take; serve the version with another runtime"
        raise Failure("UnsupportedType", words)
    return tensor
