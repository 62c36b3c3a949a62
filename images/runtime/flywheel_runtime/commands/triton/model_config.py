"""Triton's `config.pbtxt`, rendered from a signature.

Source: ModelConfig of triton-inference-server/common, protobuf/model_config.proto, in protobuf's text format.
The shapes are written whole, with `max_batch_size: 0`: so Triton answers in the very shapes of the signature. With a batch size it would
add an axis to an output of shape [-1].
"""

from collections.abc import Sequence
from dataclasses import dataclass

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
