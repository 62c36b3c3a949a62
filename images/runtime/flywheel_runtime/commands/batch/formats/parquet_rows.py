"""Parquet: cut at row groups. Only the footer and the wanted columns of the wanted row groups are brought, into a file with holes."""

import struct
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import duckdb

from flywheel_runtime.commands.batch.formats import Format, Head, Rows, Slice
from flywheel_runtime.commands.batch.storage.locations import File, Source, blocks
from flywheel_runtime.contract.errors import Failure
from flywheel_runtime.datasets.sql import connect, describe_columns, quote_identifier, quote_literal

AT_ONCE = 4096  # rows
MAGIC = b"PAR1"
TAIL = 8  # bytes: the footer's length, and the magic


def head(source: Source, file: File) -> Head:
    """The columns and their types in DuckDB's words. Failure UnreadableParquet."""
    with _open(source, file) as (connection, path):
        found = describe_columns(connection, f"read_parquet({quote_literal(str(path))})")
    return Head(tuple(found), tuple(found.values()))


def _slices(source: Source, file: File, _every: int) -> list[Slice]:
    """Each row group."""
    query = (
        "SELECT row_group_id, any_value(row_group_num_rows), sum(total_compressed_size) "
        "FROM parquet_metadata({}) GROUP BY row_group_id ORDER BY row_group_id"
    )
    with _open(source, file) as (connection, path):
        groups = connection.execute(query.format(quote_literal(str(path)))).fetchall()
    found: list[Slice] = []
    first = 1
    for group, rows_in_it, size in groups:
        if rows_in_it:
            found.append(Slice(int(group), int(group) + 1, first, int(rows_in_it), int(size)))
        first += int(rows_in_it)
    return found


def rows(source: Source, file: File, _head: Head, part: Slice, wanted: Sequence[str], folder: Path) -> Iterator[Rows]:
    """The rows of the slice's row groups."""
    with _open(source, file, folder) as (connection, path):
        connection.execute("SET threads = 1")  # rows keep their order
        for start, stop in _chunks(connection, path, part, wanted):
            _download(source, file, path, start, stop)
        names = ", ".join(quote_identifier(name) for name in wanted)
        found = connection.execute(
            f"SELECT {names} FROM read_parquet({quote_literal(str(path))}, file_row_number = true) "
            f"WHERE file_row_number >= {part.first - 1} AND file_row_number < {part.first - 1 + part.rows}"
        )
        number = part.first
        while some := found.fetchmany(AT_ONCE):
            columns = dict(zip(wanted, map(list, zip(*some, strict=True)), strict=True))
            yield Rows(list(range(number, number + len(some))), columns, [])
            number += len(some)


@contextmanager
def _open(source: Source, file: File, folder: Path | None = None) -> Iterator[tuple[duckdb.DuckDBPyConnection, Path]]:
    """A connection, and a copy of the file in `folder` that holds the footer alone. Failure UnreadableParquet, also for what the block
    finds."""
    with tempfile.TemporaryDirectory(dir=folder) as below:
        path = _with_footer(source, file, Path(below))
        try:
            with connect() as connection:
                yield connection, path
        except duckdb.OutOfMemoryException as error:
            raise MemoryError from error
        except duckdb.Error as error:
            words = str(error).splitlines()[0]
            finding = f"file '{file.path}' is not readable Parquet ({words})"
            raise Failure("UnreadableParquet", f"{finding}; write it again") from error


def _chunks(
    connection: duckdb.DuckDBPyConnection, path: Path, part: Slice, wanted: Sequence[str]
) -> list[tuple[int, int]]:
    """Where the wanted columns lie in the slice's row groups."""
    names = ", ".join(quote_literal(name) for name in wanted)
    query = (
        "SELECT CASE WHEN dictionary_page_offset > 0 THEN least(dictionary_page_offset, data_page_offset) "
        "ELSE data_page_offset END AS start, start + total_compressed_size "
        f"FROM parquet_metadata({quote_literal(str(path))}) WHERE row_group_id >= {part.start} AND row_group_id < {part.stop} "
        f"AND split_part(path_in_schema, ', ', 1) IN ({names}) ORDER BY start"
    )
    return [(int(start), int(stop)) for start, stop in connection.execute(query).fetchall()]


def _with_footer(source: Source, file: File, folder: Path) -> Path:
    """A file of the same length that holds the footer alone; the rest is a hole, which takes no disk."""
    tail = source.read_range(file, max(0, file.size - TAIL), file.size)
    if file.size < TAIL + len(MAGIC) or tail[4:] != MAGIC:
        raise Failure("UnreadableParquet", f"file '{file.path}' is not Parquet; write it again")
    length = struct.unpack("<I", tail[:4])[0] + TAIL
    if length > file.size:
        raise Failure("UnreadableParquet", f"the footer of file '{file.path}' is damaged; write it again")
    path = folder / "data.parquet"
    with path.open("wb") as hole:
        hole.truncate(file.size)
        hole.write(MAGIC)
    _download(source, file, path, file.size - length, file.size)
    return path


def _download(source: Source, file: File, path: Path, start: int, stop: int) -> None:
    target: IO[bytes]
    with path.open("r+b") as target:
        target.seek(start)
        for block in blocks(source, file, start, stop):
            target.write(block)


FORMAT = Format(head, _slices, rows)
