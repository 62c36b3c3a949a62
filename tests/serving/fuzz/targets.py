"""The code that untrusted bytes reach, each as a function that must return: any exception but those named is a bug.

`make fuzz` runs them without a limit, and the tests for a bounded number of inputs from the corpus.
"""

import contextlib
import tempfile
from collections.abc import Callable
from pathlib import Path

import orjson
from google.protobuf.message import DecodeError

from flywheel_serving.errors import ModelRefused, RequestError
from flywheel_serving.model import onnx_file, tensors
from flywheel_serving.model.datatypes import DTYPES
from flywheel_serving.model.row_independence.proof import graph_row_mixing
from flywheel_serving.model.signature import Signature, TensorSpec
from flywheel_serving.protocol import open_inference_pb2 as pb
from flywheel_serving.rest import codec as rest_codec
from flywheel_serving.rest.body_templates import BodyTemplates
from flywheel_serving.rpc import codec as rpc_codec
from flywheel_serving.workers import kernels
from tests.serving.oracle.in_memory import exchange_in_memory

SIGNATURE = Signature(
    tuple(TensorSpec(name.lower(), name, (-1, 2)) for name in DTYPES), (TensorSpec("y", "FP32", (-1,)),)
)
MAX_ROWS = 100
HELD = 4 * 65_536  # more is never written for requests of the corpus's sizes


def http(data: bytes) -> None:
    """Parses a connection's bytes in two pieces and in one: the responses are equal, and no more than the requests."""
    whole, ended = exchange_in_memory([data])
    assert whole.startswith(b"HTTP/1.1 ") or not whole
    assert len(whole) <= HELD + 4 * len(data) * 64
    assert exchange_in_memory([data[: len(data) // 2], data[len(data) // 2 :]]) == (whole, ended)


def rest(data: bytes) -> None:
    """Decodes a body; the first two bytes are Inference-Header-Content-Length, 0 for none."""
    length, forms = int.from_bytes(data[:2], "big"), BodyTemplates()
    with contextlib.suppress(RequestError):
        request, wanted = rest_codec.decode(data[2:], length or None, forms)
        SIGNATURE.fit(request.tensors, MAX_ROWS)
        for name in request.outputs:
            wanted.is_binary(name)
        again, _ = rest_codec.decode(data[2:], length or None, forms)  # by its template, if it has one
        assert str(again.tensors) == str(request.tensors)


def rpc(data: bytes) -> None:
    """Decodes a serialized ModelInferRequest."""
    message = pb.ModelInferRequest()
    with contextlib.suppress(DecodeError, RequestError):
        message.ParseFromString(data)
        request, _ = rpc_codec.decode(message)
        SIGNATURE.fit(request.tensors, MAX_ROWS)


def binary(data: bytes) -> None:
    """Decodes and encodes a tensor, whose datatype the first byte selects: the bytes are equal."""
    datatype = list(DTYPES)[(data[0] if data else 0) % len(DTYPES)]
    raw = data[1:]
    size = DTYPES[datatype].itemsize
    with contextlib.suppress(ValueError):
        shape = [count_texts(raw)] if datatype == "BYTES" else [len(raw) // size]
        array = tensors.from_bytes(raw, datatype, shape)
        orjson.dumps(tensors.to_json(array), option=orjson.OPT_SERIALIZE_NUMPY)
        if datatype != "BOOL":  # any byte but 0 is true
            assert tensors.to_bytes(array) == raw


def count_texts(raw: bytes) -> int:
    at = count = 0
    while at < len(raw):
        at += 4 + int.from_bytes(raw[at : at + 4], "little")
        count += 1
    return count


def onnx(data: bytes) -> None:
    """Checks a model's file."""
    with tempfile.NamedTemporaryFile(suffix=".onnx") as file:
        file.write(data)
        file.flush()
        path = Path(file.name)
        with contextlib.suppress(ModelRefused):
            graph = onnx_file.read_model(path)
            kernels.unsafe_operator(graph)
            graph_row_mixing(graph)


TARGETS: dict[str, Callable[[bytes], None]] = {
    "http": http,
    "rest": rest,
    "rpc": rpc,
    "binary": binary,
    "onnx": onnx,
}
