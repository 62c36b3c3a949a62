"""What the features of a FeatureSet are, in plain Python over lists of rows: the oracle of the property tests."""

import math
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from flywheel_runtime.features.feature_sets.definition import Aggregate, Definition, Lookup, Source

Row = Mapping[str, Any]
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MAX_DISTINCT = 1_000


def compute_features(
    definition: Definition, rows: Sequence[Row], sources: Mapping[str, Sequence[Row]]
) -> list[dict[str, Any]]:
    """The looked-up features of each row."""
    return [_features_of(definition, row, sources) for row in rows]


def _features_of(definition: Definition, row: Row, sources: Mapping[str, Sequence[Row]]) -> dict[str, Any]:
    time, found = row[definition.event_time], {}
    for aggregate in definition.aggregates:
        visible = _matching(aggregate.from_, aggregate.key, row, sources)
        value = None if time is None else aggregate_value(aggregate, visible, _micros(time))
        zero = 0.0 if aggregate.type == "Float" else 0
        found[aggregate.name] = zero if value is None and aggregate.missing == "Zero" else value
    for lookup in definition.lookups:
        visible = _matching(lookup.from_, lookup.key, row, sources)
        last = None if time is None else last_row(lookup, visible, _micros(time))
        for name, column in zip(lookup.features, lookup.columns, strict=True):
            found[name] = None if last is None else _value(last[column])
    return found


def _matching(source: Source, key: Mapping[str, str], row: Row, sources: Mapping[str, Sequence[Row]]) -> list[Row]:
    wanted = [_value(row[name]) for name in key.values()]
    return [
        each
        for each in sources[source.dataset]
        if None not in wanted and [_value(each[name]) for name in key] == wanted and each[source.time] is not None
    ]


def aggregate_value(aggregate: Aggregate, rows: Sequence[Row], micros: int) -> Any:
    """The value for a time, of rows of the key: the parts of whole buckets, oldest first."""
    every = aggregate.every_seconds * 10**6
    end = (micros - aggregate.from_.available_after_seconds * 10**6) // every
    buckets: dict[int, list[Row]] = {}
    for row in rows:
        buckets.setdefault(_micros(row[aggregate.from_.time]) // every, []).append(row)
    newest = max((bucket for bucket in buckets if bucket < end), default=None)
    ttl = math.ceil(aggregate.ttl_seconds / aggregate.every_seconds)
    if newest is None or newest < end - ttl:
        return None
    window = [buckets[bucket] for bucket in range(end - aggregate.buckets, end) if bucket in buckets]
    return _FUNCTIONS[aggregate.function](aggregate, window)


def _count(aggregate: Aggregate, window: list[list[Row]]) -> Any:
    if aggregate.column is None:
        return sum(map(len, window))
    return sum(len(_values(aggregate, bucket)) for bucket in window)


def _sum(aggregate: Aggregate, window: list[list[Row]]) -> Any:
    total = _add([part for bucket in window if (part := _add(_values(aggregate, bucket))) is not None])
    return _finite(total) if isinstance(total, float) else total


def _avg(aggregate: Aggregate, window: list[list[Row]]) -> Any:
    count = sum(len(_values(aggregate, bucket)) for bucket in window)
    parts = [part for bucket in window if (part := _add(_values(aggregate, bucket))) is not None]
    total = _add(parts)
    if not count or (isinstance(total, int) and not -(2**63) <= total < 2**63):
        return None
    return _finite(float(total) / count)


def _extreme(choose: Callable[..., Any]) -> Callable[[Aggregate, list[list[Row]]], Any]:
    return lambda aggregate, window: choose(
        (value for bucket in window for value in _values(aggregate, bucket)), default=None
    )


def _last(aggregate: Aggregate, window: list[list[Row]]) -> Any:
    found = [values[-1] for bucket in window if (values := _values(aggregate, bucket))]
    return found[-1] if found else None


def _count_distinct(aggregate: Aggregate, window: list[list[Row]]) -> Any:
    return min(MAX_DISTINCT, len({value for bucket in window for value in _values(aggregate, bucket)}))


_FUNCTIONS: Mapping[str, Callable[[Aggregate, list[list[Row]]], Any]] = {
    "count": _count,
    "sum": _sum,
    "avg": _avg,
    "min": _extreme(min),
    "max": _extreme(max),
    "last": _last,
    "countDistinct": _count_distinct,
}


def _values(aggregate: Aggregate, bucket: list[Row]) -> list[Any]:
    """The values of a bucket in the order in which they count; those of `last` by the time when they were stored, too."""
    source, column = aggregate.from_, str(aggregate.column)
    stored = source.ingestion_time if aggregate.function == "last" else None
    found = [row for row in bucket if _value(row[column]) is not None]
    ordered = sorted(
        found, key=lambda row: (_micros(row[source.time]), _rank(row[stored]) if stored else 0, _value(row[column]))
    )
    return [_value(row[column]) for row in ordered]


def last_row(lookup: Lookup, rows: Sequence[Row], micros: int) -> Row | None:
    """The last row that counts for a time and is not too old."""
    source = lookup.from_
    before, oldest = micros - source.available_after_seconds * 10**6, micros - lookup.max_age_seconds * 10**6
    there = [row for row in rows if _micros(row[source.time]) < before]

    def order(row: Row) -> tuple[Any, ...]:
        stored = _rank(row[source.ingestion_time]) if source.ingestion_time else 0
        return (_micros(row[source.time]), stored, *(_rank_value(_value(row[column])) for column in lookup.columns))

    last = max(there, key=order, default=None)
    return last if last is not None and _micros(last[source.time]) >= oldest else None


def _rank(time: datetime | None) -> float:
    return -math.inf if time is None else _micros(time)


def _rank_value(value: Any) -> tuple[bool, Any]:
    return (value is not None, 0 if value is None else value)


def _add(values: Sequence[Any]) -> Any:
    """The sum in the order given, one addition after the other; None without values."""
    total = None
    for value in values:
        total = value if total is None else total + value
    return total


def _value(value: Any) -> Any:
    if isinstance(value, float):
        return _finite(value + 0.0)
    return None if value == "" else value


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _micros(time: datetime) -> int:
    return (time - EPOCH) // timedelta(microseconds=1)
