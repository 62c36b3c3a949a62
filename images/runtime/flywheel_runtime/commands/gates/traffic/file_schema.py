"""What files of the prediction log have, read from their footers alone."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

from flywheel_runtime.datasets.sql import quote_literal

_OF_A_COLUMN = "name, type, type_length, repetition_type, num_children, converted_type, scale, precision, logical_type"


@dataclass(frozen=True)
class FileSchema:
    """The columns of files that are alike: names of the rows' own columns, and DuckDB's type ids of the features and outputs."""

    columns: frozenset[str]
    features: Mapping[str, str]
    outputs: Mapping[str, str]

    @classmethod
    def read(cls, connection: duckdb.DuckDBPyConnection, file: Path, protected: Collection[str]) -> "FileSchema":
        """The columns of a file, without those that the log protects. Raises duckdb.Error."""
        relation = connection.read_parquet(str(file), hive_partitioning=False)
        types = dict(zip(relation.columns, relation.types, strict=True))
        features, outputs = (_fields(types, struct, protected) for struct in ("features", "outputs"))
        return cls(frozenset(types), features, outputs)


def group_by_schema(
    connection: duckdb.DuckDBPyConnection, files: Mapping[Path, Collection[str]]
) -> Iterator[tuple[list[Path], Collection[str]]]:
    """The files in order, in groups whose footers have the same columns, with what the log protects of them. Where a footer cannot be read each file is alone: binding a file takes a millisecond."""
    digests = _digests(connection, sorted(files))
    groups: dict[tuple[Any, ...], list[Path]] = {}
    for file in sorted(files):
        groups.setdefault((digests.get(str(file), file), frozenset(files[file])), []).append(file)
    for (_, protected), alike in groups.items():
        yield alike, protected


def rows_of_files(connection: duckdb.DuckDBPyConnection, files: Sequence[Path]) -> dict[Path, int]:
    """The number of rows of each file."""
    if not files:
        return {}
    query = f"SELECT num_rows FROM parquet_file_metadata({list_files(files)})"
    return {file: int(rows) for file, (rows,) in zip(files, connection.execute(query).fetchall(), strict=True)}


def _digests(connection: duckdb.DuckDBPyConnection, files: Sequence[Path]) -> dict[str, str]:
    """A digest of the columns of each file by its path; empty where one of them has no footer."""
    if not files:
        return {}
    columns = f"list(row({_OF_A_COLUMN}) ORDER BY column_id)"
    query = f"SELECT file_name, md5({columns}::VARCHAR) FROM parquet_schema({list_files(files)}) GROUP BY file_name"
    try:
        return dict(connection.execute(query).fetchall())
    except duckdb.Error:
        return {}


def list_files(files: Sequence[Path]) -> str:
    """SQL for the list of these files."""
    return f"[{', '.join(quote_literal(str(each)) for each in files)}]"


def _fields(types: Mapping[str, Any], struct: str, protected: Collection[str]) -> dict[str, str]:
    """The fields of a struct column with their types' ids, `list` for a list, without those that the log protects."""
    if struct not in types or types[struct].id != "struct":
        return {}
    return {str(name): str(kind.id) for name, kind in types[struct].children if str(name) not in protected}
