"""Whether the challenger was trained on rows that judge it, found by the Dataset's keys."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import duckdb

from flywheel_runtime.datasets.sql import quote_identifier, quote_literal

# A split by hash keeps rows where they are but for those near its boundary, which moves as the data grows.
MOST_MOVED = 0.1


def finding(data: Path, champion_data: Path) -> str | None:
    """The sentence about a leak, or None: no keys, no data, or no leak.

    A row that both models are compared on must not have trained the challenger. The champion's own test rows must not have
    either, except where the data is divided by time: there yesterday's test becomes today's training, and the rows compared are newer.
    """
    schema = _schema(data)
    keys = [str(key) for key in (schema or {}).get("keys") or ()]
    if schema is None or not keys:
        return None
    with duckdb.connect(config={"threads": 1}) as connection:
        own = _overlap(connection, data, data, keys)
        if own[0]:
            return _sentence(*own, "its own test split, on which it is compared,")
        earlier = _schema(champion_data)
        by_time = (schema.get("split") or {}).get("by") == "Time"
        if earlier is None or by_time or not set(keys) <= {str(each["name"]) for each in earlier["columns"]}:
            return None
        found, rows = _overlap(connection, champion_data, data, keys)
    return _sentence(found, rows, "the champion's test split") if found > MOST_MOVED * rows else None


def _schema(folder: Path) -> Mapping[str, Any] | None:
    path = folder / "schema.json"
    found: Mapping[str, Any] | None = json.loads(path.read_bytes()) if path.is_file() else None
    return found


def _overlap(connection: duckdb.DuckDBPyConnection, tested: Path, trained: Path, keys: list[str]) -> tuple[int, int]:
    """How many rows of the test split of one artifact have a key of the train split of the other, and how many there are."""
    named = ", ".join(f"{quote_identifier(key)}::VARCHAR AS k{at}" for at, key in enumerate(keys))
    same = " AND ".join(f"a.k{at} IS NOT DISTINCT FROM b.k{at}" for at in range(len(keys)))
    test, train = (
        f"(SELECT {named} FROM read_parquet({quote_literal(str(folder / f'{split}.parquet'))}))"
        for folder, split in ((tested, "test"), (trained, "train"))
    )
    found = connection.execute(
        f"SELECT count(*) FILTER (WHERE EXISTS (SELECT 1 FROM {train} b WHERE {same})), count(*) FROM {test} a"
    ).fetchone()
    return (int(found[0]), int(found[1])) if found else (0, 0)


def _sentence(found: int, rows: int, where: str) -> str:
    return f"TestRowsLeaked: {found:,} of {rows:,} rows of {where} are in the training split, by the Dataset's keys; train without them"
