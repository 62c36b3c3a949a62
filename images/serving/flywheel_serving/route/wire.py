"""A call as the HTTP request that the challenger's server gets, and its answer as tensors of the champion's signature."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import orjson

from flywheel_serving import tensors
from flywheel_serving.datatypes import DTYPES, Array
from flywheel_serving.route.file import Challenger
from flywheel_serving.signature import TensorSpec

FORWARDED = b"x-flywheel-forwarded"
# The caller's right to ask: a challenger whose server demands one gets what the champion's was given.
PASSED_ON = (b"authorization",)
LENGTH_HEADER = b"inference-header-content-length"


@dataclass(slots=True)
class Reply:
    """A whole HTTP response; header names in lower case."""

    status: int
    headers: dict[bytes, bytes]
    body: bytes


class Nonsense(ValueError):
    """An answer that the champion could not have given. The message names the output and the finding."""


@dataclass(frozen=True)
class Question:
    """What every request to one challenger has in common."""

    model: str
    challenger: Challenger

    def encode(
        self,
        request_id: str,
        feeds: Mapping[str, tuple[TensorSpec, Array]],
        outputs: Sequence[str],
        seconds: float,
        headers: Mapping[bytes, bytes],
    ) -> bytes:
        """The request's bytes, tensors in binary. `seconds` is told to the challenger, so that it drops what nobody waits for."""
        inputs, parts = [], []
        for name, (spec, array) in feeds.items():
            parts.append(tensors.to_bytes(array))
            told = {"binary_data_size": len(parts[-1])}
            inputs.append({"name": name, "datatype": spec.datatype, "shape": array.shape, "parameters": told})
        document: dict[str, Any] = {
            "parameters": {"binary_data_output": True, "timeout": max(1, int(seconds * 1e6))},
            "inputs": inputs,
            "outputs": [{"name": name} for name in outputs],
        }
        if request_id:
            document["id"] = request_id
        description = orjson.dumps(document)
        size = len(description) + sum(map(len, parts))
        return b"".join((self._head(len(description), size, headers), description, *parts))

    def _head(self, description: int, size: int, headers: Mapping[bytes, bytes]) -> bytes:
        who = self.challenger
        host = f"[{who.host}]" if ":" in who.host else who.host
        lines = [
            f"POST /v2/models/{quote(self.model, safe='')}/infer HTTP/1.1".encode(),
            f"host: {host}:{who.port}".encode(),
            b"content-type: application/octet-stream",
            b"%b: %d" % (LENGTH_HEADER, description),
            b"content-length: %d" % size,
            b"%b: 1" % FORWARDED,
            *[b"%b: %b" % (name, headers[name]) for name in PASSED_ON if name in headers],
        ]
        return b"\r\n".join((*lines, b"", b""))


@dataclass(frozen=True)
class Wanted:
    """What an answer must be. `rows` is its first axis, None where the champion's outputs need not have the inputs' rows."""

    version: str
    outputs: Sequence[TensorSpec]
    rows: int | None


def decode(reply: Reply, wanted: Wanted) -> list[Array]:
    """One array for each of `wanted.outputs`, in that order. Raises Nonsense."""
    description, rest = _parts(reply)
    if (version := description.get("model_version")) != wanted.version:
        raise Nonsense(f"model_version: wanted {wanted.version!r}, found {_shown(version)}")
    items = description.get("outputs")
    if not isinstance(items, list):
        raise Nonsense("outputs: wanted a list")
    specs = {spec.name: spec for spec in wanted.outputs}
    found: dict[str, Array] = {}
    offset = 0
    for item in items:
        name = item.get("name") if isinstance(item, dict) else None
        spec = specs.get(name) if isinstance(name, str) else None
        if spec is None or spec.name in found:
            raise Nonsense(f"outputs: wanted each of {sorted(specs)} once, found {_shown(item)}")
        found[spec.name], offset = _output(spec, item, rest, offset, wanted.rows)
    if len(found) < len(specs):
        raise Nonsense(f"outputs: missing {sorted(specs.keys() - found.keys())}")
    if offset != len(rest):
        raise Nonsense(f"body: {len(rest) - offset} bytes belong to no output")
    return [found[spec.name] for spec in wanted.outputs]


def _parts(reply: Reply) -> tuple[dict[str, Any], memoryview]:
    """The JSON part and what follows it."""
    view = memoryview(reply.body)
    length = reply.headers.get(LENGTH_HEADER)
    if length is None:
        size = len(view)
    elif length.isdigit() and len(length) <= 12 and int(length) <= len(view):
        size = int(length)
    else:
        raise Nonsense(f"header 'Inference-Header-Content-Length': {length[:60]!r} for a body of {len(view)} bytes")
    try:
        description = orjson.loads(view[:size])
    except orjson.JSONDecodeError as error:
        raise Nonsense(f"body: not valid JSON: {error}") from error
    if not isinstance(description, dict):
        raise Nonsense("body: wanted a JSON object")
    return description, view[size:]


def _output(
    spec: TensorSpec, item: dict[str, Any], rest: memoryview, offset: int, rows: int | None
) -> tuple[Array, int]:
    """The output and where the next one begins."""
    where = f"output {spec.name[:100]!r}: "
    if (datatype := item.get("datatype")) != spec.datatype:
        raise Nonsense(f"{where}wanted {spec.datatype}, found {_shown(datatype)}")
    shape = _shape(where, spec, item.get("shape"), rows)
    parameters = item.get("parameters")
    size = parameters.get("binary_data_size") if isinstance(parameters, dict) else None
    if size is not None and (type(size) is not int or not 0 <= size <= len(rest) - offset):
        raise Nonsense(f"{where}binary_data_size is {_shown(size)}, but {len(rest) - offset} bytes are left")
    try:
        if size is None:
            return _from_json(item.get("data"), spec.datatype, shape), offset
        return tensors.from_bytes(rest[offset : offset + size], spec.datatype, shape), offset + size
    except ValueError as error:
        raise Nonsense(f"{where}{error}") from error


def _from_json(data: Any, datatype: str, shape: list[int]) -> Array:
    array = tensors.from_json(data, datatype, shape)
    if array.dtype != DTYPES[datatype]:  # null among whole numbers
        raise ValueError(f"wanted {datatype}, found null")
    return array


def _shape(where: str, spec: TensorSpec, found: Any, rows: int | None) -> list[int]:
    wanted = list(spec.shape)
    if rows is not None and wanted and wanted[0] == -1:
        wanted[0] = rows
    if isinstance(found, list) and len(found) == len(wanted):
        for want, have in zip(wanted, found, strict=True):
            if type(have) is not int or not 0 <= have < 2**31 or want not in (-1, have):
                break
        else:
            return found
    raise Nonsense(f"{where}wanted shape {wanted}, found {_shown(found)}")


def _shown(found: Any) -> str:
    return repr(found)[:80]
