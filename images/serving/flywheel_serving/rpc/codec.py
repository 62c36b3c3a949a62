"""ModelInfer's messages from and to `dataplane`'s types, with raw or typed contents."""

import numpy as np

from flywheel_serving import tensors
from flywheel_serving.dataplane import InferRequest, InferResponse
from flywheel_serving.datatypes import DTYPES, Array, convert
from flywheel_serving.errors import InvalidRequest
from flywheel_serving.protocol import open_inference_pb2 as pb

CONTENTS = {
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
    """The request, and whether its tensors came raw: the answer comes as the question did. Raises InvalidRequest."""
    raw = message.raw_input_contents
    if raw and len(raw) != len(message.inputs):
        raise InvalidRequest(
            f"raw_input_contents: wanted one for each of {len(message.inputs)} inputs, found {len(raw)}"
        )
    if not message.inputs:
        raise InvalidRequest("inputs: wanted at least one tensor, found none")
    decoded: dict[str, Array] = {}
    for index, item in enumerate(message.inputs):
        if item.name in decoded:
            raise InvalidRequest(f"inputs[{index}].name: {item.name[:100]!r} is given twice")
        decoded[item.name] = _tensor(item, raw[index] if raw else None)
    names = [output.name for output in message.outputs]
    timeout = message.parameters["timeout"].int64_param / 1e6 if "timeout" in message.parameters else 0.0
    return InferRequest(message.id, decoded, names, timeout if timeout > 0 else None), bool(raw)


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
    if datatype not in CONTENTS:
        raise ValueError(f"{datatype} has no typed contents; send it in raw_input_contents")
    values = getattr(contents, CONTENTS[datatype])
    if datatype == "BYTES":
        return tensors.from_byte_strings(list(values), shape)
    wanted = int(np.prod(shape, dtype=object))
    if len(values) != wanted:
        raise ValueError(f"shape {shape} needs {wanted} values in contents.{CONTENTS[datatype]}, found {len(values)}")
    wide = {"i": np.int64, "u": np.uint64}.get(DTYPES[datatype].kind, DTYPES[datatype])
    return convert(np.array(values, wide), datatype).reshape(shape)


def encode(response: InferResponse, raw: bool, model: str) -> pb.ModelInferResponse:
    """Raw contents if `raw`, else typed; FP16 is always raw, and then so is every output, for they are never mixed."""
    message = pb.ModelInferResponse(model_name=model, model_version=response.version, id=response.id)
    raw = raw or any(spec.datatype not in CONTENTS for spec, _ in response.outputs)
    for spec, array in response.outputs:
        output = message.outputs.add(name=spec.name, datatype=spec.datatype, shape=array.shape)
        if raw:
            message.raw_output_contents.append(tensors.to_bytes(array))
        else:
            values = array.ravel().tolist()
            texts = [str(value).encode() for value in values] if spec.datatype == "BYTES" else values
            getattr(output.contents, CONTENTS[spec.datatype]).extend(texts)
    return message
