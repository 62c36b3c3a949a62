"""The messages that the guard reads are onnx's own, and none that holds a tensor is missing."""

from collections.abc import Iterator
from typing import Any

import onnx
import pytest
from google.protobuf.descriptor import FieldDescriptor

from flywheel_serving.protocol import onnx_proto

OURS = {
    "Model": onnx.ModelProto,
    "OperatorSet": onnx.OperatorSetIdProto,
    "Graph": onnx.GraphProto,
    "Value": onnx.ValueInfoProto,
    "Type": onnx.TypeProto,
    "TensorType": onnx.TypeProto.Tensor,
    "Shape": onnx.TensorShapeProto,
    "Dimension": onnx.TensorShapeProto.Dimension,
    "Node": onnx.NodeProto,
    "Attribute": onnx.AttributeProto,
    "Function": onnx.FunctionProto,
    "Training": onnx.TrainingInfoProto,
    "SparseTensor": onnx.SparseTensorProto,
    "Tensor": onnx.TensorProto,
}
NAMES = {message.DESCRIPTOR.full_name: name for name, message in OURS.items()}
# The guard reads these otherwise than onnx declares them (see onnx_proto).
READ_AS_BYTES = {FieldDescriptor.TYPE_STRING, FieldDescriptor.TYPE_MESSAGE}


@pytest.mark.parametrize("message", OURS)
def test_every_field_is_that_of_onnx(message: str) -> None:
    theirs = OURS[message].DESCRIPTOR.fields_by_name
    for name, (number, kind) in onnx_proto.MESSAGES[message].items():
        field, element = theirs[name], kind.removesuffix("*")
        is_repeated = field.is_repeated

        assert (field.number, is_repeated) == (number, kind.endswith("*")), name
        if element in onnx_proto.MESSAGES:
            assert NAMES[field.message_type.full_name] == element
        elif element == "bytes":
            assert field.type in READ_AS_BYTES | {FieldDescriptor.TYPE_BYTES}, name
        else:
            assert field.type == onnx_proto.SCALARS[element] or field.type == FieldDescriptor.TYPE_ENUM, name


def tensor_fields(message: Any, seen: set[str]) -> Iterator[tuple[str, str]]:
    """(message, field) of every field through which a tensor or a node is reached."""
    seen.add(message.full_name)
    for field in message.fields:
        if field.message_type is not None and holds_tensors(field.message_type, set()):
            yield message.full_name, field.name
            if field.message_type.full_name not in seen:
                yield from tensor_fields(field.message_type, seen)


def holds_tensors(message: Any, seen: set[str]) -> bool:
    if message.full_name in ("onnx.TensorProto", "onnx.NodeProto"):
        return True
    seen.add(message.full_name)
    return any(
        holds_tensors(field.message_type, seen)
        for field in message.fields
        if field.message_type is not None and field.message_type.full_name not in seen
    )


def test_no_way_to_a_tensor_is_missing() -> None:
    ways = set(tensor_fields(onnx.ModelProto.DESCRIPTOR, set()))

    assert ("onnx.AttributeProto", "sparse_tensors") in ways
    assert [(message, field) for message, field in ways if field not in onnx_proto.MESSAGES[NAMES[message]]] == []
