"""The last row of a key before a time. Of rows at one time the one that was stored last counts, then the one with the greatest values.

DuckDB's ASOF takes any of them, and another one as rows are added, so only one is left before it is asked.
"""

from flywheel_runtime.features.feature_sets.definition import Lookup
from flywheel_runtime.features.feature_sets.source_rows import MICROSECONDS, SourceTable


def last_rows_sql(lookup: Lookup, table: SourceTable) -> str:
    """SQL for one row of each key and time: `k0`, …, `micros`, `v0`, …."""
    rows = table.rows_sql(lookup.from_, lookup.key, lookup.columns)
    names = [*_keys(lookup), "micros", *(f"v{place}" for place in range(len(lookup.columns)))]
    order = ", ".join(f"{each} DESC NULLS LAST" for each in ("stored", *names[len(lookup.key) + 1 :]))
    one = f"row_number() OVER (PARTITION BY {', '.join([*_keys(lookup), 'micros'])} ORDER BY {order}) = 1"
    return f"SELECT {', '.join(names)} FROM {rows} AS named QUALIFY {one}"


def values_sql(lookup: Lookup, asked: str, last_rows: str) -> str:
    """SQL for each row of the table `asked` (`k0`, …, `micros` in microseconds) that has a last row: `k0`, …, `micros`, `v0`, …."""
    keys = _keys(lookup)
    same = " AND ".join(f"found.{key} = asked.{key}" for key in keys)
    named = ", ".join(f"asked.{each}" for each in [*keys, "micros"])
    values = ", ".join(f"found.v{place}" for place in range(len(lookup.columns)))
    available, oldest = (
        seconds * MICROSECONDS for seconds in (lookup.from_.available_after_seconds, lookup.max_age_seconds)
    )
    before = f"asked.micros - {available} > found.micros"
    return f"SELECT {named}, {values} FROM {asked} AS asked ASOF JOIN {last_rows} AS found ON {same} AND {before} WHERE found.micros >= asked.micros - {oldest}"


def _keys(lookup: Lookup) -> list[str]:
    return [f"k{place}" for place in range(len(lookup.key))]
