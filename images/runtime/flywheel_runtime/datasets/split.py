"""Divide the rows: table `splits` (row, split), the same for the same rows whatever their order or the machine."""

import duckdb

from flywheel_runtime.contract.errors import Failure
from flywheel_runtime.datasets.schema import Schema
from flywheel_runtime.datasets.sql import quote_column, quote_literal

SPLITS = ("train", "validation", "test")


def row_text(columns: list[str]) -> str:
    """SQL for a row's content as text: values in the order of `columns`, missing ones distinct from empty ones."""
    return (
        "concat_ws(chr(31), " + ", ".join(f"coalesce({quote_column(name)}::VARCHAR, chr(0))" for name in columns) + ")"
    )


def assign_splits(connection: duckdb.DuckDBPyConnection, schema: Schema) -> dict[str, int]:
    """Create `splits` for the rows that have a target, and return the rows of each split."""
    rules = {"Random": _by_hash, "Time": _by_time, "Group": _by_group}
    has_target = f"{quote_column(schema.target)} IS NOT NULL" if schema.target else "true"
    connection.execute(f"CREATE TABLE splits AS {rules[schema.split.by](schema, has_target)}")
    rows = count_splits(connection)
    wanted = {"train": 1.0, "validation": schema.split.validation, "test": schema.split.test}
    empty = next((name for name in SPLITS if wanted[name] > 0 and rows[name] == 0), None)
    if empty is not None:
        message = (
            f"The {empty} split would have no row ({sum(rows.values()):,} rows by {schema.split.by}); "
            "bring more rows or change spec.split."
        )
        raise Failure("SplitEmpty", message)
    return rows


def count_splits(connection: duckdb.DuckDBPyConnection) -> dict[str, int]:
    """The rows of each split in the table `splits`."""
    counted = dict(connection.execute("SELECT split, count(*) FROM splits GROUP BY split").fetchall())
    return {name: int(counted.get(name, 0)) for name in SPLITS}


def _hash(schema: Schema, columns: list[str]) -> str:
    return f"md5({quote_literal(str(schema.split.seed))} || chr(31) || {row_text(columns)})"


def _by_hash(schema: Schema, has_target: str) -> str:
    """Rows in the order of their hash fill test, then validation; equal rows go together, where their middle falls."""
    split = schema.split
    columns = list(schema.keys) or sorted(column.name for column in schema.columns)
    stratum = quote_column(split.stratify) if split.stratify else "0"
    return f"""
        WITH hashed AS (SELECT rowid AS row, {stratum} AS stratum, {_hash(schema, columns)} AS hash
                        FROM data WHERE {has_target}),
        ranked AS (SELECT row, count(*) OVER (PARTITION BY stratum) AS size,
                          rank() OVER (PARTITION BY stratum ORDER BY hash) - 1
                          + count(*) OVER (PARTITION BY stratum, hash) / 2 AS middle FROM hashed)
        SELECT row, CASE WHEN middle < size * {split.test} THEN 'test'
                         WHEN middle < size * {split.test + split.validation} THEN 'validation'
                         ELSE 'train' END AS split
        FROM ranked"""


def _by_time(schema: Schema, has_target: str) -> str:
    """The newest rows test, those before them validate. A boundary is a time, so equal times stay together."""
    split, time = schema.split, quote_column(schema.event_time or "")
    return f"""
        WITH ranked AS (SELECT rowid AS row, rank() OVER (ORDER BY {time} NULLS FIRST) - 1 AS place,
                               count(*) OVER () AS size FROM data WHERE {has_target})
        SELECT row, CASE WHEN place >= round(size * (1 - {split.test})) AND {split.test} > 0 THEN 'test'
                         WHEN place >= round(size * (1 - {split.test} - {split.validation}))
                              AND {split.validation} > 0 THEN 'validation'
                         ELSE 'train' END AS split
        FROM ranked"""


def _by_group(schema: Schema, has_target: str) -> str:
    """Groups in the order of their hash fill test, then validation; a group goes where its middle row falls."""
    split, group = schema.split, schema.split.group or ""
    return f"""
        WITH groups AS (SELECT {quote_column(group)} AS value, {_hash(schema, [group])} AS hash, count(*) AS size
                        FROM data WHERE {has_target} GROUP BY value),
        placed AS (SELECT value, (sum(size) OVER (ORDER BY hash) - size / 2) / sum(size) OVER () AS middle FROM groups)
        SELECT data.rowid AS row, CASE WHEN middle < {split.test} THEN 'test'
                                       WHEN middle < {split.test} + {split.validation} THEN 'validation'
                                       ELSE 'train' END AS split
        FROM data JOIN placed ON data.{quote_column(group)} IS NOT DISTINCT FROM placed.value WHERE {has_target}"""
