"""The tables of a prepare: each input is a view by its name, over its three splits."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import duckdb

from flywheel_runtime.contract.errors import Failure
from flywheel_runtime.datasets.split import SPLITS
from flywheel_runtime.datasets.sql import PARQUET_ERRORS, quote_identifier, quote_literal, translate_errors

SPLIT = "flywheel_split"
FILE = '"#file"'


@dataclass(frozen=True)
class Table:
    """One input: its name in SQL, its folder, and the schema that its check wrote."""

    name: str
    folder: Path
    schema: Mapping[str, Any]

    @property
    def files(self) -> list[Path]:
        return [self.folder / f"{name}.parquet" for name in SPLITS]


def read_table(name: str, folder: Path) -> Table:
    """The data set in `folder`. Raises Failure InputInvalid where it is none."""
    try:
        schema = json.loads((folder / "schema.json").read_text())
        table = Table(name, folder, schema)
        columns = [column["name"] for column in schema["columns"]]
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


def make_views(connection: duckdb.DuckDBPyConnection, tables: list[Table]) -> None:
    """A view for each table, for this connection: its columns, and `flywheel_split` with train, validation or test."""
    for table in tables:
        # One scan of three files: the parts of a UNION ALL come in another order now and then, with one thread too (measured).
        files = ", ".join(quote_literal(str(file)) for file in table.files)
        split = " ".join(f"WHEN {quote_literal(str(file))} THEN {quote_literal(file.stem)}" for file in table.files)
        query = f"SELECT * EXCLUDE ({FILE}), CASE {FILE} {split} END AS {SPLIT} FROM read_parquet([{files}], filename = '#file')"
        unreadable = partial(_no_data, table.name, "its Parquet cannot be read")
        with translate_errors(unreadable, *PARQUET_ERRORS):
            connection.execute(f"CREATE TEMP VIEW {quote_identifier(table.name)} AS {query}")
