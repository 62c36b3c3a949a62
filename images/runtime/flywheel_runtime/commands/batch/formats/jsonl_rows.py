"""JSON lines: one object a line; a key that a line does not have is a missing value."""

import json
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from flywheel_runtime.commands.batch.formats import Format, Head, RowError, Rows, Slice
from flywheel_runtime.commands.batch.formats.text_records import first_records, numbered_records, parse_each, slices
from flywheel_runtime.commands.batch.storage.locations import File, Source

ROWS_OF_HEAD = 100


def head(source: Source, file: File) -> Head:
    """The keys of the first lines, in the order in which they come."""
    parsed = [_one(line, 1) for line in first_records(source, file, quoted=False)[:ROWS_OF_HEAD]]
    return Head(tuple(dict.fromkeys(key for row in parsed if isinstance(row, dict) for key in row)))


def rows(source: Source, file: File, _head: Head, part: Slice, wanted: Sequence[str], _folder: Path) -> Iterator[Rows]:
    """The slice's rows, some thousand at a time."""
    for first, lines in numbered_records(source, file, part, quoted=False, header=False):
        numbers, good, bad = parse_each(lines, first, _one)
        yield Rows(numbers, {name: [row.get(name) for row in good] for name in wanted}, bad)


def _one(line: bytes, number: int) -> dict[str, Any] | RowError:
    try:
        row = json.loads(line.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        return RowError(number, "NotUTF8", f"byte {error.start + 1} of the line is not UTF-8")
    except ValueError as error:
        return RowError(number, "BrokenRow", f"the line is not JSON: {error}")
    except RecursionError:
        return RowError(number, "BrokenRow", "the line nests too deeply")
    return row if isinstance(row, dict) else RowError(number, "BrokenRow", "the line is not a JSON object")


FORMAT = Format(head, partial(slices, quoted=False, header=False), rows)
