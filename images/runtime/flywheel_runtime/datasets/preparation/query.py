"""Run the user's SELECT, which can read the tables and nothing else: each input is a view by its name, over its three splits."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import duckdb

from flywheel_runtime.contract.errors import Failure
from flywheel_runtime.datasets import sql
from flywheel_runtime.datasets.anomalies import Anomaly
from flywheel_runtime.datasets.preparation import asof_joins
from flywheel_runtime.datasets.preparation.bound_query import BoundQuery
from flywheel_runtime.datasets.split import SPLITS

SPLIT = "flywheel_split"
RESULT = '"#result"'


@dataclass(frozen=True)
class Table:
    """One input: its name in SQL, its folder, and the schema that its check wrote."""

    name: str
    folder: Path
    schema: Mapping[str, Any]

    @property
    def files(self) -> list[Path]:
        return [self.folder / f"{name}.parquet" for name in SPLITS]

    @property
    def columns(self) -> list[str]:
        return [str(column["name"]) for column in self.schema["columns"]]


def read_table(name: str, folder: Path) -> Table:
    """The data set in `folder`. Raises Failure InputInvalid where it is none."""
    try:
        schema = json.loads((folder / "schema.json").read_text())
        table = Table(name, folder, schema)
        columns = table.columns
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise _no_data(name, "its schema.json cannot be read", type(error).__name__) from error
    missing = next((file.name for file in table.files if not file.is_file()), None)
    if missing:
        raise _no_data(name, f"it has no {missing}")
    if SPLIT in (column.lower() for column in columns):
        message = f"Table '{name}' has a column '{SPLIT}', which prepare uses for the split of a row; rename it."
        raise Failure("InputInvalid", message)
    return table


def _no_data(name: str, finding: str, error: str = "") -> Failure:
    finding += f" ({error})" if error else ""
    message = f"Input '{name}' is no data set: {finding}; prepare takes Datasets and what other prepare steps wrote."
    return Failure("InputInvalid", message)


def _make_views(connection: duckdb.DuckDBPyConnection, tables: list[Table]) -> None:
    """A view for each table, for this connection: its columns, and `flywheel_split` with train, validation or test."""
    for table in tables:
        # One scan of three files: the parts of a UNION ALL come in another order now and then, with one thread too (measured).
        files = ", ".join(sql.quote_literal(str(file)) for file in table.files)
        split = " ".join(
            f"WHEN {sql.quote_literal(str(file))} THEN {sql.quote_literal(file.stem)}" for file in table.files
        )
        file = _unused_name(table.columns)
        query = (
            f"SELECT * EXCLUDE ({sql.quote_identifier(file)}), CASE {sql.quote_identifier(file)} {split} END AS {SPLIT} "
            f"FROM read_parquet([{files}], filename = {sql.quote_literal(file)})"
        )
        unreadable = partial(_no_data, table.name, "its Parquet cannot be read")
        with sql.translate_errors(unreadable, *sql.PARQUET_ERRORS):
            connection.execute(f"CREATE TEMP VIEW {sql.quote_identifier(table.name)} AS {query}")


def _unused_name(columns: list[str]) -> str:
    """A name that no column has, for the path of a row's file."""
    return "#file" + "#" * sum(column.lower().startswith("#file") for column in columns)


def run_query(folder: Path, inputs: list[Table], bound: BoundQuery, seed: int) -> list[Anomaly]:
    """Fill the table `#result` of the database in `folder`, and return warnings of ASOF joins that may take one of several rows.

    One thread, and random() from `seed`: sums of floats and random numbers are then the same each time.

    Raises:
        Failure: SqlInvalid with DuckDB's message, NoRows.
    """
    with sql.connect(folder) as connection:
        _make_views(connection, inputs)
        _restrict_access(connection, inputs)
        connection.execute("SELECT setseed($seed)", {"seed": _fraction(seed)})
        with _translate_errors(inputs):
            query = sql.single_select(connection, bound.sql)
            connection.execute(f"CREATE TABLE {RESULT} AS SELECT * FROM (\n{query}\n) AS result", dict(bound.values))
        is_empty = not sql.count_rows(connection, RESULT)
        ties = asof_joins.find_ties(connection, {table.name: table.columns for table in inputs}, query)
    if is_empty:
        message = "The SQL of this step selects no row; correct its condition, or see that its tables have such rows."
        raise Failure("NoRows", message)
    return ties


def _restrict_access(connection: duckdb.DuckDBPyConnection, inputs: list[Table]) -> None:
    """Allow no file but those of the tables, no extension, no change of settings, and no variable of this program."""
    files = ", ".join(sql.quote_literal(str(file)) for table in inputs for file in table.files)
    connection.execute(f"SET threads = 1; SET python_enable_replacements = false; SET allowed_paths = [{files}]")
    connection.execute("SET enable_external_access = false; SET lock_configuration = true")


@contextmanager
def _translate_errors(inputs: list[Table]) -> Iterator[None]:
    try:
        yield
    except duckdb.PermissionException as error:
        listed = ", ".join(f"'{table.name}'" for table in inputs)
        raise _invalid(f"{sql.describe_error(error)}; it can read the tables {listed} and nothing else") from error
    except (duckdb.Error, ValueError) as error:
        if isinstance(error, duckdb.OutOfMemoryException) or "No space left" in str(error):
            raise
        raise _invalid(sql.describe_error(error)) from error


def _invalid(finding: str) -> Failure:
    return Failure("SqlInvalid", f"The SQL of this step cannot run: {finding}. It must be one SELECT.")


def _fraction(seed: int) -> float:
    """A seed as setseed takes it, from -1 to 1."""
    return (seed % 2_000_001 - 1_000_000) / 1_000_000
