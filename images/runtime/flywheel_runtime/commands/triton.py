"""`python3 -m flywheel_runtime triton`, between fetch and tritonserver: `repository/<model>/config.pbtxt` and `repository/<model>/1/model.onnx`.

Source: ModelConfig of triton-inference-server/common, protobuf/model_config.proto, in protobuf's text format.
The shapes are written whole, with `max_batch_size: 0`: so Triton answers in the very shapes of the signature. With a batch size it would
add an axis to an output of shape [-1].
"""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flywheel_runtime.contract import termination_message
from flywheel_runtime.contract.errors import Failure
from flywheel_runtime.contract.paths import Paths

ONLY_VERSION = "1"
DATATYPES = {
    "BOOL": "TYPE_BOOL",
    "BYTES": "TYPE_STRING",
    **{name: f"TYPE_{name}" for name in ("FP16", "FP32", "FP64")},
    **{f"{sign}INT{bits}": f"TYPE_{sign}INT{bits}" for sign in ("", "U") for bits in (8, 16, 32, 64)},
}


@dataclass(frozen=True)
class Tensor:
    """One input or output, in the protocol's words; -1 is an axis of any length."""

    name: str
    datatype: str
    shape: tuple[int, ...]


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


def render(model: str, inputs: Sequence[Tensor], outputs: Sequence[Tensor]) -> str:
    """The text of config.pbtxt, with one warm-up request of zeros and empty texts.

    Raises:
        KeyError: a datatype that Triton does not know.
    """
    lines = [f"name: {quote_string(model)}", 'backend: "onnxruntime"', "max_batch_size: 0"]
    for side, tensors in (("input", inputs), ("output", outputs)):
        lines += [f"{side} {{ {_declared(tensor)} }}" for tensor in tensors]
    lines += ["model_warmup {", '  name: "zeros"', "  batch_size: 1"]
    lines += [f"  inputs {{ key: {quote_string(tensor.name)} value {{ {_zeros(tensor)} }} }}" for tensor in inputs]
    return "\n".join([*lines, "}", ""])


def quote_string(text: str) -> str:
    """A string of the text format: all but printable ASCII as octal bytes."""
    escaped = (chr(byte) if 32 <= byte < 127 and byte not in b'"\\' else f"\\{byte:03o}" for byte in text.encode())
    return f'"{"".join(escaped)}"'


def _declared(tensor: Tensor) -> str:
    # Triton has no tensors without axes: they come as one value, and go to the model as none.
    scalar = "" if tensor.shape else " reshape { shape: [] }"
    return f"name: {quote_string(tensor.name)} data_type: {DATATYPES[tensor.datatype]} dims: {_dims(tensor.shape or (1,))}{scalar}"


def _zeros(tensor: Tensor) -> str:
    one = tuple(1 if axis < 0 else axis for axis in tensor.shape) or (1,)
    return f"data_type: {DATATYPES[tensor.datatype]} dims: {_dims(one)} zero_data: true"


def _dims(shape: tuple[int, ...]) -> str:
    return f"[{', '.join(map(str, shape))}]"
