"""Refuses files that are not a self-contained ONNX model, before onnxruntime opens them.

Reads the protobuf wire format directly (onnx is not in the serving image), with the field numbers of onnx.proto.
"""

import mmap
from collections.abc import Iterator
from pathlib import Path

from flywheel_serving.errors import ModelRefused

MAX_BYTES = 2**31 - 1  # protobuf's own limit on one message
MAX_DEPTH = 64
VARINT, FIXED64, LENGTH, FIXED32 = 0, 1, 2, 5

# The length-delimited fields that lead from a message to the tensors inside it.
MODEL, GRAPH, NODE, ATTRIBUTE, SPARSE, FUNCTION, TRAINING, TENSOR = range(8)
CHILDREN = {
    MODEL: {7: GRAPH, 20: TRAINING, 25: FUNCTION},
    GRAPH: {1: NODE, 5: TENSOR, 15: SPARSE},
    NODE: {5: ATTRIBUTE},
    ATTRIBUTE: {5: TENSOR, 6: GRAPH, 10: TENSOR, 11: GRAPH, 22: SPARSE, 23: SPARSE},
    SPARSE: {1: TENSOR, 2: TENSOR},
    FUNCTION: {7: NODE, 11: ATTRIBUTE},
    TRAINING: {1: GRAPH, 2: GRAPH},
}
TENSOR_EXTERNAL_DATA, TENSOR_DATA_LOCATION = 13, 14

KNOWN_SIGNATURES = (
    (b"\x80", "a Python pickle, which runs code when it is loaded, so it is never opened here"),
    (b"PK\x03\x04", "a zip archive (a PyTorch or Keras file is one)"),
    (b"\x89HDF", "an HDF5 file"),
    (b"\x1f\x8b", "gzip-compressed"),
    (b"version https://git-lfs", "a Git LFS pointer, not the file itself"),
    (b"ORTM", "an ORT-format model"),
    (b"<", "markup, perhaps an error page of a download"),
    (b"{", "JSON text"),
)
NEXT_STEP = "export the model to ONNX as one file"


def check_onnx_file(path: Path, max_bytes: int = MAX_BYTES) -> None:
    """Raises ModelRefused with reason ModelMissing, ModelTooLarge, NotONNX, ModelTruncated or ExternalData."""
    name = path.name
    if not path.is_file():
        raise ModelRefused("ModelMissing", f"{name} is not in the artifact; check the source's path")
    size = path.stat().st_size
    if size == 0:
        raise ModelRefused("NotONNX", f"{name} is empty; {NEXT_STEP}")
    if size > max_bytes:
        raise ModelRefused(
            "ModelTooLarge", f"{name} has {size} bytes, at most {max_bytes} are accepted; make the model smaller"
        )
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        _check_kind(content, name)
        _check_structure(content, name)
        _check_external(content, name)


def _check_kind(content: mmap.mmap, name: str) -> None:
    for start, kind in KNOWN_SIGNATURES:
        if content[: len(start)] == start:
            raise ModelRefused("NotONNX", f"{name} is {kind}; {NEXT_STEP}")


def _check_structure(content: mmap.mmap, name: str) -> None:
    numbers = set()
    try:
        for number, _start, _end in _fields(content, 0, len(content)):
            numbers.add(number)
    except EOFError as error:
        # A file that starts like a model (ir_version first) and ends early is truncated; any other file never was a model.
        if content[0] == 0x08 and numbers:
            raise ModelRefused(
                "ModelTruncated", f"{name} ends in the middle of a field ({error}); upload it again"
            ) from error
        raise ModelRefused("NotONNX", f"{name} is not an ONNX model; {NEXT_STEP}") from error
    except ValueError as error:
        raise ModelRefused("NotONNX", f"{name} is not an ONNX model ({error}); {NEXT_STEP}") from error
    if 7 not in numbers:
        raise ModelRefused("NotONNX", f"{name} holds no ONNX graph; {NEXT_STEP}")


def _check_external(content: mmap.mmap, name: str) -> None:
    # An external tensor names its file under the key "location", so one search clears most models.
    if content.find(b"location") < 0:
        return
    try:
        external = _has_external(content, 0, len(content), MODEL, 0)
    except (EOFError, ValueError) as error:
        raise ModelRefused("NotONNX", f"{name} is not a valid ONNX model ({error}); {NEXT_STEP}") from error
    if external:
        raise ModelRefused(
            "ExternalData",
            f"{name} stores weights in other files, which are never opened; save it with all weights inside "
            "(onnx.save_model with save_as_external_data=False)",
        )


def _has_external(content: mmap.mmap, start: int, end: int, message: int, depth: int) -> bool:
    if depth > MAX_DEPTH:
        raise ValueError(f"graphs are nested deeper than {MAX_DEPTH}")
    children = CHILDREN.get(message, {})
    for number, first, last in _fields(content, start, end):
        if message == TENSOR:
            if number == TENSOR_EXTERNAL_DATA or (number == TENSOR_DATA_LOCATION and content[first:last] != b"\x00"):
                return True
        elif number in children and _has_external(content, first, last, children[number], depth + 1):
            return True
    return False


def _fields(content: mmap.mmap, position: int, end: int) -> Iterator[tuple[int, int, int]]:
    """(field number, start of the value, end of the value). Raises EOFError at a cut, ValueError on a wrong tag."""
    while position < end:
        tag, position = _varint(content, position, end)
        number, wire = tag >> 3, tag & 7
        start = position
        if wire == VARINT:
            _, position = _varint(content, position, end)
        elif wire == LENGTH:
            length, start = _varint(content, position, end)
            position = start + length
        elif wire in (FIXED32, FIXED64):
            position += 4 if wire == FIXED32 else 8
        else:
            raise ValueError(f"wire type {wire} at byte {start}")
        if number == 0:
            raise ValueError(f"field 0 at byte {start}")
        if position > end:
            raise EOFError(f"{position - end} bytes are missing")
        yield number, start, position


def _varint(content: mmap.mmap, position: int, end: int) -> tuple[int, int]:
    value = shift = 0
    while position < end and shift < 70:
        byte = content[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
        shift += 7
    if shift >= 70:
        raise ValueError(f"number too long at byte {position}")
    raise EOFError("a number is truncated")
