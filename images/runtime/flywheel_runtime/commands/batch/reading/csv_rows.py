"""CSV: every cell is text; the dialect by the first rows, as for a Dataset."""

import itertools
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import duckdb

from flywheel_runtime.commands.batch.reading import Chunk, Format, Head, Piece, RowError, Slice
from flywheel_runtime.commands.batch.reading.text_rows import TextFormat, content, cut_slices, read_chunks
from flywheel_runtime.commands.batch.storage.locations import File, Source
from flywheel_runtime.datasets.formats import TableForm
from flywheel_runtime.datasets.formats.column_names import check_names, read_folders
from flywheel_runtime.datasets.formats.csv import CHUNK_BYTES, read_dialect, select_csv
from flywheel_runtime.datasets.formats.dialect import Dialect, read_rows


def head(source: Source, file: File, form: TableForm) -> Head:
    """The columns and the dialect. Failure HeaderInvalid, RepeatedColumn or NotUTF8."""
    start = b""
    for block in content(source, file):
        start += block
        if len(start) >= CHUNK_BYTES:
            break
    dialect = read_dialect(start[:CHUNK_BYTES], form.csv, file.path, is_whole=len(start) < CHUNK_BYTES)
    check_names(file.path, dialect.columns, form.ignored)
    form.note_columns((*dialect.columns, *read_folders(file.path)))
    return Head(tuple(name for name in dialect.columns if name not in form.ignored), dialect=dialect)


def slices(source: Source, file: File, head: Head, every: int) -> list[Slice]:
    """The file cut after rows, every so many bytes."""
    return cut_slices(source, file, head.dialect, every)


def chunks(connection: duckdb.DuckDBPyConnection, piece: Piece, form: TableForm, folder: Path) -> Iterator[Chunk]:
    """The slice's rows, some thousand at a time."""
    dialect = piece.head.dialect
    assert dialect is not None
    select = partial(select_csv, dialect=dialect, form=form, name=piece.file.path, header=False)
    return read_chunks(connection, piece, dialect, TextFormat(select, partial(_find_fault, dialect)), folder)


def _find_fault(dialect: Dialect, record: bytes, number: int) -> RowError | None:
    width = len(dialect.columns)
    try:
        lines = record.decode().splitlines(keepends=True)
    except UnicodeDecodeError as error:
        return RowError(number, "NotUTF8", f"byte {error.start + 1} of the row is not UTF-8")
    found = [row for _, row in itertools.islice(read_rows(lines, dialect), 2)]
    cells = len(found[0]) if found else 0
    if len(found) != 1 or not (cells == width or (cells == width + 1 and not found[0][-1])):
        return RowError(number, "RaggedRow", f"{cells} cells where the header has {width}")
    return None


FORMAT = Format(head, slices, chunks)
