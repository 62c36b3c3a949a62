"""Run the user's SELECT, which can read the tables and nothing else."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb

from flywheel_runtime.commands.prepare import tables
from flywheel_runtime.commands.prepare.bound_query import BoundQuery
from flywheel_runtime.commands.prepare.tables import Table
from flywheel_runtime.contract.errors import Failure
from flywheel_runtime.datasets import sql

RESULT = '"#result"'


def run_query(folder: Path, inputs: list[Table], bound: BoundQuery, seed: int) -> None:
    """Fill the table `#result` of the database in `folder`.

    One thread, and random() from `seed`: sums of floats and random numbers are then the same each time.

    Raises:
        Failure: SqlInvalid with DuckDB's message, NoRows.
    """
    with sql.connect(folder) as connection:
        tables.make_views(connection, inputs)
        _restrict_access(connection, inputs)
        connection.execute("SELECT setseed($seed)", {"seed": _fraction(seed)})
        with _translate_errors(inputs):
            query = sql.single_select(connection, bound.sql)
            connection.execute(f"CREATE TABLE {RESULT} AS SELECT * FROM (\n{query}\n) AS result", dict(bound.values))
        is_empty = not sql.count_rows(connection, RESULT)
    if is_empty:
        message = "The SQL of this step selects no row; correct its condition, or see that its tables have such rows."
        raise Failure("NoRows", message)


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
