"""Looks at the columns of a CSV file with the standard library: what they are called, what they hold, and which one may be the target.

The check of a Dataset reads the file with DuckDB and has the last word. This look is for a first manifest.
"""

import csv
import gzip
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from itertools import chain, islice
from pathlib import Path
from typing import TextIO

from flywheel.cli.errors import CommandError

MAX_ROWS = 20_000  # that are looked at
MAX_DISTINCT = 1000  # values of a column that are counted
MAX_CLASSES = 20  # whole numbers or texts of so many values are classes
MAX_CELL_CHARACTERS = 1 << 20
DELIMITERS = ",;\t|"
MISSING = frozenset(("", "na", "n/a", "nan", "null", "none", "?"))
# Columns that are called so are usually what one predicts.
TARGET_NAMES = (
    "target",
    "label",
    "class",
    "outcome",
    "y",
    "churn",
    "survived",
    "diagnosis",
    "quality",
    "price",
    "default",
)
_INTEGER = re.compile(r"[-+]?\d{1,18}")
_KEY_NAME = re.compile(r"(?:^|_|\b)(?:id|key|uuid|number)$|id$", re.IGNORECASE)


@dataclass
class ColumnSample:
    """One column in the rows that were looked at."""

    name: str
    rows: int = 0
    missing: int = 0
    values: Counter[str] = field(default_factory=Counter)
    types: set[str] = field(default_factory=set)
    lowest: float = float("inf")
    highest: float = float("-inf")

    def add(self, cell: str) -> None:
        """Counts one cell."""
        self.rows += 1
        text = cell.strip()
        if text.lower() in MISSING:
            self.missing += 1
            return
        if text in self.values or len(self.values) < MAX_DISTINCT:
            self.values[text] += 1
        type_ = type_of(text)
        self.types.add(type_)
        if type_ in ("Integer", "Float"):
            self.lowest, self.highest = min(self.lowest, float(text)), max(self.highest, float(text))

    @property
    def type(self) -> str:
        """Integer, Float, Timestamp or String; Empty where no cell has a value."""
        if len(self.types) == 1:
            return next(iter(self.types))
        return "Float" if self.types == {"Integer", "Float"} else "String" if self.types else "Empty"

    @property
    def is_category(self) -> bool:
        """Whether it has few values: a class, or a category."""
        return self.type in ("Integer", "String") and 2 <= len(self.values) <= MAX_CLASSES

    @property
    def is_key(self) -> bool:
        """Whether it looks like an identifier: a value of its own in every row, and a name that says so."""
        unique = len(self.values) == min(self.rows, MAX_DISTINCT) and self.missing == 0 and self.rows > MAX_CLASSES
        return (
            unique
            and max(self.values.values()) == 1
            and bool(_KEY_NAME.search(self.name))
            and self.type in ("Integer", "String")
        )

    @property
    def can_be_target(self) -> bool:
        """Whether it may be predicted: a number or a class that varies, and no identifier."""
        return len(self.values) > 1 and not self.is_key and (self.type in ("Integer", "Float") or self.is_category)


@dataclass(frozen=True)
class TableSample:
    """The first rows of a file."""

    columns: tuple[ColumnSample, ...]
    delimiter: str
    rows: int
    is_whole: bool  # no row was left out

    def column(self, name: str) -> ColumnSample:
        """Returns a column by its name.

        Raises:
            CommandError: there is none.
        """
        for each in self.columns:
            if each.name == name:
                return each
        names = ", ".join(f"'{each.name}'" for each in self.columns[:20])
        raise CommandError(f"the file has no column '{name}'; it has {names}")

    def guess_target(self) -> tuple[ColumnSample, str]:
        """Returns the column that is probably to be predicted, and why it is that one.

        Raises:
            CommandError: no column can be.
        """
        usable = [each for each in self.columns if each.can_be_target]
        for name in TARGET_NAMES:
            for each in usable:
                if each.name.lower() == name:
                    return each, "its name says so"
        if not usable:
            raise CommandError("no column has two different values that could be predicted; name one with --target")
        return usable[-1], "it is the last one that can be"


def read_table(path: Path) -> TableSample:
    """Reads the first rows of a CSV file, which may be compressed by gzip.

    Raises:
        CommandError: it cannot be read, or is no table with a header.
    """
    try:
        with _open(path) as lines:
            return _read(path, lines)
    except (OSError, EOFError) as error:
        raise CommandError(f"'{path}' cannot be read: {getattr(error, 'strerror', None) or error}") from None
    except UnicodeDecodeError:
        raise CommandError(f"'{path}' is not UTF-8 text; convert it, as with 'iconv -f latin1 -t utf-8'") from None
    except csv.Error as error:
        raise CommandError(f"'{path}' is no CSV file: {error}") from None


def _open(path: Path) -> TextIO:
    if path.suffix == ".gz":
        return gzip.open(path, "rt", encoding="utf-8-sig", newline="")
    return path.open(encoding="utf-8-sig", newline="")


def _read(path: Path, lines: Iterator[str]) -> TableSample:
    first = next(lines, "")
    if not first.strip():
        raise CommandError(f"'{path}' is empty; it needs a line with the names of the columns, and rows")
    if "\x00" in first:
        raise CommandError(f"'{path}' is no text; 'flywheel init' looks at CSV files, and a Dataset also reads Parquet")
    delimiter = max(DELIMITERS, key=first.count)
    csv.field_size_limit(MAX_CELL_CHARACTERS)
    reader = csv.reader(chain([first], lines), delimiter=delimiter)
    names = next(reader)
    doubled = [name for name, count in Counter(names).items() if count > 1]
    if doubled:
        raise CommandError(f"'{path}' has two columns '{doubled[0]}'; a Dataset refuses that, so rename one")
    if any(not name.strip() for name in names):
        raise CommandError(f"'{path}' has a column without a name; name every column in the first line")
    columns = tuple(ColumnSample(name) for name in names)
    count = 0
    for cells in islice((cells for cells in reader if cells), MAX_ROWS):
        count += 1
        for column, cell in zip(columns, cells, strict=False):
            column.add(cell)
    if count == 0:
        raise CommandError(f"'{path}' has names of columns and no row; add the data")
    return TableSample(columns, delimiter, count, is_whole=next(reader, None) is None)


def type_of(text: str) -> str:
    """Returns what one cell is: Integer, Float, Timestamp or String."""
    if _INTEGER.fullmatch(text):
        return "Integer"
    try:
        float(text.replace("_", "x"))  # Python's underscores are no number elsewhere
    except ValueError:
        pass
    else:
        return "Float"
    try:
        datetime.fromisoformat(text)
    except ValueError:
        return "String"
    return "Timestamp"
