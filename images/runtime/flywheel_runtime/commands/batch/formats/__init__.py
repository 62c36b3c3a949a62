"""CSV, JSON lines and Parquet as rows: each module finds a file's columns, cuts it where rows end, and reads one piece of it."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flywheel_runtime.commands.batch.storage.locations import File, Source


@dataclass(frozen=True)
class Head:
    """What a file says of itself: its columns in order, their types where the format states them, and CSV's delimiter."""

    columns: tuple[str, ...]
    types: tuple[str, ...] = ()
    delimiter: str = ""


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
class Rows:
    """Some thousand rows: their numbers, the wanted columns' cells, and the rows among them that could not even be read."""

    numbers: list[int]
    columns: dict[str, list[Any]]
    bad: list[RowError]

    def __len__(self) -> int:
        return len(self.numbers)

    def only(self, positions: Sequence[int]) -> "Rows":
        """The rows at these positions."""
        if len(positions) == len(self.numbers):
            return self
        picked = {name: [cells[at] for at in positions] for name, cells in self.columns.items()}
        return Rows([self.numbers[at] for at in positions], picked, self.bad)


@dataclass(frozen=True)
class Format:
    """The three questions that are asked of a format. `rows` gets a folder for files of its own."""

    head: Callable[[Source, File], Head]
    slices: Callable[[Source, File, int], list[Slice]]
    rows: Callable[[Source, File, Head, Slice, Sequence[str], Path], Iterator[Rows]]
