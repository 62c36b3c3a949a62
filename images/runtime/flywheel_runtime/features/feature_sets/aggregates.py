"""Aggregates over whole buckets of the past, so that a store of buckets and a training have the same bits.

A bucket's part is a function of its rows in the order of their time and then of their value, and a window adds its parts oldest first.
NULL is no value. Sums of reals so have one order of additions, whatever order the rows came in.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from flywheel_runtime.features.feature_sets.definition import Aggregate, FunctionName
from flywheel_runtime.features.feature_sets.source_rows import MICROSECONDS, SourceTable, bucket_sql

MAX_DISTINCT = 1_000  # values that countDistinct tells apart; more count as so many
_THERE = "FILTER (WHERE v0 IS NOT NULL)"


@dataclass(frozen=True)
class Function:
    """SQL for the parts `p0`, `p1` of a bucket over its rows, and for the value over the parts of a window's buckets.

    `{order}` stands for the order of additions, `{number}` for the sum of a window. `is_count`: no row is the value 0.
    """

    parts: tuple[str, ...]
    value: str
    is_count: bool = False


_ADDED = f"sum(v0 {{order}}) {_THERE}"
_OLDEST_FIRST = "sum(p0 ORDER BY parts.bucket) FILTER (WHERE p0 IS NOT NULL)"
FUNCTIONS: Mapping[FunctionName, Function] = {
    "count": Function(("count(v0)",), "sum(p0)", is_count=True),
    "sum": Function((_ADDED,), _OLDEST_FIRST),
    "avg": Function((_ADDED, "count(v0)"), "({number})::DOUBLE / nullif(sum(p1), 0)"),
    "min": Function(("min(v0)",), "min(p0)"),
    "max": Function(("max(v0)",), "max(p0)"),
    "last": Function(
        (f"last(v0 ORDER BY micros, stored NULLS FIRST, v0) {_THERE}",),
        "last(p0 ORDER BY parts.bucket) FILTER (WHERE p0 IS NOT NULL)",
    ),
    "countDistinct": Function(
        (f"list_sort(list(DISTINCT v0) {_THERE})[1:{MAX_DISTINCT}]",),
        f"least({MAX_DISTINCT}, coalesce(len(list_distinct(flatten(list(p0) FILTER (WHERE p0 IS NOT NULL)))), 0))",
        is_count=True,
    ),
}


def parts_sql(aggregate: Aggregate, table: SourceTable, asked: str | None = None) -> str:
    """SQL for the parts of each bucket that has a row: `k0`, …, `bucket`, `p0`, ….

    Where `asked` is given, of those alone that the rows of that table (`k0`, …, `ends`) may need.
    """
    keys = _keys(aggregate)
    rows = table.rows_sql(aggregate.from_, aggregate.key, aggregate.read_columns)
    counted = rows if aggregate.column is not None else f"(SELECT *, 1 AS v0 FROM {rows} AS named)"
    bucket = bucket_sql("micros", aggregate.every_seconds)
    named = f"SELECT *, {bucket} AS bucket FROM {counted} AS counted"
    if asked is not None:
        oldest = max(aggregate.buckets, _ttl_buckets(aggregate))
        needed = f"bucket < (SELECT max(ends) FROM {asked}) AND bucket >= (SELECT min(ends) FROM {asked}) - {oldest}"
        named = f"SELECT * FROM ({named}) AS named SEMI JOIN {asked} AS asked USING ({', '.join(keys)}) WHERE {needed}"
    # Whole numbers have one sum in any order.
    order = "ORDER BY micros, v0" if aggregate.column_type == "Float" else ""
    function = FUNCTIONS[aggregate.function]
    parts = ", ".join(f"{part.format(order=order)} AS p{place}" for place, part in enumerate(function.parts))
    return f"SELECT {', '.join(keys)}, bucket, {parts} FROM ({named}) AS named GROUP BY ALL"


def end_bucket_sql(aggregate: Aggregate, time: str) -> str:
    """SQL for the first bucket after the window of a time in microseconds."""
    available = aggregate.from_.available_after_seconds * MICROSECONDS
    return bucket_sql(f"{time} - {available}", aggregate.every_seconds)


def values_sql(aggregate: Aggregate, asked: str, parts: str) -> str:
    """SQL for the value of each row of the table `asked` (`k0`, …, `ends`) by the table `parts`: `k0`, …, `ends`, `value`.

    `asked` has each row once, and a key in it is never NULL. `ends` is the first bucket after the window. The value is NULL for a key
    without a row within the ttl, and where no row of the window has one.
    """
    function, keys = FUNCTIONS[aggregate.function], _keys(aggregate)
    # A sum of whole numbers that no BIGINT holds is missing, and so is its mean.
    number = f"TRY_CAST({_OLDEST_FIRST} AS BIGINT)" if aggregate.column_type == "Integer" else _OLDEST_FIRST
    computed = function.value.format(number=number)
    same = " AND ".join(f"parts.{key} = asked.{key}" for key in keys)
    columns = [*keys, "ends"]
    named = ", ".join(f"asked.{each}" for each in columns)
    # A window has few buckets and a key may have many: an equality for each bucket costs less than a range for each key.
    within = f"SELECT {', '.join(columns)}, unnest(range(ends - {aggregate.buckets}, ends)) AS bucket FROM {asked}"
    windows = f"SELECT {named}, {computed} AS value FROM ({within}) AS asked JOIN {parts} AS parts ON {same} AND parts.bucket = asked.bucket GROUP BY ALL"
    newest = f"SELECT {named}, parts.bucket AS newest FROM {asked} AS asked ASOF JOIN {parts} AS parts ON {same} AND asked.ends > parts.bucket"
    value = "coalesce(value, 0)" if function.is_count else "value"
    both = f"({newest}) AS known LEFT JOIN ({windows}) AS windows USING ({', '.join(columns)})"
    return f"SELECT {', '.join(columns)}, CASE WHEN newest >= ends - {_ttl_buckets(aggregate)} THEN {value} END AS value FROM {both}"


def _ttl_buckets(aggregate: Aggregate) -> int:
    return -(-aggregate.ttl_seconds // aggregate.every_seconds)


def _keys(aggregate: Aggregate) -> list[str]:
    return [f"k{place}" for place in range(len(aggregate.key))]
