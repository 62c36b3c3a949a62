"""How a CSV file is written: what the spec says of it, and what its first rows show."""

import csv
import io
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Literal

from flywheel_runtime.params import Params

DELIMITERS = ",;\t|"
SAMPLE_ROWS = 100
MAX_FIELD_CHARACTERS = 2**24
csv.field_size_limit(MAX_FIELD_CHARACTERS)


class CsvOptions(Params):
    """What the spec says of its CSV files (`spec.csv`); every default is the usual form."""

    delimiter: str | None = None
    decimal: Literal[".", ","] = "."
    thousands: str | None = None
    quote: str = '"'
    header: bool = True
    missing: tuple[str, ...] = ()
    date_format: str | None = None


@dataclass(frozen=True)
class Dialect:
    """The delimiter, the quote (empty where none is used), the columns in their order, whether the first row names them,
    and whether a blank follows each delimiter."""

    delimiter: str
    columns: tuple[str, ...]
    quote: str = '"'
    header: bool = True
    blank_follows: bool = False


def detect_dialect(text: str, options: CsvOptions, *, is_whole: bool) -> Dialect:
    """The dialect of a file that begins with `text`; `is_whole` where that is all of it."""
    candidates = options.delimiter or DELIMITERS
    rows = {each: _rows(text, each, options, is_whole) for each in candidates}
    delimiter = max(candidates, key=lambda each: (_is_table(rows[each]), len(rows[each][0])))
    first = rows[delimiter][0]
    blank_follows = len(first) > 1 and all(cell.startswith(" ") for cell in first[1:])
    if blank_follows:
        first = _rows(text, delimiter, options, is_whole, blank_follows=True)[0]
    names = [cell.strip() for cell in first] if options.header else [f"column{at}" for at in range(len(first))]
    return Dialect(delimiter, tuple(names), options.quote, options.header, blank_follows)


def read_rows(lines: Iterable[str], dialect: Dialect) -> Iterator[tuple[int, list[str]]]:
    """The rows of CSV text with the lines on which they end, by Python's reader, which is slower than DuckDB's and knows the line."""
    quoting: Literal[0, 3] = csv.QUOTE_MINIMAL if dialect.quote else csv.QUOTE_NONE
    reader = csv.reader(
        lines,
        delimiter=dialect.delimiter,
        quotechar=dialect.quote or None,
        quoting=quoting,
        skipinitialspace=dialect.blank_follows,
    )
    for row in reader:
        if row:
            yield reader.line_num, row


def _rows(
    text: str, delimiter: str, options: CsvOptions, is_whole: bool, *, blank_follows: bool = False
) -> list[list[str]]:
    """The first rows, at least one; without the last one where it may be cut."""
    dialect = Dialect(delimiter, (), options.quote, options.header, blank_follows)
    found = [row for _, row in islice(read_rows(io.StringIO(text, newline=""), dialect), SAMPLE_ROWS)]
    if 1 < len(found) < SAMPLE_ROWS and not is_whole:
        found.pop()
    return found or [[]]


def _is_table(rows: list[list[str]]) -> bool:
    """Whether all rows have as many cells as the first, and more than one."""
    return len(rows[0]) > 1 and len(rows) > 1 and all(len(row) == len(rows[0]) for row in rows)
