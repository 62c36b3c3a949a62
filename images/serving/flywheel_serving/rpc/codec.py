"""Decodes and encodes the messages of ModelInfer, with raw or typed contents."""

import numpy as np

from flywheel_serving.errors import InvalidRequest
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
        if item.name in inputs:
            raise InvalidRequest(f"inputs[{index}].name: {item.name[:100]!r} is given twice")
        inputs[item.name] = _tensor(item, raw[index] if raw else None)
    names = [output.name for output in message.outputs]
    microseconds = message.parameters["timeout"].int64_param if "timeout" in message.parameters else 0
    timeout = microseconds / 1e6 if microseconds > 0 else None
    parameters = {name: _parameter(value) for name, value in message.parameters.items()} or None
    return InferRequest(message.id, inputs, names, timeout, parameters, message.ByteSize()), bool(raw)


def _parameter(parameter: pb.InferParameter) -> bool | int | float | str | None:
    field = parameter.WhichOneof("parameter_choice")
    value: bool | int | float | str | None = getattr(parameter, field) if field else None
    return value


def _tensor(item: pb.ModelInferRequest.InferInputTensor, raw: bytes | None) -> Array:
    where, datatype, shape = f"input {item.name[:100]!r}: ", item.datatype, list(item.shape)
    if datatype not in DTYPES:
        raise InvalidRequest(f"{where}datatype: wanted one of {', '.join(DTYPES)}, found {datatype[:60]!r}")
    if not all(0 <= axis < 2**31 for axis in shape) or len(shape) > 32:
        raise InvalidRequest(f"{where}shape: wanted at most 32 whole numbers of 0 or more")
    if "shared_memory_region" in item.parameters:
        raise InvalidRequest(f"{where}shared memory is not supported; send the data in the message")
    if raw is not None and item.HasField("contents"):
        raise InvalidRequest(f"{where}contents and raw_input_contents are both given; send one of them")
    try:
        if raw is None:
            return _typed(item.contents, datatype, shape)
        return tensors.from_bytes(raw, datatype, shape)
    except ValueError as error:
        raise InvalidRequest(f"{where}{error}") from error


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
