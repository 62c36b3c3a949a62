"""Text cut into slices of whole records, and a slice read into tables; a record that DuckDB refuses fails alone."""

import itertools
import tempfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import numpy as np

from flywheel_runtime.commands.batch.reading import Chunk, Piece, RowError, Slice
from flywheel_runtime.commands.batch.storage.locations import File, Source, blocks
from flywheel_runtime.contract.errors import Failure
from flywheel_runtime.datasets.formats.dialect import Dialect
from flywheel_runtime.datasets.formats.text_records import BYTE_ORDER_MARK, Records, split_records

GZIP = b"\x1f\x8b"
UNPACKED_BYTES = 16 << 20
TABLE_NUMBERS = itertools.count()


@dataclass(frozen=True)
class TextFormat:
    """How a format reads records: SQL for a file of them, and what is wrong with one, as far as Python's reader sees it."""

    select: Callable[[Path], str]
    find_fault: Callable[[bytes, int], RowError | None]


def read_chunks(
    connection: duckdb.DuckDBPyConnection, piece: Piece, dialect: Dialect | None, format_: TextFormat, folder: Path
) -> Iterator[Chunk]:
    """The rows of a slice, a block of the file at a time."""
    number = piece.slice.first
    # Only a compressed file's slice begins with the header.
    skip = dialect is not None and dialect.header and piece.slice.start == 0
    texts = content(piece.source, piece.file, piece.slice.start, piece.slice.stop)
    for records in split_records(texts, piece.file.path, dialect):
        rest, skip = (records.without_first(), False) if skip and len(records) else (records, skip)
        if len(rest):
            yield _read(connection, rest, number, format_, folder)
            number += len(rest)


def _read(
    connection: duckdb.DuckDBPyConnection, records: Records, first: int, format_: TextFormat, folder: Path
) -> Chunk:
    table = f"chunk{next(TABLE_NUMBERS)}"
    if _create(connection, table, records.canonical(), len(records), format_, folder):
        return Chunk(table, range(first, first + len(records)), table=table)
    good: list[tuple[int, bytes]] = []
    bad: list[RowError] = []
    for number, record in enumerate(records.all(), first):
        fault = format_.find_fault(record, number)
        bad += [fault] if fault else []
        good += [] if fault else [(number, record)]
    tables, numbers, more = _read_halves(connection, good, format_, folder)
    columns = " UNION ALL ".join(f"FROM {each}" for each in tables)
    if len(tables) > 1:
        connection.execute(f"CREATE TEMP TABLE {table} AS FROM {tables[0]}")
        for each in tables[1:]:
            connection.execute(f"INSERT INTO {table} FROM {each}")
    elif tables:
        connection.execute(f"CREATE TEMP TABLE {table} AS {columns}")
    for each in tables:
        connection.execute(f"DROP TABLE {each}")
    faults = tuple(sorted([*bad, *more], key=lambda error: error.row))
    return Chunk(table, numbers, faults, table=table if tables else None)


def _read_halves(
    connection: duckdb.DuckDBPyConnection, records: list[tuple[int, bytes]], format_: TextFormat, folder: Path
) -> tuple[list[str], list[int], list[RowError]]:
    """Tables of the records that DuckDB takes, their numbers, and the others' errors."""
    if not records:
        return [], [], []
    table = f"chunk{next(TABLE_NUMBERS)}"
    text = b"\n".join(record.rstrip(b"\r\n") for _, record in records) + b"\n"
    if _create(connection, table, text, len(records), format_, folder):
        return [table], [number for number, _ in records], []
    if len(records) == 1:
        return [], [], [RowError(records[0][0], "BrokenRow", "the row cannot be read")]
    middle = len(records) // 2
    left, right = (_read_halves(connection, half, format_, folder) for half in (records[:middle], records[middle:]))
    return left[0] + right[0], left[1] + right[1], left[2] + right[2]


def _create(
    connection: duckdb.DuckDBPyConnection, table: str, text: bytes, rows: int, format_: TextFormat, folder: Path
) -> bool:
    """Whether DuckDB takes the text for so many rows; then they are in the table."""
    with tempfile.NamedTemporaryFile(dir=folder) as file:
        file.write(text)
        file.flush()
        try:
            found = connection.execute(f"CREATE TEMP TABLE {table} AS {format_.select(Path(file.name))}").fetchone()
        except duckdb.OutOfMemoryException as error:
            raise MemoryError from error
        except duckdb.Error:
            return False
    if found is not None and found[0] == rows:
        return True
    connection.execute(f"DROP TABLE {table}")
    return False


def cut_slices(source: Source, file: File, dialect: Dialect | None, every: int) -> list[Slice]:
    """The file cut after records, every so many bytes; a compressed file is one slice. Reads the file once."""
    header = int(dialect is not None and dialect.header)
    if is_compressed(source, file):
        rows = sum(len(part) for part in split_records(content(source, file), file.path, dialect))
        return [Slice(0, file.size, 1, int(rows) - header, file.size)] if rows > header else []
    found: list[Slice] = []
    base, start, count, skip = 0, -1, 0, header
    for part in split_records(blocks(source, file), file.path, dialect):
        starts, ends = (part.starts + base), (part.ends + base)
        if skip and starts.size:
            starts, ends, skip = starts[1:], ends[1:], 0
        while starts.size:
            start = int(starts[0]) if start < 0 else start
            last = int(np.searchsorted(ends, start + every))  # the first record that makes the slice long enough
            if last >= ends.size:
                count += ends.size
                break
            found.append(_slice(found, start, int(ends[last]), count + last + 1))
            starts, ends, start, count = starts[last + 1 :], ends[last + 1 :], -1, 0
        base += len(part.text)
    if count:
        found.append(_slice(found, start, file.size, count))
    return found


def _slice(before: list[Slice], start: int, stop: int, rows: int) -> Slice:
    first = before[-1].first + before[-1].rows if before else 1
    return Slice(start, stop, first, rows, stop - start)


def is_compressed(source: Source, file: File) -> bool:
    """Whether the bytes are gzip."""
    return source.read_range(file, 0, min(2, file.size)) == GZIP


def content(source: Source, file: File, start: int = 0, stop: int | None = None) -> Iterator[bytes]:
    """The text of a range without a byte order mark, unpacked where the file is gzip. Failure BrokenGzip."""
    parts = blocks(source, file, start, stop)
    if start == 0:
        parts = _unpacked(parts, file) if is_compressed(source, file) else parts
        first = next(parts, b"")
        parts = itertools.chain([first.removeprefix(BYTE_ORDER_MARK)], parts)
    return parts


def _unpacked(parts: Iterable[bytes], file: File) -> Iterator[bytes]:
    stream: Any = zlib.decompressobj(wbits=31)
    try:
        for part in parts:
            rest, more = part, True
            while rest or more:
                if stream.eof:  # gzip files may be written one after the other
                    stream = zlib.decompressobj(wbits=31)
                unpacked = stream.decompress(rest, UNPACKED_BYTES)
                yield unpacked
                rest = stream.unconsumed_tail or stream.unused_data
                more = len(unpacked) == UNPACKED_BYTES  # there may be more of it inside
        if not stream.eof:
            raise Failure("BrokenGzip", f"file '{file.path}' ends in the middle; write it again")
    except zlib.error as error:
        raise Failure("BrokenGzip", f"file '{file.path}' is broken gzip ({error}); write it again") from error
