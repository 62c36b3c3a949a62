"""The model server in the same pod, asked as any client asks it: Open Inference Protocol v2 over REST, tensors as bytes.

Source: https://github.com/kserve/open-inference-protocol, and its binary tensor data extension.
"""

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, NamedTuple, Self

import numpy as np
import urllib3
from numpy.typing import NDArray
from pydantic import TypeAdapter

from flywheel_runtime.contract.errors import Failure, HostUnreachable, RequestRejected
from flywheel_runtime.datasets.types import TIMESTAMP
from flywheel_runtime.transport.http import read, send

Array = NDArray[Any]
TIMEOUT_SECONDS = 600.0  # seconds: a big model may load for minutes, and a server that was killed starts again
RETRY_PAUSE_SECONDS = 0.2
CALL_TIMEOUT_SECONDS = 300.0
MAX_CONNECTIONS = 8
LENGTH = "Inference-Header-Content-Length"


class Datatype(NamedTuple):
    """What the protocol's datatype is in NumPy and in DuckDB."""

    numpy: np.dtype[Any]
    sql: str


DATATYPES = {
    "BOOL": Datatype(np.dtype("?"), "BOOLEAN"),
    "UINT8": Datatype(np.dtype("u1"), "UTINYINT"),
    "UINT16": Datatype(np.dtype("<u2"), "USMALLINT"),
    "UINT32": Datatype(np.dtype("<u4"), "UINTEGER"),
    "UINT64": Datatype(np.dtype("<u8"), "UBIGINT"),
    "INT8": Datatype(np.dtype("i1"), "TINYINT"),
    "INT16": Datatype(np.dtype("<i2"), "SMALLINT"),
    "INT32": Datatype(np.dtype("<i4"), "INTEGER"),
    "INT64": Datatype(np.dtype("<i8"), "BIGINT"),
    "FP16": Datatype(np.dtype("<f2"), "FLOAT"),
    "FP32": Datatype(np.dtype("<f4"), "FLOAT"),
    "FP64": Datatype(np.dtype("<f8"), "DOUBLE"),
    "BYTES": Datatype(np.dtype(object), "VARCHAR"),
}


@dataclass(frozen=True)
class Tensor:
    """One input or output of the model; -1 in the shape is any length, and `parameters` is what the server says besides."""

    name: str
    datatype: str
    shape: tuple[int, ...]
    parameters: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_timestamp(self) -> bool:
        """Whether its numbers are microseconds since 1970 (UTC)."""
        return self.datatype == "FP64" and self.parameters.get("content") == TIMESTAMP


class Client:
    """Thread-safe; its connections are closed with the block that it is used in."""

    def __init__(self, model: str, address: tuple[str, int], patience: float = TIMEOUT_SECONDS) -> None:
        self._path = f"/v2/models/{model}"
        self._pool = urllib3.HTTPConnectionPool(*address, timeout=CALL_TIMEOUT_SECONDS, maxsize=MAX_CONNECTIONS)
        self._patience = patience

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self._pool.close()

    def signature(self) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
        """The model's inputs and outputs, once it is ready. Failure ServerLost."""
        self._request("GET", f"{self._path}/ready", b"", {})
        body = json.loads(self._request("GET", self._path, b"", {})[1])
        tensors = TypeAdapter(tuple[Tensor, ...])
        return tensors.validate_python(body["inputs"]), tensors.validate_python(body["outputs"])

    def infer(self, inputs: tuple[Tensor, ...], feeds: dict[str, Array]) -> dict[str, Array]:
        """The model's outputs by name, without scalars. RequestRejected also if one has not a row for each row; Failure ServerLost."""
        parts = [_to_bytes(feeds[each.name]) for each in inputs]
        document = [
            {
                "name": each.name,
                "datatype": each.datatype,
                "shape": list(feeds[each.name].shape),
                "parameters": {"binary_data_size": len(part)},
            }
            for each, part in zip(inputs, parts, strict=True)
        ]
        head = json.dumps({"inputs": document, "parameters": {"binary_data_output": True}}).encode()
        headers = {"Content-Type": "application/octet-stream", LENGTH: str(len(head))}
        length, body = self._request("POST", f"{self._path}/infer", b"".join((head, *parts)), headers)
        rows = len(feeds[inputs[0].name])
        found = {name: array for name, array in _answers(body, length).items() if array.ndim}
        for name, array in found.items():
            if len(array) != rows:
                raise RequestRejected(f"output '{name}' of the model has {len(array)} rows for {rows}")
        return found

    def _request(self, method: str, path: str, body: bytes, headers: dict[str, str]) -> tuple[int, bytes]:
        """The length of the response's JSON part, and the response. What passes by itself is waited for."""
        give_up = time.monotonic() + self._patience
        words = ""
        while time.monotonic() < give_up:
            try:
                response = send(self._pool, method, path, headers, body)
                content = read(response)
            except HostUnreachable as error:
                words = str(error)
            else:
                if response.status == HTTPStatus.OK:
                    return int(response.headers.get(LENGTH) or len(content)), content
                words = _words(content)
                if response.status not in (HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.TOO_MANY_REQUESTS):
                    raise RequestRejected(words)
            time.sleep(RETRY_PAUSE_SECONDS)
        finding = f"the model server beside this container did not respond for {self._patience:.0f} s ({words})"
        raise Failure("ServerLost", f"{finding}; see the log of its container 'server'", retry=True)


def _words(content: bytes) -> str:
    try:
        return str(json.loads(content)["error"])
    except (ValueError, KeyError, TypeError):
        return content[:200].decode(errors="replace")


def _to_bytes(array: Array) -> bytes:
    if array.dtype != object:
        return array.tobytes()
    texts = [value.encode() for value in array.ravel()]
    return b"".join(part for text in texts for part in (len(text).to_bytes(4, "little"), text))


def _answers(body: bytes, length: int) -> dict[str, Array]:
    document = json.loads(body[:length])
    found: dict[str, Array] = {}
    at = length
    for output in document["outputs"]:
        size, shape = int(output["parameters"]["binary_data_size"]), output["shape"]
        raw = body[at : at + size]
        at += size
        if output["datatype"] == "BYTES":
            texts = np.empty(shape, object)
            texts.ravel()[:] = _texts(raw)
            found[output["name"]] = texts
        else:
            found[output["name"]] = np.frombuffer(raw, DATATYPES[output["datatype"]].numpy).reshape(shape)
    return found


def _texts(raw: bytes) -> list[str]:
    texts: list[str] = []
    at = 0
    while at < len(raw):
        size = int.from_bytes(raw[at : at + 4], "little")
        texts.append(raw[at + 4 : at + 4 + size].decode())
        at += 4 + size
    return texts
