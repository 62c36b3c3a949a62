"""Decodes and encodes the bodies of the protocol's REST form, with or without binary tensors."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from flywheel_serving.errors import InvalidRequest
from flywheel_serving.infer import request_rules
from flywheel_serving.infer.requests import InferRequest, InferResponse
from flywheel_serving.model import tensors
from flywheel_serving.model.datatypes import Array
from flywheel_serving.model.signature import TensorSpec
from flywheel_serving.rest.body_templates import BodyTemplates

BINARY_MEDIA_TYPE = "application/octet-stream"


@dataclass(slots=True)
class OutputEncoding:
    """Whether each output is encoded as binary: `by_name` first, else `default`."""

    default: bool
    by_name: dict[str, bool]

    def is_binary(self, name: str) -> bool:
        return self.by_name.get(name, self.default)


ALL_JSON = OutputEncoding(default=False, by_name={})


def decode(body: bytes, json_length: int | None, templates: BodyTemplates) -> tuple[InferRequest, OutputEncoding]:
    """The request in `body`, and the encoding of its response. Raises InvalidRequest.

    `json_length` is Inference-Header-Content-Length, None if the whole body is JSON.
    """
    if json_length is None and (known := templates.read(body)) is not None:
        template, block = known
        inputs = template.inputs(block)
        # By position: arguments by name cost a dictionary for each request.
        return InferRequest("", inputs, [], None, None, len(body), template, block), ALL_JSON
    if json_length is not None and not 0 < json_length <= len(body):
        found = f"{json_length} for a body of {len(body)} bytes"
        raise InvalidRequest(
            f"header 'Inference-Header-Content-Length': wanted the length of the JSON part, found {found}"
        )
    if json_length is None:
        document, binary = _parse(body), NO_BINARY
    else:
        view = memoryview(body)
        document, binary = _parse(view[:json_length]), _Binary(view[json_length:])
    if len(document) == 1:  # most requests
        inputs = _inputs(document, binary)
        if json_length is None:
            templates.learn(body, document)
        return InferRequest("", inputs, [], body_bytes=len(body)), ALL_JSON
    request_id = _typed(document, "id", str, "")
    parameters = _typed(document, "parameters", dict, None)
    inputs = _inputs(document, binary)
    names, by_name = _outputs(_typed(document, "outputs", list, []))
    default = bool(parameters and request_rules.read_boolean(parameters, "binary_data_output"))
    request = InferRequest(request_id, inputs, names, request_rules.read_timeout(parameters), parameters, len(body))
    return request, OutputEncoding(default, by_name)


def _inputs(document: dict[str, Any], binary: "_Binary") -> dict[str, Array]:
    items = _typed(document, "inputs", list, None)
    if not items:
        raise InvalidRequest("inputs: wanted a list of tensors, found none")
    inputs: dict[str, Array] = {}
    for index, item in enumerate(items):
        request_rules.add_input(inputs, index, *_input(index, item, binary))
    binary.check_used()
    return inputs


def encode(
    response: InferResponse, encoding: OutputEncoding, model: str, class_names: Sequence[str] | None = None
) -> tuple[bytes, int | None]:
    """The body, and the length of its JSON part if binary tensors follow it.

    `class_names` is the order of the scores, for another server that requests it.
    """
    outputs, parts = [], []
    for spec, array in response.outputs:
        output: dict[str, Any] = {"name": spec.name, "datatype": spec.datatype, "shape": array.shape}
        if encoding is not ALL_JSON and encoding.is_binary(spec.name):
            parts.append(tensors.to_bytes(array))
            output["parameters"] = {"binary_data_size": len(parts[-1])}
        else:
            output["data"] = tensors.to_json(array)
        outputs.append(output)
    document: dict[str, Any] = {"model_name": model, "model_version": response.version, "outputs": outputs}
    if response.id:
        document["id"] = response.id
    if class_names is not None:
        document["parameters"] = {"class_names": class_names}
    if response.explanation is not None:  # as text: a parameter of the protocol is no object
        document["parameters"] = {
            **document.get("parameters", {}),
            "explanation": orjson.dumps(response.explanation).decode(),
        }
    head = orjson.dumps(document, option=orjson.OPT_SERIALIZE_NUMPY)
    return (b"".join((head, *parts)), len(head)) if parts else (head, None)


def encode_inputs(feeds: dict[str, Array], specs: tuple[TensorSpec, ...]) -> bytes:
    """A request body in JSON for `feeds`, as the server's page and examples show it."""
    inputs = [
        {**spec.metadata(), "shape": list(feeds[spec.name].shape), "data": tensors.to_json(feeds[spec.name])}
        for spec in specs
    ]
    return orjson.dumps({"inputs": inputs}, option=orjson.OPT_SERIALIZE_NUMPY)


class _Binary:
    """The binary data after the JSON part, taken in the order of the inputs."""

    def __init__(self, content: memoryview) -> None:
        self._content = content
        self._offset = 0

    def read(self, size: int) -> memoryview:
        end = self._offset + size
        if end > len(self._content):
            raise ValueError(
                f"binary_data_size is {size}, but {len(self._content) - self._offset} bytes are left in the body"
            )
        content = self._content[self._offset : end]
        self._offset = end
        return content

    def check_used(self) -> None:
        if rest := len(self._content) - self._offset:
            raise InvalidRequest(f"body: {rest} bytes follow the JSON part that no input's binary_data_size claims")


NO_BINARY = _Binary(memoryview(b""))


def _parse(json: bytes | memoryview) -> dict[str, Any]:
    try:
        parsed = orjson.loads(json)
    except orjson.JSONDecodeError as error:
        raise InvalidRequest(f"body: not valid JSON: {error}") from error
    if not isinstance(parsed, dict):
        raise InvalidRequest("body: wanted a JSON object with 'inputs'")
    return parsed


def _typed(document: dict[str, Any], key: str, kind: type, default: Any, where: str = "") -> Any:
    value = document.get(key)
    if value is None:
        return default
    if type(value) is not kind:
        names = {str: "text", dict: "an object", list: "a list", bool: "true or false", int: "a whole number"}
        found = orjson.dumps(value)[:60].decode("utf-8", "replace")
        raise InvalidRequest(f"{where}{key}: wanted {names[kind]}, found {found}")
    return value


def _input(index: int, item: Any, binary: _Binary) -> tuple[str, Array]:
    if type(item) is not dict:
        raise InvalidRequest(f"inputs[{index}]: wanted an object with name, shape, datatype and data")
    name = item.get("name")
    if type(name) is not str or not name:
        name = request_rules.check_input_name(_typed(item, "name", str, "", f"inputs[{index}]."), index)
    parameters = _typed(item, "parameters", dict, None, f"inputs[{index}].") if "parameters" in item else None
    try:
        datatype = request_rules.check_datatype(item.get("datatype"))
        shape = request_rules.check_shape(item.get("shape"))
        size = _binary_size(parameters, "data" in item) if parameters else None
        if size is None:
            return name, tensors.from_json(item.get("data"), datatype, shape)
        return name, tensors.from_bytes(binary.read(size), datatype, shape)
    except ValueError as error:
        raise InvalidRequest(f"input {name[:100]!r}: {error}") from error


def _binary_size(parameters: dict[str, Any], has_data: bool) -> int | None:
    size = request_rules.check_input_parameters(parameters)
    if size is not None and has_data:
        raise ValueError("binary_data_size and data are both given; send one of them")
    return size


def _outputs(items: list[Any]) -> tuple[list[str], dict[str, bool]]:
    names, is_binary = [], {}
    for index, item in enumerate(items):
        if type(item) is not dict or type(item.get("name")) is not str:
            raise InvalidRequest(f"outputs[{index}]: wanted an object with a name")
        parameters = _typed(item, "parameters", dict, {}, f"outputs[{index}].")
        names.append(item["name"])
        if (binary_data := request_rules.check_output_parameters(parameters, index)) is not None:
            is_binary[item["name"]] = binary_data
    return names, is_binary
