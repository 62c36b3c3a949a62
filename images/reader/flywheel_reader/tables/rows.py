"""A window of the rows of Parquet files, as JSON or as an Arrow stream."""

import io
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import orjson
from arro3.core import RecordBatch, Table
from arro3.io import read_parquet, write_ipc_stream

from flywheel_reader.errors import BadRequest, ReaderError, StoredDataInvalid
from flywheel_reader.tables.parquet_sizes import batch_rows
from flywheel_reader.tracking.nonfinite import without_nonfinite

MAX_ROWS = 100_000
MAX_BODY_BYTES = 16 << 20
MAX_VALUES = 64 << 10  # that are Python objects at a time
MAX_OBJECT_BYTES = 8 << 20  # of Arrow memory that becomes Python objects at a time
Format = Literal["json", "arrow"]


@dataclass(frozen=True)
class Window:
    """Rows from `offset` on, at most `limit`; `columns` none means all."""

    columns: tuple[str, ...]
    offset: int
    limit: int


@dataclass(frozen=True)
class Body:
    """An encoded window. `next_offset` is None where no row follows."""

    content: bytes
    rows: int
    next_offset: int | None


def encode_rows(files: Iterable[bytes], window: Window, format: Format) -> Body:
    """The window of the files' rows, one file after the other, as a JSON array or an Arrow stream.

    It ends early where the body would exceed MAX_BODY_BYTES. Raises BadRequest for an unknown column, StoredDataInvalid.
    """
    return _encode_arrow(files, window) if format == "arrow" else _encode_json(files, window)


def _encode_json(files: Iterable[bytes], window: Window) -> Body:
    parts: list[bytes] = []
    size = rows = 0
    for batch in _batches(files, window):
        left = window.limit - rows
        if left <= 0 or size >= MAX_BODY_BYTES:
            return Body(b"[" + b",".join(parts) + b"]", rows, window.offset + rows)
        taken = batch if batch.num_rows <= left else batch.slice(0, left)
        if taken.num_rows:
            parts.append(orjson.dumps(rows_as_objects(taken), default=str)[1:-1])
            size += len(parts[-1])
            rows += taken.num_rows
        if taken.num_rows < batch.num_rows:
            return Body(b"[" + b",".join(parts) + b"]", rows, window.offset + rows)
    return Body(b"[" + b",".join(parts) + b"]", rows, None)


def _encode_arrow(files: Iterable[bytes], window: Window) -> Body:
    batches: list[RecordBatch] = []
    size = rows = 0
    following = False
    for batch in _batches(files, window):
        left = window.limit - rows
        if rows and (left <= 0 or size >= MAX_BODY_BYTES):
            following = True
            break
        taken = batch if batch.num_rows <= left else batch.slice(0, max(left, 0))
        batches.append(taken)
        size += taken.nbytes
        rows += taken.num_rows
        if taken.num_rows < batch.num_rows:
            following = True
            break
    file = io.BytesIO()
    if batches:
        write_ipc_stream(Table.from_batches(batches), file, compression=None)
    return Body(file.getvalue(), rows, window.offset + rows if following else None)


def find_rows(content: bytes, column: str, value: str, limit: int) -> tuple[list[dict[str, Any]], dict[str, str]]:
    """The first `limit` rows of a file that have this text in a column, and what the file says of itself. Raises StoredDataInvalid, TooLarge."""
    rows = batch_rows(content)
    found: list[dict[str, Any]] = []
    with _translated_errors():
        reader = read_parquet(io.BytesIO(content), batch_size=rows)
        if column not in reader.schema.names:
            return [], {}
        for batch in reader:
            for place, each in enumerate(batch.column(column).to_pylist()):
                if each == value and len(found) < limit:
                    found += rows_as_objects(batch.slice(place, 1))
        return found, dict(reader.schema.metadata_str)


def rows_as_objects(batch: RecordBatch) -> list[dict[str, Any]]:
    """One object for each row; numbers that JSON lacks by their names."""
    names = batch.column_names
    columns = [_values(batch, name) for name in names]
    return [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]


def _values(batch: RecordBatch, name: str) -> list[Any]:
    values: list[Any] = list(batch.column(name).to_pylist())
    return without_nonfinite(values) if any(isinstance(value, float | dict | list) for value in values) else values


def _batches(files: Iterable[bytes], window: Window) -> Iterator[RecordBatch]:
    """Batches of the wanted columns from the offset on; the first one may be empty, and has the schema."""
    skipped = 0
    is_first = True
    for content in files:
        rows = batch_rows(content)
        with _translated_errors():
            for batch in read_parquet(io.BytesIO(content), batch_size=rows):
                selected = _select(batch, window.columns)
                start = min(max(window.offset - skipped, 0), batch.num_rows)
                skipped += start
                if start < batch.num_rows or is_first:
                    is_first = False
                    yield from _slices(selected.slice(start, batch.num_rows - start))


@contextmanager
def _translated_errors() -> Iterator[None]:
    """A `with` block in which a damaged file raises StoredDataInvalid."""
    try:
        yield
    except (ReaderError, GeneratorExit):
        raise
    except BaseException as error:
        # A decoder in another language reports a damaged file by whatever type it has, which need not be an Exception.
        if isinstance(error, KeyboardInterrupt | SystemExit | MemoryError):
            raise
        raise StoredDataInvalid(f"a Parquet file in the store cannot be read: {str(error)[:200]}") from None


def _slices(batch: RecordBatch) -> Iterator[RecordBatch]:
    """Parts of a batch with a bounded number of values and bytes; the batch itself if it is empty."""
    rows = max(
        1, min(MAX_VALUES // max(1, batch.num_columns), batch.num_rows * MAX_OBJECT_BYTES // max(1, batch.nbytes))
    )
    for start in range(0, max(1, batch.num_rows), rows):
        yield batch.slice(start, min(rows, batch.num_rows - start))


def _select(batch: RecordBatch, columns: Sequence[str]) -> RecordBatch:
    unknown = [name for name in columns if name not in batch.column_names]
    if unknown:
        raise BadRequest(
            f"there is no column {unknown[0][:80]!r}; there are {', '.join(batch.column_names[:40])[:600]}"
        )
    return batch.select(list(columns)) if columns else batch
