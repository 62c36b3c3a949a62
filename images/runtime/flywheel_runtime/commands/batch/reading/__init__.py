"""Pieces of a table's files as tables of DuckDB, by the reader of Datasets (datasets/formats): each module finds a file's columns,
cuts it where rows end, and reads one piece of it."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import duckdb

from flywheel_runtime.commands.batch.storage.locations import File, Source
from flywheel_runtime.datasets.formats import TableForm
from flywheel_runtime.datasets.formats.column_names import given_folders
from flywheel_runtime.datasets.formats.dialect import Dialect


@dataclass(frozen=True)
class Head:
    """What a file says of itself: its columns in their order without those that are ignored, their types in DuckDB's words where the
    format states them, DuckDB's own names for them, and how CSV is written."""

    columns: tuple[str, ...]
    types: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()
    dialect: Dialect | None = None

    def all_columns(self, file: File, form: TableForm) -> tuple[str, ...]:
        """Its columns and those that its folders give."""
        return (*self.columns, *self.folders(file, form))

    def folders(self, file: File, form: TableForm) -> dict[str, str | None]:
        """What the file's folders give beyond its own columns."""
        own = self.dialect.columns if self.dialect else self.columns
        return given_folders(file.path, own, form.ignored)

    def type_of(self, column: str) -> str | None:
        """The type of a column in DuckDB's words; None where every cell is text, or JSON."""
        return self.types[self.columns.index(column)] if self.types and column in self.columns else None


@dataclass(frozen=True)
class Slice:
    """A piece of a file: bytes from `start` to `stop` (row groups in Parquet), and its rows; `first` is the number of the first, from 1."""

    start: int
    stop: int
    first: int
    rows: int
    size: int  # bytes


@dataclass(frozen=True)
class RowError:
    """A row that cannot be scored, and why. `row` is its number in the file, from 1, the header not counted."""

    row: int
    reason: str
    message: str


@dataclass(frozen=True)
class Chunk:
    """Rows of DuckDB in their order: SQL after FROM, their numbers, and the rows among them that could not even be read. `refused` are rows
    that are not scored, by their places.

    `table` is dropped by whoever took the chunk; None where later chunks have rows of it.
    """

    rows: str
    numbers: Sequence[int]
    bad: tuple[RowError, ...] = ()
    refused: Mapping[int, RowError] = field(default_factory=dict)
    table: str | None = None

    def __len__(self) -> int:
        return len(self.numbers)


@dataclass(frozen=True)
class Piece:
    """What is read: a slice of a file, and the columns that are wanted of it."""

    source: Source
    file: File
    head: Head
    slice: Slice
    wanted: tuple[str, ...]


@dataclass(frozen=True)
class Format:
    """The three questions that are asked of a format. `chunks` gets a folder for files of its own, and a connection with one thread."""

    head: Callable[[Source, File, TableForm], Head]
    slices: Callable[[Source, File, Head, int], list[Slice]]
    chunks: Callable[[duckdb.DuckDBPyConnection, Piece, TableForm, Path], Iterator[Chunk]]
