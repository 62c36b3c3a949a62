"""What the columns of a chunk hold, and the type that holds those of several files."""

from collections.abc import Iterable, Mapping, Sequence

import duckdb

from flywheel_runtime.commands.batch.inference.cells import Cell
from flywheel_runtime.commands.batch.reading import Head, Piece
from flywheel_runtime.datasets.formats import TableForm
from flywheel_runtime.datasets.formats.column_names import doubled_folders, folder_differs
from flywheel_runtime.datasets.formats.csv import differs_from_folder
from flywheel_runtime.datasets.formats.parquet import UNTYPED
from flywheel_runtime.datasets.sql import connect, quote_column


def describe_cells(format_: str, head: Head, columns: Sequence[str], form: TableForm) -> dict[str, Cell]:
    """The cells of these columns in a chunk of a file with this head; what folders give is text."""
    return {
        name: Cell(
            quote_column(name), head.type_of(name), is_json=format_ == "JSONL" and name in head.columns, form=form.csv
        )
        for name in columns
    }


def check_folders(connection: duckdb.DuckDBPyConnection, table: str, piece: Piece, cells: Mapping[str, Cell]) -> None:
    """Failure FolderColumnDiffers where a wanted column of the file is not what its folder says."""
    for name, value in doubled_folders(piece.file.path, piece.head.columns).items():
        if name not in cells:
            continue
        found = f"SELECT {cells[name].text} AS {quote_column(name)} FROM {table}"
        if connection.execute(f"SELECT 1 FROM ({found}) WHERE {differs_from_folder(name, value)} LIMIT 1").fetchone():
            raise folder_differs(piece.file.path, name, value)


def unify_types(types: Sequence[str | None]) -> str:
    """DuckDB's type that holds the values of all these; None is text."""
    found = dict.fromkeys("VARCHAR" if kind is None or kind in UNTYPED else kind for kind in types)
    if len(found) == 1:
        return next(iter(found))
    with connect(threads=1) as connection:
        try:
            return _union_type(connection, found)
        except duckdb.Error:
            return "VARCHAR"


def _union_type(connection: duckdb.DuckDBPyConnection, types: Iterable[str]) -> str:
    rows = " UNION ALL ".join(f"SELECT NULL::{kind} AS v" for kind in types)
    return str(connection.execute(f"DESCRIBE {rows}").fetchall()[0][1])
