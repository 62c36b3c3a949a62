"""JSON lines: one object a line; a key that a line does not have is a missing value."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from flywheel_runtime.commands.batch.formats import Format, Head, RowError, Rows, Slice
from flywheel_runtime.commands.batch.formats.text_records import content, records, slices
from flywheel_runtime.commands.batch.storage.locations import File, Source

AT_ONCE = 4096  # rows
ROWS_OF_HEAD = 100


def head(source: Source, file: File) -> Head:
    """The keys of the first lines, in the order in which they come."""
    found = next(
        (part.all() for part in records(content(source, file), file.path, quoted=False) if part.starts.size), []
    )
    parsed = [_one(line, 1) for line in found[:ROWS_OF_HEAD]]
    return Head(tuple(dict.fromkeys(key for row in parsed if isinstance(row, dict) for key in row)))


def _slices(source: Source, file: File, every: int) -> list[Slice]:
    return slices(source, file, every, quoted=False, header=False)


def rows(source: Source, file: File, _head: Head, part: Slice, wanted: Sequence[str], _folder: Path) -> Iterator[Rows]:
    """The slice's rows, some thousand at a time."""
    number = part.first
    for found in records(content(source, file, part.start, part.stop), file.path, quoted=False):
        lines = found.all()
        for start in range(0, len(lines), AT_ONCE):
            some = lines[start : start + AT_ONCE]
            yield _parsed(some, number, wanted)
            number += len(some)


def _parsed(lines: list[bytes], first: int, wanted: Sequence[str]) -> Rows:
    good: list[dict[str, Any]] = []
    numbers: list[int] = []
    bad: list[RowError] = []
    for number, line in enumerate(lines, first):
        row = _one(line, number)
        if isinstance(row, RowError):
            bad.append(row)
        else:
            good.append(row)
            numbers.append(number)
    return Rows(numbers, {name: [row.get(name) for row in good] for name in wanted}, bad)


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


FORMAT = Format(head, _slices, rows)
