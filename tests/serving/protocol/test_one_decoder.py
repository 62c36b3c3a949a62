"""REST and gRPC accept the same requests, refuse the same, and decode the same tensors: the product of what a request may say."""

import json
from itertools import product
from typing import Any

import numpy as np
import pytest

from flywheel_serving.errors import InvalidRequest
from flywheel_serving.infer.requests import InferRequest
from flywheel_serving.model import tensors
from flywheel_serving.model.datatypes import DTYPES
from flywheel_serving.protocol import open_inference_pb2 as pb
from flywheel_serving.rest import codec as rest
from flywheel_serving.rest.body_templates import BodyTemplates
from flywheel_serving.rpc import codec as rpc

VALUES: dict[str, list[Any]] = {
    "BOOL": [True, False],
    "BYTES": ["UA", "Zürich"],
    "FP64": [1.5, -0.0],
    "FP32": [1.5, 3e38],
    "FP16": [1.5, 2.0],
    "UINT64": [2**64 - 1, 0],
    "INT64": [-(2**63), 2**63 - 1],
    **{name: [1, 2] for name in ("UINT8", "UINT16", "UINT32", "INT8", "INT16", "INT32")},
}
DATATYPES = [*DTYPES, "FP8", ""]
SHAPES = [[2], [2, 1], [1, 2], [3], [0], [-1], [2**31], [], [1] * 33]
Parameters = dict[str, Any]
INPUT_PARAMETERS: list[Parameters] = [
    {},
    {"shared_memory_region": "a"},
    {"binary_data_size": -1},
    {"binary_data_size": "8"},
    {"content_type": "str"},
]
OUTPUT_PARAMETERS: list[Parameters] = [
    {},
    {"binary_data": True},
    {"binary_data": 1},
    {"classification": 2},
    {"class_count": 2},
    {"shared_memory_region": "a"},
    {"other": "x"},
]
REQUEST_PARAMETERS: list[Parameters] = [
    {},
    {"timeout": 5_000},
    {"timeout": -1},
    {"timeout": "5"},
    {"timeout": 2.5},
    {"timeout": True},
    {"binary_data_output": False},
    {"binary_data_output": "yes"},
    {"priority": 1},
]


def request(**changes: Any) -> dict[str, Any]:
    """What a request says, whatever the transport."""
    said = {
        "name": "x",
        "datatype": "FP32",
        "shape": [2],
        "input_parameters": {},
        "output_parameters": {},
        "parameters": {},
        "id": "",
        "raw": False,
        "twice": False,
    }
    return {**said, **changes}


def encode_raw(said: dict[str, Any]) -> bytes:
    datatype = said["datatype"]
    values = VALUES.get(datatype, [1.5, 2.0])
    dtype = object if datatype == "BYTES" else DTYPES.get(datatype, np.dtype("<f4"))
    return tensors.to_bytes(np.array(values, dtype))


def decode_rest(said: dict[str, Any]) -> InferRequest:
    parameters = dict(said["input_parameters"])
    item = {"name": said["name"], "datatype": said["datatype"], "shape": said["shape"], "parameters": parameters}
    raw = encode_raw(said) if said["raw"] else b""
    if said["raw"]:
        parameters.setdefault("binary_data_size", len(raw))
    else:
        item["data"] = VALUES.get(said["datatype"], [1.5, 2.0])
    document = {
        "id": said["id"],
        "parameters": said["parameters"],
        "inputs": [item] * (2 if said["twice"] else 1),
        "outputs": [{"name": "y", "parameters": said["output_parameters"]}],
    }
    head = json.dumps(document).encode()
    return rest.decode(head + raw, len(head) if said["raw"] else None, BodyTemplates())[0]


def set_parameters(field: Any, parameters: Parameters) -> None:
    kinds = {bool: "bool_param", int: "int64_param", float: "double_param", str: "string_param"}
    for name, value in parameters.items():
        setattr(field[name], kinds[type(value)], value)


def decode_rpc(said: dict[str, Any]) -> InferRequest:
    message = pb.ModelInferRequest(id=said["id"])
    set_parameters(message.parameters, said["parameters"])
    for _ in range(2 if said["twice"] else 1):
        item = message.inputs.add(name=said["name"], datatype=said["datatype"], shape=said["shape"])
        set_parameters(item.parameters, said["input_parameters"])
        if said["raw"]:
            message.raw_input_contents.append(encode_raw(said))
        else:
            values = VALUES.get(said["datatype"], [1.5, 2.0])
            field = rpc.CONTENTS_FIELDS.get(said["datatype"], "fp32_contents")
            texts = [value.encode() for value in values] if said["datatype"] == "BYTES" else values
            getattr(item.contents, field).extend(texts)
    set_parameters(message.outputs.add(name="y").parameters, said["output_parameters"])
    return rpc.decode(message)[0]


def outcome(decode: Any, said: dict[str, Any]) -> Any:
    """What was decoded, or that it was refused."""
    try:
        found = decode(said)
    except InvalidRequest:
        return "refused"
    arrays = {name: (array.dtype.str, array.shape, array.tolist()) for name, array in found.tensors.items()}
    return found.id, arrays, found.outputs, found.timeout, found.parameters or None


CASES = [
    *(request(datatype=datatype, shape=shape, raw=raw) for datatype, shape, raw in product(DATATYPES, SHAPES, (0, 1))),
    *(
        request(input_parameters=given, output_parameters=wanted, parameters=more, raw=raw)
        for given, wanted, more, raw in product(INPUT_PARAMETERS, OUTPUT_PARAMETERS, REQUEST_PARAMETERS, (0, 1))
    ),
    *(request(name=name, id=key, twice=twice) for name, key, twice in product(("x", ""), ("", "a"), (False, True))),
]
# gRPC has no typed contents of 16-bit floats (Open Inference Protocol v2, InferTensorContents).
COMPARED = [said for said in CASES if said["raw"] or said["datatype"] != "FP16"]


def test_both_transports_accept_and_refuse_the_same() -> None:
    different = [
        (said, found)
        for said in COMPARED
        if (found := (outcome(decode_rest, said), outcome(decode_rpc, said)))[0] != found[1]
    ]

    assert different == []
    refused = sum(outcome(decode_rest, said) == "refused" for said in COMPARED)
    assert 0 < refused < len(COMPARED)


@pytest.mark.parametrize("name", ["classification", "class_count", "shared_memory_region"])
@pytest.mark.parametrize("decode", [decode_rest, decode_rpc], ids=["REST", "gRPC"])
def test_an_extension_of_outputs_is_refused_by_name(decode: Any, name: str) -> None:
    with pytest.raises(InvalidRequest, match=rf"outputs\[0\]\.parameters\.{name}: not supported; leave it out"):
        decode(request(output_parameters={name: 2}))
