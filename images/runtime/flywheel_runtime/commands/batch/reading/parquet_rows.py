"""Parquet: cut at row groups. Only the footer and the wanted columns of the wanted row groups are brought, into a file with holes."""

import struct
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import duckdb

from flywheel_runtime.commands.batch.reading import Chunk, Format, Head, Piece, Slice
from flywheel_runtime.commands.batch.reading.text_rows import TABLE_NUMBERS
from flywheel_runtime.commands.batch.storage.locations import File, Source, blocks
from flywheel_runtime.contract.errors import Failure
from flywheel_runtime.datasets.formats import TableForm
from flywheel_runtime.datasets.formats.parquet import name_columns, select_parquet
from flywheel_runtime.datasets.sql import connect, describe_columns, quote_literal

MAGIC = b"PAR1"
ROW_NUMBER = "file_row_number"
MAX_CHUNK_ROWS = 65_536
MAX_GAP = 64 << 10  # bytes between two ranges that are brought with one request
TAIL = 8  # bytes: the footer's length, and the magic


def head(source: Source, file: File, form: TableForm) -> Head:
    """The columns and their types in DuckDB's words. Failure UnreadableParquet or RepeatedColumn."""
    with connect(threads=1) as connection, _footer(source, file) as path:
        names = name_columns(connection, path, file.path, form)
        types = describe_columns(connection, f"read_parquet({quote_literal(str(path))}, hive_partitioning = false)")
    return Head(tuple(names), tuple(types[alias] for alias in names.values()), tuple(names.values()))


def slices(source: Source, file: File, _head: Head, _every: int) -> list[Slice]:
    """Each row group."""
    found: list[Slice] = []
    first = 1
    with connect(threads=1) as connection, _footer(source, file) as path:
        groups = _row_groups(connection, path)
    for group, (rows, size) in groups.items():
        if rows:
            found.append(Slice(group, group + 1, first, rows, size))
        first += rows
    return found


def chunks(connection: duckdb.DuckDBPyConnection, piece: Piece, form: TableForm, folder: Path) -> Iterator[Chunk]:
    """The rows of the slice, a row group at a time."""
    head, part = piece.head, piece.slice
    aliases = {name: head.aliases[head.columns.index(name)] for name in piece.wanted if name in head.columns}
    folders = {name: value for name, value in head.folders(piece.file, form).items() if name in piece.wanted}
    aliases = aliases or {head.columns[0]: head.aliases[0]}
    with _footer(piece.source, piece.file, folder) as path:
        groups = _row_groups(connection, path)
        # A column of the user's that is called like DuckDB's number of a row hides it: then all rows are read, and counted.
        is_hidden = any(alias.lower() == ROW_NUMBER for alias in head.aliases)
        brought = Slice(0, len(groups), 1, 0, 0) if is_hidden else part
        for start, stop in _find_wanted(connection, path, brought, aliases):
            _download(piece.source, piece.file, path, start, stop)
        first = part.first
        query = select_parquet(path, aliases, folders, "" if is_hidden else f", {ROW_NUMBER} = true")
        if is_hidden:
            numbered = f'SELECT *, row_number() OVER () - 1 AS "#row" FROM ({query})'
            query = f'SELECT * EXCLUDE ("#row") FROM ({numbered})'
        place = '"#row"' if is_hidden else ROW_NUMBER
        for group in range(part.start, part.stop):
            rows = groups[group][0]
            if not rows:
                continue
            table = f"chunk{next(TABLE_NUMBERS)}"
            where = f"WHERE {place} >= {first - 1} AND {place} < {first - 1 + rows}"
            connection.execute(f"CREATE TEMP TABLE {table} AS {query} {where}")
            yield from _divide(table, first, rows)
            first += rows


def _divide(table: str, first: int, rows: int) -> Iterator[Chunk]:
    """A row group's table in chunks: whoever takes one makes arrays of its rows, and a row group may have a million."""
    for start in range(0, rows, MAX_CHUNK_ROWS):
        stop = min(start + MAX_CHUNK_ROWS, rows)
        within = f"(FROM {table} WHERE rowid >= {start} AND rowid < {stop})"
        yield Chunk(within, range(first + start, first + stop), table=table if stop == rows else None)


def _row_groups(connection: duckdb.DuckDBPyConnection, path: Path) -> dict[int, tuple[int, int]]:
    """The rows and the bytes of each row group."""
    found = connection.execute(
        "SELECT row_group_id, any_value(row_group_num_rows), sum(total_compressed_size) "
        f"FROM parquet_metadata({quote_literal(str(path))}) GROUP BY row_group_id ORDER BY row_group_id"
    ).fetchall()
    return {int(group): (int(rows), int(size)) for group, rows, size in found}


def _find_wanted(
    connection: duckdb.DuckDBPyConnection, path: Path, part: Slice, columns: Mapping[str, str]
) -> list[tuple[int, int]]:
    """Where the wanted columns lie in the slice's row groups; neighbours are one range."""
    # A column of a group has the path of its names, and a name may have a comma itself.
    below = " OR ".join(
        f"path_in_schema = {quote_literal(name)} OR starts_with(path_in_schema, {quote_literal(f'{name}, ')})"
        for name in columns
    )
    query = (
        "SELECT CASE WHEN dictionary_page_offset > 0 THEN least(dictionary_page_offset, data_page_offset) "
        "ELSE data_page_offset END AS start, start + total_compressed_size "
        f"FROM parquet_metadata({quote_literal(str(path))}) WHERE row_group_id >= {part.start} AND row_group_id < {part.stop} "
        f"AND ({below or 'false'}) ORDER BY start"
    )
    found: list[tuple[int, int]] = []
    for start, stop in connection.execute(query).fetchall():
        if found and start <= found[-1][1] + MAX_GAP:
            found[-1] = (found[-1][0], max(found[-1][1], int(stop)))
        else:
            found.append((int(start), int(stop)))
    return found


@contextmanager
def _footer(source: Source, file: File, folder: Path | None = None) -> Iterator[Path]:
    """A copy of the file in `folder` that holds the footer alone; the rest is a hole, which takes no disk.

    Raises:
        Failure: UnreadableParquet, also for what the block finds.
    """
    with tempfile.TemporaryDirectory(dir=folder) as below:
        path = _copy_footer(source, file, Path(below))
        try:
            yield path
        except duckdb.OutOfMemoryException as error:
            raise MemoryError from error
        except duckdb.Error as error:
            finding = f"file '{file.path}' is not readable Parquet ({str(error).splitlines()[0]})"
            raise Failure("UnreadableParquet", f"{finding}; write it again") from error


def _copy_footer(source: Source, file: File, folder: Path) -> Path:
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


FORMAT = Format(head, slices, chunks)
