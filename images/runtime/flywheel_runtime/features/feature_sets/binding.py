"""A FeatureSet's definition with the types of the columns that it reads, or a sentence for each thing that is wrong with it."""

from collections.abc import Iterator, Mapping, Sequence

from flywheel_runtime.contract.errors import Failure
from flywheel_runtime.datasets.formats.column_names import find_same
from flywheel_runtime.datasets.types import TIMESTAMP
from flywheel_runtime.features.feature_sets.definition import (
    Aggregate,
    AggregateSpec,
    ColumnType,
    Definition,
    FeatureSetSpec,
    FunctionName,
    Lookup,
    LookupSpec,
    Source,
)

INVALID = "FeatureSetInvalid"
Types = Mapping[str, ColumnType]  # of a Dataset's columns
NUMBERS: tuple[ColumnType, ...] = ("Integer", "Float")
KEY_TYPES: tuple[ColumnType, ...] = ("String", "Integer", "Boolean")
ORDERED: tuple[ColumnType, ...] = (*NUMBERS, "Timestamp")
ALLOWED: Mapping[FunctionName, tuple[ColumnType, ...]] = {
    "sum": NUMBERS,
    "avg": NUMBERS,
    "min": ORDERED,
    "max": ORDERED,
    "countDistinct": KEY_TYPES,
}


def bind(spec: FeatureSetSpec, datasets: Mapping[str, Types]) -> Definition:
    """The definition by the columns of each Dataset. Raises Failure FeatureSetInvalid, which names what is wrong."""
    problems = list(_find_problems(spec, datasets))
    if problems:
        raise Failure(INVALID, f"FeatureSet '{spec.name}': {'; '.join(problems)}.")
    aggregates = [_aggregate(each, datasets[each.from_.dataset]) for each in spec.aggregates]
    lookups = [_lookup(each, datasets[each.from_.dataset]) for each in spec.lookups]
    return Definition(**{**dict(spec), "aggregates": tuple(aggregates), "lookups": tuple(lookups)})


def check_binding(definition: Definition, datasets: Mapping[str, Types], cure: str) -> None:
    """Raises Failure FeatureSetInvalid with this cure where the columns are no longer those that the definition was checked with."""
    try:
        is_same = bind(FeatureSetSpec.model_validate(_without_types(definition)), datasets) == definition
    except Failure as failure:
        raise Failure(INVALID, f"{failure.message.removesuffix('.')}; {cure}") from failure
    if not is_same:
        message = (
            f"FeatureSet '{definition.name}': columns of its Datasets have other types than when it was checked; {cure}"
        )
        raise Failure(INVALID, message)


def _without_types(definition: Definition) -> Mapping[str, object]:
    document = definition.model_dump(
        exclude={"v": True, "aggregates": {"__all__": {"type", "column_type"}}, "lookups": {"__all__": {"types"}}}
    )
    found: Mapping[str, object] = document
    return found


def _aggregate(spec: AggregateSpec, types: Types) -> Aggregate:
    column_type = types[spec.column] if spec.column is not None else None
    found: ColumnType = "Float" if spec.function == "avg" else "Integer"
    if spec.function not in ("count", "countDistinct", "avg") and column_type is not None:
        found = column_type
    return Aggregate(**{**dict(spec), "type": found, "column_type": column_type})


def _lookup(spec: LookupSpec, types: Types) -> Lookup:
    return Lookup(**{**dict(spec), "types": tuple(types[column] for column in spec.columns)})


def _find_problems(spec: FeatureSetSpec, datasets: Mapping[str, Types]) -> Iterator[str]:
    if spec.input_types.get(spec.event_time) != TIMESTAMP:
        yield f"eventTime '{spec.event_time}' must be an input of type Timestamp"
    for kind, features in (("aggregate", spec.aggregates), ("lookup", spec.lookups)):
        for each in features:
            types = datasets[each.from_.dataset]
            for problem in _source_problems(each.from_, each.key, each.read_columns, spec.input_types, types):
                yield f"{kind} '{each.name}' {problem}"
    for aggregate in spec.aggregates:
        found = datasets[aggregate.from_.dataset].get(aggregate.column or "")
        for problem in _function_problems(aggregate, found):
            yield f"aggregate '{aggregate.name}' {problem}"
    yield from _name_problems(spec)


def _source_problems(
    source: Source,
    key: Mapping[str, str],
    wanted: Sequence[str],
    inputs: Types,
    types: Types,
) -> Iterator[str]:
    times = [name for name in (source.time, source.ingestion_time) if name is not None]
    for name in (*times, *key, *wanted):
        if name not in types:
            near = find_same(name, types)
            advice = f"is '{near}' meant?" if near else f"it has {', '.join(list(types)[:20])}"
            yield f"reads column '{name}', which Dataset '{source.dataset}' lacks; {advice}"
    for name in times:
        if types.get(name, TIMESTAMP) != TIMESTAMP:
            yield f"takes '{name}' of Dataset '{source.dataset}' for a time, and it is {types[name]}; name a Timestamp"
    for column, given in key.items():
        if given not in inputs:
            yield f"has the key '{given}', which is no input; add it to inputs with its type"
        elif column in types and types[column] != inputs[given]:
            yield f"compares '{column}' of Dataset '{source.dataset}' ({types[column]}) with input '{given}' ({inputs[given]}); keys must have one type"
        elif inputs[given] not in KEY_TYPES:
            yield f"has a key of type {inputs[given]}; keys are {', '.join(KEY_TYPES)}"


def _function_problems(aggregate: AggregateSpec, column_type: ColumnType | None) -> Iterator[str]:
    function = aggregate.function
    if column_type is None:
        return
    allowed = ALLOWED.get(function)
    if allowed is not None and column_type not in allowed:
        yield f"takes {function} of '{aggregate.column}', which is {column_type}; {function} takes {' or '.join(allowed)}"
    if aggregate.missing == "Zero" and function in ("min", "max", "last") and column_type not in NUMBERS:
        yield f"has missing: Zero, and '{aggregate.column}' is {column_type}; write Null or Refuse"


def _name_problems(spec: FeatureSetSpec) -> Iterator[str]:
    """Names that two columns of one row would have."""
    names = [*spec.input_types, *(each.name for each in spec.aggregates)]
    names += [f"{lookup.name}_{column}" for lookup in spec.lookups for column in lookup.columns]
    names += list(spec.rowwise)
    for place, name in enumerate(names):
        if same := find_same(name, names[:place]):
            yield f"has '{name}' and '{same}', which are one name in SQL; rename one of them"
