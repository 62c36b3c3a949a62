"""Refuses files that are not a self-contained ONNX model of bounded size, before onnxruntime opens them."""

from collections.abc import Iterable
from math import prod
from pathlib import Path
from typing import Any

from google.protobuf.message import DecodeError

from flywheel_serving.errors import ModelRefused
from flywheel_serving.protocol.onnx_proto import Model

MAX_BYTES = 2**31 - 1  # protobuf's own limit on one message
MAX_NODES = 100_000  # in all graphs, with those of a function counted for each call
MAX_GRAPH_DEPTH = 16
MAX_FUNCTION_DEPTH = 16
MAX_DENSE_VALUES = 2**28  # of all sparse tensors, which onnxruntime makes dense
VALUES_IN_BYTE = 4  # of ONNX's narrowest datatype
VALUE_FIELDS = ("float_data", "int32_data", "int64_data", "double_data", "uint64_data", "string_data", "raw_data")

KNOWN_SIGNATURES = (
    (b"\x80", "a Python pickle, which runs code when it is loaded, so it is never opened here"),
    (b"PK\x03\x04", "a zip archive (a PyTorch or Keras file is one)"),
    (b"\x89HDF", "an HDF5 file"),
    (b"\x1f\x8b", "gzip-compressed"),
    (b"version https://git-lfs", "a Git LFS pointer, not the file itself"),
    (b"ORTM", "an ORT-format model"),
    (b"<", "markup, perhaps an error page of a download"),
    (b"{", "JSON text"),
)
IR_VERSION_TAG = b"\x08"  # the first byte of every model that exporters write
NEXT_STEP = "export the model to ONNX as one file"

FunctionKey = tuple[bytes, bytes]  # domain and name


def read_model(path: Path, max_bytes: int = MAX_BYTES) -> Any:
    """The file's onnx_proto.Model. Raises ModelRefused: ModelMissing, ModelTooLarge, NotONNX, ModelTruncated or ExternalData."""
    name = path.name
    if not path.is_file():
        raise ModelRefused("ModelMissing", f"{name} is not in the artifact; check the source's path")
    size = path.stat().st_size
    if size == 0:
        raise ModelRefused("NotONNX", f"{name} is empty; {NEXT_STEP}")
    if size > max_bytes:
        raise _too_large(name, f"{size} bytes", max_bytes)
    model = _parse(path.read_bytes(), name)
    _ModelGuard(model, name).check()
    return model


def _parse(content: bytes, name: str) -> Any:
    for start, kind in KNOWN_SIGNATURES:
        if content.startswith(start):
            raise ModelRefused("NotONNX", f"{name} is {kind}; {NEXT_STEP}")
    try:
        model = Model.FromString(content)
    except DecodeError as error:
        if content.startswith(IR_VERSION_TAG):
            raise ModelRefused("ModelTruncated", f"{name} is cut off or damaged inside; upload it again") from error
        raise ModelRefused("NotONNX", f"{name} is not an ONNX model; {NEXT_STEP}") from error
    if not model.HasField("graph"):
        raise ModelRefused("NotONNX", f"{name} holds no ONNX graph; {NEXT_STEP}")
    return model


class _ModelGuard:
    """Visits every graph and tensor of a model."""

    def __init__(self, model: Any, name: str) -> None:
        self._model, self._name = model, name
        self._functions: dict[FunctionKey, list[Any]] = {}  # several where a name is overloaded
        for function in model.functions:
            self._functions.setdefault(_function_key(function.domain, function.name), []).append(function)
        self._nodes_in_function: dict[FunctionKey, int] = {}
        self._dense_values = 0

    def check(self) -> None:
        """Raises ModelRefused at the first finding."""
        model = self._model
        nodes = self._visit_graph(model.graph, 1, ())
        for training in model.training_info:
            nodes += self._visit_graph(training.initialization, 1, ()) + self._visit_graph(training.algorithm, 1, ())
        for key, functions in self._functions.items():
            nodes += self._count_function(key, ())
            for function in functions:
                self._visit_attributes(function.attribute_proto, 1, ())
        self._check_node_count(nodes)

    def _visit_graph(self, graph: Any, depth: int, calls: tuple[FunctionKey, ...]) -> int:
        """The number of nodes below `graph`; `calls` are the functions that are being visited."""
        if depth > MAX_GRAPH_DEPTH:
            raise _too_large(self._name, f"graphs nested {depth} deep", MAX_GRAPH_DEPTH)
        for tensor in graph.initializer:
            self._check_tensor(tensor)
        for sparse in graph.sparse_initializer:
            self._check_sparse(sparse)
        return self._visit_nodes(graph.node, depth, calls)

    def _visit_nodes(self, nodes: Iterable[Any], depth: int, calls: tuple[FunctionKey, ...]) -> int:
        count = 0
        for node in nodes:
            key = _function_key(node.domain, node.op_type)
            count += 1 + (self._count_function(key, calls) if key in self._functions else 0)
            count += self._visit_attributes(node.attribute, depth, calls)
            self._check_node_count(count)
        return count

    def _count_function(self, key: FunctionKey, calls: tuple[FunctionKey, ...]) -> int:
        """The number of nodes that a call of the function becomes when onnxruntime inlines it."""
        if key in calls or len(calls) >= MAX_FUNCTION_DEPTH:
            finding = "its functions call themselves" if key in calls else "its functions are nested too deep"
            raise ModelRefused("NotONNX", f"{self._name} is not an ONNX model ({finding}); {NEXT_STEP}")
        if key not in self._nodes_in_function:
            nodes = [node for function in self._functions[key] for node in function.node]
            self._nodes_in_function[key] = self._visit_nodes(nodes, 1, (*calls, key))
        return self._nodes_in_function[key]

    def _visit_attributes(self, attributes: Iterable[Any], depth: int, calls: tuple[FunctionKey, ...]) -> int:
        count = 0
        for attribute in attributes:
            for tensor in (*attribute.tensors, *_given(attribute, "t")):
                self._check_tensor(tensor)
            for sparse in (*attribute.sparse_tensors, *_given(attribute, "sparse_tensor")):
                self._check_sparse(sparse)
            for graph in (*attribute.graphs, *_given(attribute, "g")):
                count += self._visit_graph(graph, depth + 1, calls)
        return count

    def _check_node_count(self, count: int) -> None:
        if count > MAX_NODES:
            raise _too_large(self._name, f"{count} or more nodes", MAX_NODES)

    def _check_tensor(self, tensor: Any) -> None:
        if tensor.external_data or tensor.data_location:
            raise ModelRefused(
                "ExternalData",
                f"{self._name} stores weights in other files, which are never opened; save it with all weights inside "
                "(onnx.save_model with save_as_external_data=False)",
            )
        # onnxruntime allocates what the shape says before it looks at the values.
        values, stored = self._size(tensor.dims), sum(len(getattr(tensor, field)) for field in VALUE_FIELDS)
        if values > VALUES_IN_BYTE * stored:
            finding = f"tensor {_text(tensor.name)[:100]!r} of {values} values stores {stored}"
            raise ModelRefused("NotONNX", f"{self._name} is not a valid ONNX model ({finding}); {NEXT_STEP}")

    def _check_sparse(self, sparse: Any) -> None:
        self._check_tensor(sparse.values)
        self._check_tensor(sparse.indices)
        self._dense_values += self._size(sparse.dims)
        if self._dense_values > MAX_DENSE_VALUES:
            raise _too_large(self._name, f"{self._dense_values} values in sparse tensors", MAX_DENSE_VALUES)

    def _size(self, dims: Iterable[int]) -> int:
        lengths = list(dims)
        if any(length < 0 for length in lengths):
            finding = f"a tensor has the shape {lengths[:10]}"
            raise ModelRefused("NotONNX", f"{self._name} is not a valid ONNX model ({finding}); {NEXT_STEP}")
        return prod(lengths)


def _function_key(domain: bytes, name: bytes) -> FunctionKey:
    return (b"" if domain == b"ai.onnx" else domain, name)


def _given(message: Any, field: str) -> tuple[Any, ...]:
    return (getattr(message, field),) if message.HasField(field) else ()


def _too_large(name: str, finding: str, limit: int) -> ModelRefused:
    return ModelRefused("ModelTooLarge", f"{name} has {finding}, at most {limit} are accepted; make the model smaller")


def _text(content: bytes) -> str:
    return content.decode("utf-8", "replace")
