"""Write a version: Parquet splits and the digests by which versions and test splits are known."""

import hashlib
from pathlib import Path

import duckdb

from flywheel_runtime.contract.step import canonical_json
from flywheel_runtime.datasets.schema import Schema
from flywheel_runtime.datasets.source_file import SourceFile
from flywheel_runtime.datasets.split import SPLITS, row_text
from flywheel_runtime.datasets.sql import preserve_order, quote_identifier, quote_literal

# Changes when the same source and settings would give other files.
LAYOUT = 1


def write_splits(connection: duckdb.DuckDBPyConnection, schema: Schema, folder: Path) -> None:
    """Write train, validation and test in the order of the time, else of the source; the same rows give the same bytes."""
    columns = ", ".join(quote_identifier(column.name) for column in schema.columns)
    time = f"{quote_identifier(schema.event_time)} NULLS FIRST, " if schema.event_time else ""
    with preserve_order(connection):
        for name in SPLITS:
            connection.execute(
                f'COPY (SELECT {columns} FROM joined WHERE "#split" = \'{name}\' ORDER BY {time}"#row") '
                f"TO {quote_literal(str(folder / f'{name}.parquet'))} (FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE 122880)"
            )


def content_digest(files: list[SourceFile], schema: Schema) -> str:
    """Digest of the source's bytes and of all settings that shape the output: the identity of a version."""
    settings = {"layout": LAYOUT, "files": [file.sha256 for file in files], "schema": schema.as_json()}
    return "sha256:" + hashlib.sha256(canonical_json(settings).encode()).hexdigest()


def rows_digest(folder: Path, schema: Schema) -> str:
    """Digest of the written splits and their schema: rows that were made from others are known by what they are."""
    parts = [_sha256(folder / f"{name}.parquet") for name in SPLITS]
    settings = {"layout": LAYOUT, "splits": parts, "schema": schema.as_json()}
    return "sha256:" + hashlib.sha256(canonical_json(settings).encode()).hexdigest()


def test_digest(connection: duckdb.DuckDBPyConnection, schema: Schema) -> str:
    """Digest of the test split's rows as a set: versions whose test rows are the same can be compared."""
    columns = sorted(column.name for column in schema.columns)
    digest = hashlib.sha256(canonical_json({"columns": columns, "target": schema.target}).encode())
    rows = connection.execute(
        f"SELECT md5({row_text(columns)}) AS hash FROM joined WHERE \"#split\" = 'test' ORDER BY hash"
    )
    while chunk := rows.fetchmany(100_000):
        digest.update("".join(row[0] for row in chunk).encode())
    return "sha256:" + digest.hexdigest()


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
