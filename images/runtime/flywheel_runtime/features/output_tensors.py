"""The outputs of the graph: a matrix of FP32 for a model, or one expression in its own type."""

from collections.abc import Iterable, Sequence
from typing import Any

from onnx import helper

from flywheel_runtime.features.errors import ExpressionRefused
from flywheel_runtime.features.functions.casts import cast_value
from flywheel_runtime.features.graph import CONTRIB, ML, GraphBuilder, Mask
from flywheel_runtime.features.sql_types import Kind, SqlType
from flywheel_runtime.features.values import Value

# RegexFullMatch and StringConcat are of opset 20.
OPSETS = {"": 20, ML: 3, CONTRIB: 1}
IR_VERSION = 9
FEATURES = "features"
NATIVE_VALUE, NATIVE_NULL = "value", "is_null"
FLOAT = SqlType("FLOAT")
TIMES = frozenset({"DATE", "INTERVAL", "TIMESTAMP", "TIMESTAMP WITH TIME ZONE"})


def build_matrix_model(graph: GraphBuilder, values: Sequence[Value]) -> Any:
    """A model with the output `features`: FP32 (rows, features), each equal to TRY(CAST(expression AS FLOAT)), NaN being NULL."""
    columns: list[str] = []
    masks: list[Mask] = []
    places: list[int] = []
    # A DECIMAL becomes a FLOAT by DuckDB's rule for it; all others of a kind by one Cast.
    values = [cast_value(graph, each, FLOAT, is_try=False) if each.type.scale else each for each in values]
    for kind in Kind:
        group = [place for place, value in enumerate(values) if value.kind is kind]
        if not group:
            continue
        matrix = graph.concatenate([_expand(graph, values[place].tensor) for place in group])
        columns.append(matrix if kind is Kind.FP32 else graph.cast(matrix, Kind.FP32))
        nulls = [_null_mask(graph, values[place]) for place in group]
        if kind is Kind.FP64:
            # A number beyond the range of FP32 is NULL, since the cast raises an error in DuckDB; infinity stays.
            overflow = graph.add("Xor", graph.add("IsInf", columns[-1]), graph.add("IsInf", matrix))
            nulls = [graph.any_of(_concatenate_masks(graph, nulls), overflow)]
        masks += nulls
        places += group
    features = graph.concatenate(columns)
    if mask := _concatenate_masks(graph, masks):
        features = graph.add("Where", mask, graph.constant(float("nan"), Kind.FP32), features)
    order = sorted(range(len(places)), key=places.__getitem__)
    output = graph.gather_columns(features, order)
    return _build_model(graph, [(output, FEATURES, Kind.FP32, len(values))])


def check_feature_type(value: Value) -> None:
    """Raises ExpressionRefused for a value that is no number."""
    if value.kind is Kind.STRING:
        raise ExpressionRefused("the feature is a text; compare it, or let the model encode the column")
    if value.type.name in TIMES:
        raise ExpressionRefused(f"the feature is a {value.type}; take a number of it, such as epoch() or hour()")


def _null_mask(graph: GraphBuilder, value: Value) -> Mask:
    mask = value.error if value.null_is_nan else graph.any_of(value.null, value.error)
    return _expand(graph, mask) if mask else None


def _concatenate_masks(graph: GraphBuilder, masks: Sequence[Mask]) -> Mask:
    """Masks side by side, of which the first alone may have several columns; None if there is none."""
    present = [mask for mask in masks if mask]
    if len(present) == len(masks):
        return graph.concatenate(present)
    if not present:
        return None
    column = next((mask for mask in masks[1:] if mask), None) or graph.gather_columns(present[0], [0])
    never = graph.add("Xor", column, column)  # false in each row: no server computes Expand in its own process
    return graph.concatenate([mask or never for mask in masks])


def build_native_model(graph: GraphBuilder, value: Value) -> Any:
    """A model with the outputs `value`, in the expression's own type, and `is_null`, each (rows, 1)."""
    null = graph.mask_tensor(graph.any_of(value.null, value.error))
    outputs = [
        (_expand(graph, value.tensor), NATIVE_VALUE, value.kind, 1),
        (_expand(graph, null), NATIVE_NULL, Kind.BOOL, 1),
    ]
    return _build_model(graph, outputs)


def build_comparison_model(graph: GraphBuilder, values: Sequence[Value]) -> Any:
    """A model with the outputs `value 0`, `is_null 0`, `value 1`, …: each value in its own type, (rows, 1)."""
    outputs = []
    for place, value in enumerate(values):
        null = graph.mask_tensor(graph.any_of(value.null, value.error))
        outputs += [
            (_expand(graph, value.tensor), f"{NATIVE_VALUE} {place}", value.kind, 1),
            (_expand(graph, null), f"{NATIVE_NULL} {place}", Kind.BOOL, 1),
        ]
    return _build_model(graph, outputs)


def _expand(graph: GraphBuilder, tensor: str) -> str:
    """The tensor with a row for each row of the inputs."""
    if not graph.is_constant(tensor):
        return tensor
    first = next(iter(graph.inputs))
    shape = graph.add("Shape", first)
    return graph.add("Expand", tensor, shape)


def _build_model(graph: GraphBuilder, outputs: Sequence[tuple[str, str, Kind, int]]) -> Any:
    """The model of what the outputs need."""
    names = [helper.make_node("Identity", [tensor], [name]) for tensor, name, _, _ in outputs]
    nodes, used = _reachable_nodes([*graph.nodes, *names], [name for _, name, _, _ in outputs])
    inputs = [helper.make_tensor_value_info(name, kind.element_type, [None, 1]) for name, kind in graph.inputs.items()]
    infos = [helper.make_tensor_value_info(name, kind.element_type, [None, width]) for _, name, kind, width in outputs]
    initializers = [tensor for name, tensor in graph.initializers.items() if name in used]
    opsets = [helper.make_opsetid(domain, version) for domain, version in OPSETS.items()]
    document = helper.make_graph(nodes, FEATURES, inputs, infos, initializers)
    return helper.make_model(document, opset_imports=opsets, ir_version=IR_VERSION)


def _reachable_nodes(nodes: Sequence[Any], outputs: Iterable[str]) -> tuple[list[Any], set[str]]:
    """The nodes on which the outputs depend, and all tensors that they read."""
    used = set(outputs)
    reachable = []
    for node in reversed(nodes):
        if not used.isdisjoint(node.output):
            reachable.append(node)
            used.update(node.input)
    return reachable[::-1], used
