"""Parquet, whose columns state their types."""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path

import duckdb

from flywheel_runtime.contract.errors import Failure
from flywheel_runtime.datasets.formats import SourceFile, TableForm, check_same_columns
from flywheel_runtime.datasets.formats.column_names import (
    check_names,
    doubled_folders,
    folder_differs,
    given_folders,
    read_folders,
)
from flywheel_runtime.datasets.formats.csv import differs_from_folder
from flywheel_runtime.datasets.sql import (
    PARQUET_ERRORS,
    describe_columns,
    describe_raw,
    quote_column,
    quote_identifier,
    quote_literal,
    translate_errors,
)

TYPE_OF_PREFIX = {
    "TINYINT": "Integer",
    "SMALLINT": "Integer",
    "INTEGER": "Integer",
    "BIGINT": "Integer",
    "HUGEINT": "Integer",
    "UTINYINT": "Integer",
    "USMALLINT": "Integer",
    "UINTEGER": "Integer",
    "UBIGINT": "Integer",
    "UHUGEINT": "Integer",
    "FLOAT": "Float",
    "DOUBLE": "Float",
    "DECIMAL": "Float",
    "BOOLEAN": "Boolean",
    "VARCHAR": "String",
    "ENUM": "String",
    "UUID": "String",
    "DATE": "Timestamp",
    "TIMESTAMP": "Timestamp",
}
UNTYPED = ('"NULL"', "NULL")  # DuckDB's type of a column without any value


def load_parquet(
    connection: duckdb.DuckDBPyConnection, files: list[SourceFile], form: TableForm
) -> dict[str, str | None]:
    """Create `raw` from Parquet files that have the same columns."""
    heads = {file: read_columns(connection, file, form) for file in files}
    folders = {file: given_folders(file.name, head, form.ignored) for file, head in heads.items()}
    first = files[0]
    for file in files[1:]:
        check_same_columns(file, [*heads[file], *folders[file]], first, [*heads[first], *folders[first]])
    with _translate_errors(*files[:3]):
        connection.execute(f"CREATE TABLE raw AS {_select_all(files, heads, folders)}")
    for file in files:
        _check_folders(connection, file, heads[file], form)
    kinds = describe_raw(connection)
    for name in (name for name, kind in kinds.items() if kind in UNTYPED):
        connection.execute(f"ALTER TABLE raw ALTER {quote_column(name)} TYPE VARCHAR")
    texts = {*folders[first], *(name for name, kind in kinds.items() if kind in UNTYPED)}
    return {name: None if name in texts else column_type(name, kind) for name, kind in kinds.items()}


def _select_all(
    files: list[SourceFile],
    heads: Mapping[SourceFile, Mapping[str, str]],
    folders: Mapping[SourceFile, Mapping[str, str | None]],
) -> str:
    """One scan of all files: the parts of a UNION ALL come in another order now and then, with one thread too (measured)."""
    names = ", ".join(quote_literal(str(file.path)) for file in files)
    own = {name: alias for head in heads.values() for name, alias in head.items()}
    given = list(dict.fromkeys(name for each in folders.values() for name in each))
    file_name = "#file" + "#" * sum(name.lower().startswith("#file") for name in own)
    cells = [f"{quote_identifier(alias)} AS {quote_column(name)}" for name, alias in own.items() if name not in given]
    for name in given:
        values = " ".join(
            f"WHEN {quote_literal(str(file.path))} THEN {_folder_value(folders[file][name])}"
            for file in files
            if name in folders[file]
        )
        rest = f" ELSE {quote_identifier(own[name])}::VARCHAR" if name in own else ""
        cells.append(f"(CASE {quote_identifier(file_name)} {values}{rest} END)::VARCHAR AS {quote_column(name)}")
    marked = f", filename = {quote_literal(file_name)}" if given else ""
    return f"SELECT {', '.join(cells)} FROM read_parquet([{names}], union_by_name = true, hive_partitioning = false{marked})"


def _folder_value(value: str | None) -> str:
    return "NULL" if value is None else quote_literal(value)


def read_columns(connection: duckdb.DuckDBPyConnection, file: SourceFile, form: TableForm) -> dict[str, str]:
    """The file's columns without those that are ignored, in their order, each with the name that DuckDB gives it."""
    with _translate_errors(file):
        return name_columns(connection, file.path, file.name, form)


def name_columns(connection: duckdb.DuckDBPyConnection, path: Path, file: str, form: TableForm) -> dict[str, str]:
    """As `read_columns`. DuckDB renames the second of two columns whose names are the same to it. Failure RepeatedColumn."""
    names = _top_names(
        connection.execute(f"SELECT name, num_children FROM parquet_schema({quote_literal(str(path))})").fetchall()
    )
    check_names(file, names, form.ignored)
    form.note_columns((*names, *read_folders(file)))
    aliases = describe_columns(connection, f"read_parquet({quote_literal(str(path))}, hive_partitioning = false)")
    return {name: alias for name, alias in zip(names, aliases, strict=True) if name not in form.ignored}


def _top_names(elements: list[tuple[str, int | None]]) -> list[str]:
    """The names of the columns in Parquet's list of schema elements, each of which comes before its children."""
    names: list[str] = []
    inside: list[int] = []  # children that are still to come, for each group that we are in
    for name, children in elements[1:]:
        while inside and inside[-1] == 0:
            inside.pop()
        if inside:
            inside[-1] -= 1
        else:
            names.append(name)
        if children:
            inside.append(children)
    return names


def select_parquet(path: Path, columns: Mapping[str, str], folders: Mapping[str, str | None], options: str = "") -> str:
    """SQL for the rows of one file; `columns` are names with DuckDB's own."""
    cells = [f"{quote_identifier(alias)} AS {quote_column(name)}" for name, alias in columns.items()]
    cells += [f"{_folder_value(value)}::VARCHAR AS {quote_column(name)}" for name, value in folders.items()]
    return (
        f"SELECT {', '.join(cells)} FROM read_parquet({quote_literal(str(path))}, hive_partitioning = false{options})"
    )


def _check_folders(
    connection: duckdb.DuckDBPyConnection, file: SourceFile, head: Mapping[str, str], form: TableForm
) -> None:
    for name, value in doubled_folders(file.name, head).items():
        rows = select_parquet(file.path, {name: head[name]}, {})
        if connection.execute(f"SELECT 1 FROM ({rows}) WHERE {differs_from_folder(name, value)} LIMIT 1").fetchone():
            raise folder_differs(file.name, name, value)


def _translate_errors(*files: SourceFile) -> AbstractContextManager[None]:
    def unreadable(finding: str) -> Failure:
        names = ", ".join(file.name for file in files)
        return Failure("UnreadableParquet", f"File '{names}' is not readable Parquet ({finding}); write it again.")

    return translate_errors(unreadable, *PARQUET_ERRORS)


def column_type(name: str, kind: str) -> str:
    """The Dataset's type for a type of DuckDB; `name` is the column's, for the message."""
    if not kind.endswith("]"):
        if kind.startswith("DECIMAL") and kind.endswith(",0)"):
            return "Integer"
        for prefix, found in TYPE_OF_PREFIX.items():
            if kind.startswith(prefix):
                return found
    raise unsupported_type(name, kind)


def unsupported_type(name: str, kind: str) -> Failure:
    """A column that holds what is no type of a Dataset."""
    message = (
        f"Column '{name}' holds {kind}, which is none of Integer, Float, String, Boolean, Timestamp; "
        "leave it out with spec.ignore."
    )
    return Failure("UnsupportedType", message)
