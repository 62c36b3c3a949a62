"""A snapshot: the rows of a database as files of Parquet, which are one file in the order of their keys before they are read as a source.

A database gives rows in any order, and Parquet written by another release has other bytes. So the file is known by its rows.

An incremental source has only rows that changed since the last snapshot, which replace those of the same keys. The output `snapshot` is
what the next one adds to.
"""

import hashlib
import json
from pathlib import Path
from typing import Any

import duckdb

from flywheel_runtime.contract.errors import Failure
from flywheel_runtime.contract.step import Step, canonical_json, write_json
from flywheel_runtime.datasets.formats import SourceFile
from flywheel_runtime.datasets.schema import DatasetSpec, IncrementalColumn
from flywheel_runtime.datasets.split import row_text
from flywheel_runtime.datasets.sql import (
    COLUMN_PREFIX,
    describe_columns,
    prefix_columns,
    preserve_order,
    quote_column,
    quote_identifier,
    quote_literal,
)

FILE_NAME, STATE_FILE = "rows.parquet", "snapshot.json"
READ_FILE = ".snapshot.json"  # what `fetch` decided to read, beside its rows
FETCHED_ROWS = 100_000
# The least value of each type: a server refuses to compare its column with a smaller one.
SIGNED = {"TINYINT": 8, "SMALLINT": 16, "INTEGER": 32, "BIGINT": 64}
INTEGERS = {kind: -(2 ** (bits - 1)) for kind, bits in SIGNED.items()} | dict.fromkeys(
    ("UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT"), 0
)


def write_snapshot(connection: duckdb.DuckDBPyConnection, step: Step, spec: DatasetSpec, scratch: Path) -> SourceFile:
    """Write all rows to one file, in the output `snapshot` of an incremental source and else in `scratch`.

    Raises:
        Failure: the column of an incremental source holds neither whole numbers nor times.
    """
    path = (step.output("snapshot") if spec.incremental else scratch) / FILE_NAME
    read = _what_was_read(step.input("source"))
    rows = _all_rows(step, spec, is_partial=read.get("bound") is not None)
    types = {name.removeprefix(COLUMN_PREFIX): kind for name, kind in describe_columns(connection, rows).items()}
    order = ", ".join(quote_column(key) for key in spec.keys if key in types) or "ALL"
    named = ", ".join(f"{quote_column(name)} AS {quote_identifier(name)}" for name in types)
    with preserve_order(connection):
        # Rows with the same keys may come in either order; the check refuses them later.
        connection.execute(
            f"COPY (SELECT {named} FROM (SELECT * FROM {rows} ORDER BY {order})) "
            f"TO {quote_literal(str(path))} (FORMAT parquet, COMPRESSION zstd)"
        )
        digest = _digest_rows(connection, path, types)
    if spec.incremental:
        bound = _find_bound(connection, path, spec.incremental, types, read.get("readAt"))
        write_json(path.with_name(STATE_FILE), {**read, "v": 1, "bound": bound})
    return SourceFile(path, FILE_NAME, path.stat().st_size, digest, gzipped=False)


def _what_was_read(folder: Path) -> dict[str, Any]:
    """The document of `fetch`; empty where the source is not incremental, so that all rows were read."""
    path = folder / READ_FILE
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    return found


def _all_rows(step: Step, spec: DatasetSpec, *, is_partial: bool) -> str:
    """SQL for all rows: those that were read, and those of the last snapshot with other keys."""
    read = sorted(step.input("source").glob("*.parquet"))
    earlier = _read_files([step.input("snapshot") / FILE_NAME])
    if not is_partial:
        return _read_files(read)
    if not read:
        return earlier
    names = [quote_column(key) for key in spec.keys]
    same = " AND ".join(f"earlier.{name} IS NOT DISTINCT FROM read.{name}" for name in names)  # a key may be missing
    others = f"SELECT * FROM {earlier} AS earlier ANTI JOIN {_read_files(read)} AS read ON {same}"
    return f"(SELECT * FROM {_read_files(read)} UNION ALL BY NAME {others})"


def _read_files(paths: list[Path]) -> str:
    names = ", ".join(quote_literal(str(path)) for path in paths)
    return prefix_columns(f"read_parquet([{names}], hive_partitioning = false)")


def _digest_rows(connection: duckdb.DuckDBPyConnection, path: Path, types: dict[str, str]) -> str:
    """The SHA-256 of the columns with their types and of all rows in their order."""
    digest = hashlib.sha256(canonical_json(list(types.items())).encode())
    hashes = connection.execute(f"SELECT md5({row_text(list(types))}) FROM {_read_files([path])}")
    while chunk := hashes.fetchmany(FETCHED_ROWS):
        digest.update("".join(row[0] for row in chunk).encode())
    return digest.hexdigest()


def _find_bound(
    connection: duckdb.DuckDBPyConnection,
    path: Path,
    incremental: IncrementalColumn,
    types: dict[str, str],
    read_at: str | None,
) -> str | None:
    """The value of the column from which on the next check reads, as text of SQL; None if no row has a value.

    A time after `read_at` counts as that, since rows that are written from now on have earlier ones.
    """
    kind, overlap = types.get(incremental.column, "no column"), incremental.overlap_seconds
    column = f"max({quote_column(incremental.column)})"
    before = f"- INTERVAL {overlap} SECONDS"
    if kind in ("DATE", "TIMESTAMP", "TIMESTAMP WITH TIME ZONE") and read_at is not None:
        column = f"least({column}, {quote_literal(read_at)}::{kind})"
    if kind in INTEGERS:
        bound = f"greatest({column}::HUGEINT - {overlap}, {INTEGERS[kind]})"
    elif kind == "DATE":
        bound = f"({column}::TIMESTAMP {before})::DATE"
    elif kind == "TIMESTAMP":
        bound = f"{column} {before}"
    elif kind == "TIMESTAMP WITH TIME ZONE":
        bound = f"({column} AT TIME ZONE 'UTC') {before}"
    else:
        words = f"spec.source.sql.incremental.column '{incremental.column}' holds {kind}, and has to hold whole numbers or times"
        raise Failure("IncrementalInvalid", f"{words}; name another column or remove spec.source.sql.incremental")
    [[found]] = connection.execute(f"SELECT ({bound})::VARCHAR FROM {_read_files([path])}").fetchall()
    return None if found is None else str(found)
