"""A request as HTTP/1.1 for the challenger's server, and its response as tensors of the champion's signature."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import orjson

from flywheel_serving.infer.requests import CLASS_NAMES_HEADER, FORWARDED_HEADER
from flywheel_serving.model import tensors
from flywheel_serving.model.datatypes import DTYPES, Array
from flywheel_serving.model.signature import TensorSpec
from flywheel_serving.model.tensors import JSON_LENGTH_HEADER
from flywheel_serving.route.route_file import Challenger

# The client's credentials: a challenger's server that requires authentication gets what the champion's server got.
PASSED_ON_HEADERS = (b"authorization", b"x-flywheel-authorization")


@dataclass(slots=True)
class UpstreamResponse:
    """A whole HTTP response; header names in lower case."""

    status: int
    headers: dict[bytes, bytes]
    body: bytes


class InvalidResponse(ValueError):
    """A response that the champion could not have given. The message names the output and the finding."""


@dataclass(frozen=True)
class RequestEncoder:
    """Encodes requests to one challenger."""

    model: str
    challenger: Challenger

    def encode(
        self,
        request_id: str,
        inputs: Mapping[str, tuple[TensorSpec, Array]],
        outputs: Sequence[str],
        timeout_seconds: float,
        headers: Mapping[bytes, bytes],
        *,
        with_class_names: bool = False,
    ) -> bytes:
        """The request with binary tensors. The challenger gets the timeout, so that it drops what comes too late."""
        tensor_documents, parts = [], []
        for name, (spec, array) in inputs.items():
            parts.append(tensors.to_bytes(array))
            parameters = {"binary_data_size": len(parts[-1])}
            tensor_documents.append(
                {"name": name, "datatype": spec.datatype, "shape": array.shape, "parameters": parameters}
            )
        document: dict[str, Any] = {
            "parameters": {"binary_data_output": True, "timeout": max(1, int(timeout_seconds * 1e6))},
            "inputs": tensor_documents,
            "outputs": [{"name": name} for name in outputs],
        }
        if request_id:
            document["id"] = request_id
        json = orjson.dumps(document)
        body_bytes = len(json) + sum(map(len, parts))
        return b"".join((self._head(len(json), body_bytes, headers, with_class_names), json, *parts))

    def _head(self, json_bytes: int, body_bytes: int, headers: Mapping[bytes, bytes], with_class_names: bool) -> bytes:
        challenger = self.challenger
        host = f"[{challenger.host}]" if ":" in challenger.host else challenger.host
        lines = [
            f"POST /v2/models/{quote(self.model, safe='')}/infer HTTP/1.1".encode(),
            f"host: {host}:{challenger.port}".encode(),
            b"content-type: application/octet-stream",
            b"%b: %d" % (JSON_LENGTH_HEADER, json_bytes),
            b"content-length: %d" % body_bytes,
            b"%b: 1" % FORWARDED_HEADER,
            *([b"%b: 1" % CLASS_NAMES_HEADER] if with_class_names else ()),
            *[b"%b: %b" % (name, headers[name]) for name in PASSED_ON_HEADERS if name in headers],
        ]
        return b"\r\n".join((*lines, b"", b""))


@dataclass(frozen=True, slots=True)
class DecodedResponse:
    """The outputs in the order in which they were wanted, and the classes in the order of the scores if they came."""

    outputs: list[Array]
    class_names: tuple[str, ...] | None


def decode(
    response: UpstreamResponse, wanted_version: str, wanted_outputs: Sequence[TensorSpec], rows: int | None
) -> DecodedResponse:
    """One array for each of `wanted_outputs`, in that order. Raises InvalidResponse.

    `rows` is their first axis, None if the model has no row axis.
    """
    document, binary = _split(response)
    if (version := document.get("model_version")) != wanted_version:
        raise InvalidResponse(f"model_version: wanted {wanted_version!r}, found {_shown(version)}")
    items = document.get("outputs")
    if not isinstance(items, list):
        raise InvalidResponse("outputs: wanted a list")
    specs = {spec.name: spec for spec in wanted_outputs}
    outputs: dict[str, Array] = {}
    offset = 0
    for item in items:
        name = item.get("name") if isinstance(item, dict) else None
        spec = specs.get(name) if isinstance(name, str) else None
        if spec is None or spec.name in outputs:
            raise InvalidResponse(f"outputs: wanted each of {sorted(specs)} once, found {_shown(item)}")
        outputs[spec.name], offset = _output(spec, item, binary, offset, rows)
    if len(outputs) < len(specs):
        raise InvalidResponse(f"outputs: missing {sorted(specs.keys() - outputs.keys())}")
    if offset != len(binary):
        raise InvalidResponse(f"body: {len(binary) - offset} bytes belong to no output")
    return DecodedResponse([outputs[spec.name] for spec in wanted_outputs], _class_names(document.get("parameters")))


def _class_names(parameters: Any) -> tuple[str, ...] | None:
    """The names that were requested with CLASS_NAMES_HEADER; None from a server that does not know it."""
    names = parameters.get("class_names") if isinstance(parameters, dict) else None
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        return None
    return tuple(names)


def _split(response: UpstreamResponse) -> tuple[dict[str, Any], memoryview]:
    """The JSON part and the binary data after it."""
    view = memoryview(response.body)
    length = response.headers.get(JSON_LENGTH_HEADER)
    if length is None:
        json_bytes = len(view)
    elif length.isdigit() and len(length) <= 12 and int(length) <= len(view):
        json_bytes = int(length)
    else:
        raise InvalidResponse(
            f"header 'Inference-Header-Content-Length': {length[:60]!r} for a body of {len(view)} bytes"
        )
    try:
        document = orjson.loads(view[:json_bytes])
    except orjson.JSONDecodeError as error:
        raise InvalidResponse(f"body: not valid JSON: {error}") from error
    if not isinstance(document, dict):
        raise InvalidResponse("body: wanted a JSON object")
    return document, view[json_bytes:]


def _output(
    spec: TensorSpec, item: dict[str, Any], binary: memoryview, offset: int, rows: int | None
) -> tuple[Array, int]:
    """The output, and the offset of the next one in `binary`."""
    where = f"output {spec.name[:100]!r}: "
    if (datatype := item.get("datatype")) != spec.datatype:
        raise InvalidResponse(f"{where}wanted {spec.datatype}, found {_shown(datatype)}")
    shape = _shape(where, spec, item.get("shape"), rows)
    parameters = item.get("parameters")
    size = parameters.get("binary_data_size") if isinstance(parameters, dict) else None
    if size is not None and (type(size) is not int or not 0 <= size <= len(binary) - offset):
        raise InvalidResponse(f"{where}binary_data_size is {_shown(size)}, but {len(binary) - offset} bytes are left")
    try:
        if size is None:
            return _from_json(item.get("data"), spec.datatype, shape), offset
        return tensors.from_bytes(binary[offset : offset + size], spec.datatype, shape), offset + size
    except ValueError as error:
        raise InvalidResponse(f"{where}{error}") from error


def _from_json(data: Any, datatype: str, shape: list[int]) -> Array:
    array = tensors.from_json(data, datatype, shape)
    if array.dtype != DTYPES[datatype]:  # null among integers
        raise ValueError(f"wanted {datatype}, found null")
    return array


def _shape(where: str, spec: TensorSpec, found: Any, rows: int | None) -> list[int]:
    wanted = list(spec.shape)
    if rows is not None and wanted and wanted[0] == -1:
        wanted[0] = rows
    if spec.any_rank and isinstance(found, list):
        wanted = [*wanted, *[-1] * len(found)][: len(found)]
    if isinstance(found, list) and len(found) == len(wanted):
        for want, have in zip(wanted, found, strict=True):
            if type(have) is not int or not 0 <= have < 2**31 or want not in (-1, have):
                break
        else:
            return found
    raise InvalidResponse(f"{where}wanted shape {wanted}, found {_shown(found)}")


def _shown(found: Any) -> str:
    return repr(found)[:80]
