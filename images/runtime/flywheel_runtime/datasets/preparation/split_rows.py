"""The split of each row of the result, and the rows of a sample."""

import duckdb

from flywheel_runtime.contract.errors import Failure
from flywheel_runtime.datasets import split
from flywheel_runtime.datasets.preparation.query import SPLIT, Table
from flywheel_runtime.datasets.schema import Schema
from flywheel_runtime.datasets.sql import quote_column, quote_literal
from flywheel_runtime.datasets.target import Target

# A sample is for trying things out: five folds, a curve and a metric of each class need some rows of each.
MIN_SAMPLE_ROWS = 20
CURE = "take its window from the train rows alone, with WHERE flywheel_split <> 'train' OR …"


def carry_splits(connection: duckdb.DuckDBPyConnection, schema: Schema, first: Table) -> dict[str, int]:
    """Create the table `splits` as the column flywheel_split says; returns the rows of each split."""
    names = ", ".join(quote_literal(name) for name in split.SPLITS)
    wrong = connection.execute(
        f"SELECT count(*) FROM data WHERE {SPLIT} IS NULL OR {SPLIT} NOT IN ({names})"
    ).fetchone()
    if wrong and wrong[0]:
        message = f"{wrong[0]:,} rows of the result have another {SPLIT} than {names}; select it as the tables have it."
        raise Failure("SplitInvalid", message)
    has_target = f"{quote_column(schema.target)} IS NOT NULL" if schema.target else "true"
    connection.execute(
        f"CREATE TABLE splits AS SELECT rowid AS row, {SPLIT} AS split FROM data WHERE {has_target} ORDER BY rowid"
    )
    rows = split.count_splits(connection)
    rows_before = first.schema["rows"]
    empty = next((name for name in split.SPLITS if not rows[name] and (name == "train" or rows_before.get(name))), None)
    if empty:
        # A window over data that is split by time: its train rows are the oldest.
        cure = "it keeps them all with WHERE flywheel_split <> 'train' OR …" if empty != "train" else CURE
        message = (
            f"The {empty} split would have no row: its SQL, or a feature with missing: Refuse, leaves out all {rows_before.get(empty, 0):,} {empty} rows "
            f"of table '{first.name}'; {cure}, or leave {SPLIT} out to split the rows anew."
        )
        raise Failure("SplitEmpty", message)
    return rows


def sample_rows(
    connection: duckdb.DuckDBPyConnection, schema: Schema, target: Target | None, fraction: float, seed: int
) -> dict[str, int]:
    """Take that fraction of every split and class by the rows' hash, the same each time; at least 20 rows of each if there are as many."""
    is_classes = target is not None and target.task == "Classification"
    stratum = quote_column(target.name) if target and is_classes else "0"
    columns = list(schema.keys) or sorted(column.name for column in schema.columns)
    hashed = f"md5({quote_literal(str(seed))} || chr(31) || {split.row_text(columns)})"
    connection.execute(
        f"""CREATE TABLE sampled AS
        WITH ranked AS (SELECT row, split, count(*) OVER same AS size,
                               row_number() OVER (same ORDER BY hash, row) AS place
                        FROM (SELECT splits.row, splits.split, {stratum} AS stratum, {hashed} AS hash
                              FROM data JOIN splits ON data.rowid = splits.row)
                        WINDOW same AS (PARTITION BY split, stratum))
        SELECT row, split FROM ranked WHERE place <= greatest(ceil(size * {fraction}), {MIN_SAMPLE_ROWS}) ORDER BY row"""
    )
    connection.execute("DROP TABLE splits; ALTER TABLE sampled RENAME TO splits")
    return split.count_splits(connection)
