"""JSON lines: one object a line; a key that a line does not have is a missing value."""

import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import duckdb

from flywheel_runtime.commands.batch.reading import Chunk, Format, Head, Piece, RowError, Slice
from flywheel_runtime.commands.batch.reading.text_rows import TextFormat, content, cut_slices, read_chunks
from flywheel_runtime.commands.batch.storage.locations import File, Source
from flywheel_runtime.datasets.formats import TableForm
from flywheel_runtime.datasets.formats.json import find_fault, read_keys, select_json
from flywheel_runtime.datasets.formats.signatures import check_text
from flywheel_runtime.datasets.formats.text_records import split_records
from flywheel_runtime.datasets.sql import connect


def head(source: Source, file: File, form: TableForm) -> Head:
    """The keys of all lines, in the order in which they come. Failure RepeatedColumn, HeaderInvalid, NotUTF8 or FormatUnknown."""
    found: dict[str, None] = {}
    with connect(threads=1) as connection:
        for records in split_records(content(source, file), file.path, None):
            if not found:
                check_text(records.text[:8], file.path)
            with tempfile.NamedTemporaryFile() as lines:
                lines.write(records.canonical())
                lines.flush()
                keys = read_keys(connection, Path(lines.name), file.path, form, skip_broken=True)
            found |= dict.fromkeys(keys)
    return Head(tuple(found))


def slices(source: Source, file: File, _head: Head, every: int) -> list[Slice]:
    """The file cut after lines, every so many bytes."""
    return cut_slices(source, file, None, every)


def chunks(connection: duckdb.DuckDBPyConnection, piece: Piece, form: TableForm, folder: Path) -> Iterator[Chunk]:
    """The slice's rows, some thousand at a time, each value as JSON."""
    keys = [name for name in piece.wanted if name in piece.head.columns]
    # Without a key, the lines would not be read at all.
    select = partial(
        select_json, keys=keys or piece.head.columns[:1], form=form, name=piece.file.path, own=piece.head.columns
    )
    return read_chunks(connection, piece, None, TextFormat(select, _find_fault), folder)


def _find_fault(line: bytes, number: int) -> RowError | None:
    fault = find_fault(line)
    return RowError(number, "BrokenRow", f"the line {fault}") if fault else None


FORMAT = Format(head, slices, chunks)
