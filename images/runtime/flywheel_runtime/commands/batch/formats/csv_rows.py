"""CSV: every cell is text; delimiter by the header, as for a Dataset."""

import csv
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

from flywheel_runtime.commands.batch.formats import Format, Head, RowError, Rows, Slice
from flywheel_runtime.commands.batch.formats.text_records import first_records, numbered_records, parse_each, slices
from flywheel_runtime.commands.batch.storage.locations import File, Source
from flywheel_runtime.contract.errors import Failure
from flywheel_runtime.datasets.formats.csv import MAX_FIELD_CHARACTERS, parse_header

csv.field_size_limit(MAX_FIELD_CHARACTERS)


def head(source: Source, file: File) -> Head:
    """The header's columns. Failure HeaderInvalid or NotUTF8."""
    first = next(iter(first_records(source, file, quoted=True)), b"")
    try:
        line = first.decode("utf-8-sig").rstrip("\r\n")
    except UnicodeDecodeError as error:
        words = f"the header of file '{file.path}' is not UTF-8; convert it, for example with iconv"
        raise Failure("NotUTF8", words) from error
    delimiter, columns = parse_header(line)
    if not all(columns) or len(set(columns)) < len(columns):
        words = f"the first line of file '{file.path}' must name each column once, and leaves one out or names it twice"
        raise Failure("HeaderInvalid", f"{words}; correct it")
    return Head(tuple(columns), delimiter=delimiter)


def rows(source: Source, file: File, head: Head, part: Slice, wanted: Sequence[str], _folder: Path) -> Iterator[Rows]:
    """The slice's rows, some thousand at a time."""
    for first, lines in numbered_records(source, file, part, quoted=True, header=True):
        numbers, cells, bad = _parsed(lines, first, head)
        columns = {name: [row[head.columns.index(name)] for row in cells] for name in wanted}
        yield Rows(numbers, columns, bad)


def _parsed(lines: list[bytes], first: int, head: Head) -> tuple[list[int], list[list[str]], list[RowError]]:
    """All at once where nothing is wrong with them, else one by one."""
    width = len(head.columns)
    try:
        text = [line.decode() for line in lines]
        cells = list(csv.reader(text, delimiter=head.delimiter))
        if len(cells) == len(lines) and all(len(row) == width for row in cells):
            return list(range(first, first + len(lines))), cells, []
    except (UnicodeDecodeError, csv.Error):
        pass
    return parse_each(lines, first, partial(_one, delimiter=head.delimiter, width=width))


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


FORMAT = Format(head, partial(slices, quoted=True, header=True), rows)
