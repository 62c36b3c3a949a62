"""Whether the challenger was trained on rows that it is compared on, found by the Dataset's keys."""

import json
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import duckdb

from flywheel_runtime.datasets.sql import connect, quote_identifier, quote_literal

LEARNED_FILES = ("train.parquet", "validation.parquet")  # from which a version learned, and by which it was chosen

# A split by hash leaves rows where they are but for those near its boundary, which moves as the data grows.
MAX_MOVED_FRACTION = 0.1


def find_leak(data: Path, champion_data: Path) -> str | None:
    """The sentence about a leak, or None: no keys, no data, or no leak.

    The challenger must not be trained on a row that both models are compared on, nor on the champion's own test rows, except where
    the data is split by time: there yesterday's test becomes today's training, and the rows compared are newer.
    """
    schema = _read_schema(data)
    keys = [str(key) for key in (schema or {}).get("keys") or ()]
    if schema is None or not keys:
        return None
    with connect(threads=1) as connection:
        leaked, rows = _count_overlap(connection, data, data, keys)
        if leaked:
            return _sentence(leaked, rows, "its own test split, on which it is compared,")
        champion_schema = _read_schema(champion_data)
        by_time = (schema.get("split") or {}).get("by") == "Time"
        if champion_schema is None or by_time:
            return None
        if not set(keys) <= {str(each["name"]) for each in champion_schema["columns"]}:
            return None
        leaked, rows = _count_overlap(connection, champion_data, data, keys)
    return _sentence(leaked, rows, "the champion's test split") if leaked > MAX_MOVED_FRACTION * rows else None


def _read_schema(folder: Path) -> Mapping[str, Any] | None:
    path = folder / "schema.json"
    schema: Mapping[str, Any] | None = json.loads(path.read_bytes()) if path.is_file() else None
    return schema


def _count_overlap(connection: duckdb.DuckDBPyConnection, test: Path, train: Path, keys: list[str]) -> tuple[int, int]:
    """How many rows of the test split of one artifact have a key of the train split of the other, and how many there are."""
    columns = ", ".join(f"{quote_identifier(key)}::VARCHAR AS k{number}" for number, key in enumerate(keys))
    same = " AND ".join(f"a.k{number} IS NOT DISTINCT FROM b.k{number}" for number in range(len(keys)))
    tested, trained = (
        f"(SELECT {columns} FROM read_parquet({quote_literal(str(file))}))"
        for file in (test / "test.parquet", train / "train.parquet")
    )
    counts = connection.execute(
        f"SELECT count(*) FILTER (WHERE EXISTS (SELECT 1 FROM {trained} b WHERE {same})), count(*) FROM {tested} a"
    ).fetchone()
    return (int(counts[0]), int(counts[1])) if counts else (0, 0)


def _sentence(leaked: int, rows: int, where: str) -> str:
    return f"TestRowsLeaked: {leaked:,} of {rows:,} rows of {where} are in the training split, by the Dataset's keys; train without them"


def leave_out_learned(connection: duckdb.DuckDBPyConnection, data: Path, protected: Collection[str]) -> tuple[int, str]:
    """Removes from the table `truth_rows`, by its column `key`, the rows that the challenger learned from or was chosen by.

    Returns how many, and the sentence about them: with none where nothing tells which these are, such as a key that the log hashes
    (`protected` has the columns that it does not log as they are).
    """
    schema = _read_schema(data)
    keys = [str(key) for key in (schema or {}).get("keys") or ()]
    files = [data / name for name in LEARNED_FILES if (data / name).is_file()]
    ((logged,),) = connection.execute("SELECT count(key) FROM truth_rows").fetchall()
    finding = ""
    if schema is None or not files:
        finding = "no training data is known"
    elif len(keys) != 1:
        finding = "its Dataset has no single key"
    elif not logged or keys[0] in protected:
        finding = f"key '{keys[0]}' is not logged"
    if finding:
        return 0, f"may include training rows: {finding}"
    listed = ", ".join(quote_literal(str(file)) for file in files)
    ((count,),) = connection.execute(
        f"DELETE FROM truth_rows WHERE key IN (SELECT {quote_identifier(keys[0])}::VARCHAR FROM read_parquet([{listed}], union_by_name = true))"
    ).fetchall()
    return int(count), f"{count:,} training rows are left out by key '{keys[0]}'"
