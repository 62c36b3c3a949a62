"""CSV: every cell is text; delimiter by the header, as for a Dataset."""

import csv
import io
from collections.abc import Iterator, Sequence
from pathlib import Path

from flywheel_runtime.commands.batch.formats import Format, Head, RowError, Rows, Slice
from flywheel_runtime.commands.batch.formats.text_records import content, records, slices
from flywheel_runtime.commands.batch.storage.locations import File, Source
from flywheel_runtime.contract.errors import Failure

DELIMITERS = ",;\t|"
AT_ONCE = 4096  # rows
csv.field_size_limit(1 << 24)


def head(source: Source, file: File) -> Head:
    """The header's columns. Failure HeaderInvalid or NotUTF8."""
    first = next(
        (part.all()[0] for part in records(content(source, file), file.path, quoted=True) if part.starts.size), b""
    )
    try:
        line = first.decode("utf-8-sig").rstrip("\r\n")
    except UnicodeDecodeError as error:
        words = f"the header of file '{file.path}' is not UTF-8; convert it, for example with iconv"
        raise Failure("NotUTF8", words) from error
    delimiter = max(DELIMITERS, key=lambda candidate: len(_cells(line, candidate)))
    columns = [name.strip() for name in _cells(line, delimiter)]
    if not all(columns) or len(set(columns)) < len(columns):
        words = f"the first line of file '{file.path}' must name each column once, and leaves one out or names it twice"
        raise Failure("HeaderInvalid", f"{words}; correct it")
    return Head(tuple(columns), delimiter=delimiter)


def _cells(line: str, delimiter: str) -> list[str]:
    return next(csv.reader(io.StringIO(line, newline=""), delimiter=delimiter), [])


def _slices(source: Source, file: File, every: int) -> list[Slice]:
    return slices(source, file, every, quoted=True, header=True)


def rows(source: Source, file: File, head: Head, part: Slice, wanted: Sequence[str], _folder: Path) -> Iterator[Rows]:
    """The slice's rows, some thousand at a time."""
    at = [head.columns.index(name) for name in wanted]
    number = part.first
    skip = part.start == 0  # only a compressed file's slice begins with the header
    for found in records(content(source, file, part.start, part.stop), file.path, quoted=True):
        lines = found.all()
        if skip and lines:
            lines, skip = lines[1:], False
        for start in range(0, len(lines), AT_ONCE):
            some = lines[start : start + AT_ONCE]
            yield _parsed(some, number, head, wanted, at)
            number += len(some)


def _parsed(lines: list[bytes], first: int, head: Head, wanted: Sequence[str], at: list[int]) -> Rows:
    """All at once where nothing is wrong with them, else one by one."""
    width = len(head.columns)
    try:
        text = [line.decode() for line in lines]
        cells = list(csv.reader(text, delimiter=head.delimiter))
        if len(cells) == len(lines) and all(len(row) == width for row in cells):
            columns = {name: [row[index] for row in cells] for name, index in zip(wanted, at, strict=True)}
            return Rows(list(range(first, first + len(lines))), columns, [])
    except (UnicodeDecodeError, csv.Error):
        pass
    good: list[list[str]] = []
    numbers: list[int] = []
    bad: list[RowError] = []
    for number, line in enumerate(lines, first):
        found = _one(line, number, head.delimiter, width)
        if isinstance(found, RowError):
            bad.append(found)
        else:
            good.append(found)
            numbers.append(number)
    return Rows(numbers, {name: [row[index] for row in good] for name, index in zip(wanted, at, strict=True)}, bad)


def _one(line: bytes, number: int, delimiter: str, width: int) -> list[str] | RowError:
    try:
        cells = list(csv.reader([line.decode()], delimiter=delimiter))
    except UnicodeDecodeError as error:
        return RowError(number, "NotUTF8", f"byte {error.start + 1} of the row is not UTF-8")
    except csv.Error as error:
        return RowError(number, "BrokenRow", f"the row is not CSV: {error}")
    if len(cells) != 1 or len(cells[0]) != width:
        return RowError(number, "RaggedRow", f"{len(cells[0]) if cells else 0} cells where the header has {width}")
    return cells[0]


FORMAT = Format(head, _slices, rows)
