"""Decodes and encodes the messages of ModelInfer, with raw or typed contents."""

from typing import Any, NoReturn

import numpy as np
import orjson

from flywheel_serving.errors import InvalidRequest
from flywheel_serving.infer import request_rules
from flywheel_serving.infer.requests import InferRequest, InferResponse
from flywheel_serving.model import tensors
from flywheel_serving.model.datatypes import DTYPES, Array, convert
from flywheel_serving.protocol import open_inference_pb2 as pb

CONTENTS_FIELDS = {
    "BOOL": "bool_contents",
    "INT8": "int_contents",
    "INT16": "int_contents",
    "INT32": "int_contents",
    "INT64": "int64_contents",
    "UINT8": "uint_contents",
    "UINT16": "uint_contents",
    "UINT32": "uint_contents",
    "UINT64": "uint64_contents",
    "FP32": "fp32_contents",
    "FP64": "fp64_contents",
    "BYTES": "bytes_contents",
}


def decode(message: pb.ModelInferRequest) -> tuple[InferRequest, bool]:
    """The request, and whether its tensors are raw, as then the response's will be. Raises InvalidRequest."""
    raw = message.raw_input_contents
    if raw and len(raw) != len(message.inputs):
        raise InvalidRequest(
            f"raw_input_contents: wanted one for each of {len(message.inputs)} inputs, found {len(raw)}"
        )
    if not message.inputs:
        raise InvalidRequest("inputs: wanted at least one tensor, found none")
    inputs: dict[str, Array] = {}
    for index, item in enumerate(message.inputs):
        request_rules.check_input_name(item.name, index)
        request_rules.add_input(inputs, index, item.name, _tensor(item, raw[index] if raw else None))
    for index, output in enumerate(message.outputs):
        request_rules.check_output_parameters(_parameters(output.parameters), index)
    names = [output.name for output in message.outputs]
    parameters = _parameters(message.parameters) or None
    if parameters:
        request_rules.read_boolean(parameters, "binary_data_output")
    timeout = request_rules.read_timeout(parameters)
    return InferRequest(message.id, inputs, names, timeout, parameters, message.ByteSize()), bool(raw)


def _parameters(message: Any) -> dict[str, Any]:
    return {name: _parameter(value) for name, value in message.items()}


def _parameter(parameter: pb.InferParameter) -> bool | int | float | str | None:
    field = parameter.WhichOneof("parameter_choice")
    value: bool | int | float | str | None = getattr(parameter, field) if field else None
    return value


def _tensor(item: pb.ModelInferRequest.InferInputTensor, raw: bytes | None) -> Array:
    try:
        datatype = request_rules.check_datatype(item.datatype)
        shape = request_rules.check_shape(list(item.shape))
        size = request_rules.check_input_parameters(_parameters(item.parameters))
        if size is not None and (raw is None or size != len(raw)):
            _refuse_size(size, raw)
        if raw is None:
            return _typed(item.contents, datatype, shape)
        if item.HasField("contents"):
            raise ValueError("contents and raw_input_contents are both given; send one of them")  # noqa: TRY301
        return tensors.from_bytes(raw, datatype, shape)
    except ValueError as error:
        raise InvalidRequest(f"input {item.name[:100]!r}: {error}") from error


def _refuse_size(size: int, raw: bytes | None) -> NoReturn:
    found = "no raw_input_contents" if raw is None else f"{len(raw)} bytes in raw_input_contents"
    raise ValueError(f"binary_data_size is {size}, found {found}")


def _typed(contents: pb.InferTensorContents, datatype: str, shape: list[int]) -> Array:
    if datatype not in CONTENTS_FIELDS:
        raise ValueError(f"{datatype} has no typed contents; send it in raw_input_contents")
    values = getattr(contents, CONTENTS_FIELDS[datatype])
    if datatype == "BYTES":
        return tensors.from_byte_strings(list(values), shape)
    wanted = int(np.prod(shape, dtype=object))
    if len(values) != wanted:
        raise ValueError(
            f"shape {shape} needs {wanted} values in contents.{CONTENTS_FIELDS[datatype]}, found {len(values)}"
        )
    widest = {"i": np.int64, "u": np.uint64}.get(DTYPES[datatype].kind, DTYPES[datatype])
    return convert(np.array(values, widest), datatype).reshape(shape)


def encode(response: InferResponse, raw: bool, model: str) -> pb.ModelInferResponse:
    """The message with raw contents if `raw`, else typed ones. FP16 is always raw, and then every output is."""
    message = pb.ModelInferResponse(model_name=model, model_version=response.version, id=response.id)
    if response.explanation is not None:
        message.parameters["explanation"].string_param = orjson.dumps(response.explanation).decode()
    raw = raw or any(spec.datatype not in CONTENTS_FIELDS for spec, _ in response.outputs)
    for spec, array in response.outputs:
        output = message.outputs.add(name=spec.name, datatype=spec.datatype, shape=array.shape)
        if raw:
            message.raw_output_contents.append(tensors.to_bytes(array))
        else:
            if array.size > tensors.MAX_JSON_VALUES:
                raise tensors.too_many_values(array)
            values = array.ravel().tolist()
            texts = [str(value).encode() for value in values] if spec.datatype == "BYTES" else values
            getattr(output.contents, CONTENTS_FIELDS[spec.datatype]).extend(texts)
    return message
