"""The last row of a key before a time. Of rows at one time the one that was stored last counts, then the one with the greatest values.

DuckDB's ASOF takes any row of several at one time, and another one as rows are added. So it is asked for the time alone, which they share.
"""

from flywheel_runtime.features.feature_sets.definition import Lookup
from flywheel_runtime.features.feature_sets.source_rows import MICROSECONDS, SourceTable


def values_sql(lookup: Lookup, asked: str, table: SourceTable) -> str:
    """SQL for each row of the table `asked` (`k0`, …, `micros`) that has a last row: `k0`, …, `micros`, `v0`, …."""
    keys = [f"k{place}" for place in range(len(lookup.key))]
    values = [f"v{place}" for place in range(len(lookup.columns))]
    question = [*keys, "micros"]
    available = lookup.from_.available_after_seconds * MICROSECONDS
    oldest = lookup.max_age_seconds * MICROSECONDS
    times = table.rows_sql(lookup.from_, lookup.key, ())
    newest = (
        f"SELECT {_named('asked', question)}, found.micros AS last FROM {asked} AS asked ASOF JOIN {times} AS found "
        f"ON {_same('found', 'asked', keys)} AND asked.micros - {available} > found.micros "
        f"WHERE found.micros >= asked.micros - {oldest}"
    )
    rows = table.rows_sql(lookup.from_, lookup.key, lookup.columns)
    order = ", ".join(f"found.{each} DESC NULLS LAST" for each in ("stored", *values))
    one = [*keys, "last"]
    # One row is chosen for each key and time, and not for each question: many rows may share a time, such as a date.
    chosen = (
        f"SELECT {_named('named', one)}, {_named('found', values)} FROM (SELECT DISTINCT {', '.join(one)} FROM newest) AS named "
        f"JOIN {rows} AS found ON {_same('found', 'named', keys)} AND found.micros = named.last "
        f"QUALIFY row_number() OVER (PARTITION BY {_named('named', one)} ORDER BY {order}) = 1"
    )
    return (
        f"WITH newest AS MATERIALIZED ({newest}) SELECT {_named('newest', question)}, {_named('chosen', values)} "
        f"FROM newest JOIN ({chosen}) AS chosen ON {_same('chosen', 'newest', one)}"
    )


def _named(table: str, columns: list[str]) -> str:
    return ", ".join(f"{table}.{column}" for column in columns)


def _same(one: str, other: str, columns: list[str]) -> str:
    return " AND ".join(f"{one}.{column} = {other}.{column}" for column in columns)
