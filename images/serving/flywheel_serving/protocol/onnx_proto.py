"""The messages of onnx.proto that the guard and explanations read, for the protobuf library (the package onnx is not in the image).

The library that reads them is the same that onnxruntime contains, so that both find the same in a file: numbers of any
width, fields that occur again, messages in several parts, packed and unpacked lists, groups and unknown fields. Texts
are bytes here, since an invalid text is no reason to read a file otherwise. `data_location` is a number, since an
unknown value of an enumeration would be dropped. tests/serving/model/test_onnx_proto.py compares with onnx's own.
"""

from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

PACKAGE = "flywheel.onnx"
# By message: the name of a field, its number, and its type; a type with * is repeated.
MESSAGES: dict[str, dict[str, tuple[int, str]]] = {
    "Model": {
        "opset_import": (8, "OperatorSet*"),
        "graph": (7, "Graph"),
        "training_info": (20, "Training*"),
        "functions": (25, "Function*"),
    },
    "OperatorSet": {"domain": (1, "bytes"), "version": (2, "int64")},
    "Graph": {
        "node": (1, "Node*"),
        "initializer": (5, "Tensor*"),
        "input": (11, "Value*"),
        "output": (12, "Value*"),
        "value_info": (13, "Value*"),
        "sparse_initializer": (15, "SparseTensor*"),
    },
    "Value": {"name": (1, "bytes"), "type": (2, "Type")},
    "Type": {"tensor_type": (1, "TensorType")},
    "TensorType": {"elem_type": (1, "int32"), "shape": (2, "Shape")},
    "Shape": {"dim": (1, "Dimension*")},
    "Dimension": {"dim_value": (1, "int64"), "dim_param": (2, "bytes")},
    "Node": {
        "input": (1, "bytes*"),
        "output": (2, "bytes*"),
        "op_type": (4, "bytes"),
        "attribute": (5, "Attribute*"),
        "domain": (7, "bytes"),
    },
    "Attribute": {
        "name": (1, "bytes"),
        "i": (3, "int64"),
        "s": (4, "bytes"),
        "t": (5, "Tensor"),
        "g": (6, "Graph"),
        "floats": (7, "float*"),
        "ints": (8, "int64*"),
        "strings": (9, "bytes*"),
        "tensors": (10, "Tensor*"),
        "graphs": (11, "Graph*"),
        "type": (20, "int32"),
        "sparse_tensor": (22, "SparseTensor"),
        "sparse_tensors": (23, "SparseTensor*"),
    },
    "Function": {
        "name": (1, "bytes"),
        "node": (7, "Node*"),
        "domain": (10, "bytes"),
        "attribute_proto": (11, "Attribute*"),
    },
    "Training": {"initialization": (1, "Graph"), "algorithm": (2, "Graph")},
    "SparseTensor": {"values": (1, "Tensor"), "indices": (2, "Tensor"), "dims": (3, "int64*")},
    "Tensor": {
        "dims": (1, "int64*"),
        "data_type": (2, "int32"),
        "float_data": (4, "float*"),
        "int32_data": (5, "int32*"),
        "string_data": (6, "bytes*"),
        "int64_data": (7, "int64*"),
        "name": (8, "bytes"),
        "raw_data": (9, "bytes"),
        "double_data": (10, "double*"),
        "uint64_data": (11, "uint64*"),
        "external_data": (13, "bytes*"),
        "data_location": (14, "int64"),
    },
}

Field = descriptor_pb2.FieldDescriptorProto
SCALARS = {
    "bytes": Field.TYPE_BYTES,
    "double": Field.TYPE_DOUBLE,
    "float": Field.TYPE_FLOAT,
    "int32": Field.TYPE_INT32,
    "int64": Field.TYPE_INT64,
    "uint64": Field.TYPE_UINT64,
}


def _model_class() -> Any:
    file = descriptor_pb2.FileDescriptorProto(name="flywheel_onnx.proto", package=PACKAGE, syntax="proto2")
    for message, fields in MESSAGES.items():
        described = file.message_type.add(name=message)
        for name, (number, kind) in fields.items():
            label = Field.LABEL_REPEATED if kind.endswith("*") else Field.LABEL_OPTIONAL
            field = described.field.add(name=name, number=number, label=label)
            element = kind.removesuffix("*")
            if element in SCALARS:
                field.type = SCALARS[element]
            else:
                field.type, field.type_name = Field.TYPE_MESSAGE, f".{PACKAGE}.{element}"
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{PACKAGE}.Model"))


Model: Any = _model_class()
