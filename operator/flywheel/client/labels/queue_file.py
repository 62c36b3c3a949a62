"""The CSV file with the drawn rows: its column `label` is filled in by people.

A file that is there already is extended: its rows and labels stay, and the probability of a row that is drawn again is the larger one.
"""

import csv
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flywheel.client.errors import FlywheelError
from flywheel.client.labels.label_queue import DrawnRow
from flywheel.client.labels.label_sampling import MIN_PROBABILITY
from flywheel.client.predictor import flatten_prediction

LABEL, ID, ROW, KEY, PROBABILITY = "label", "id", "row", "key", "probability"
COLUMNS = (LABEL, ID, ROW, KEY, PROBABILITY)
NEEDED = (LABEL, ID, ROW, PROBABILITY)
NAMES = (ID, KEY)  # which callers of the service may choose, and which are what they were after the file is read again
HIDDEN = frozenset({"digest", "latency_seconds", "route"})  # of a logged row: they say nothing of its label
FORMULAS = ("=", "+", "-", "@", "\t", "\r")  # with which a spreadsheet begins a formula

Cells = dict[str, str]


@dataclass(frozen=True)
class QueueLabel:
    """A label of the file, and the row that it is of."""

    id: str
    row: int
    label: str
    probability: float


def write_queue(path: Path, rows: Sequence[DrawnRow]) -> int:
    """Writes the rows, after those that the file has already, and returns how many these are.

    Raises:
        FlywheelError: there is a file that is none of these, or it cannot be written.
    """
    existing = {(each[ID], each[ROW]): each for each in read_cells(path)} if path.exists() else {}
    for each in rows:
        cells = _to_cells(each)
        before = existing.get((cells[ID], cells[ROW]))
        if before is not None:
            cells[LABEL] = before[LABEL]
            cells[PROBABILITY] = max(before[PROBABILITY], cells[PROBABILITY], key=float)
        existing[cells[ID], cells[ROW]] = cells
    names = list(dict.fromkeys([*COLUMNS, *(name for each in existing.values() for name in each)]))
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, names, lineterminator="\n", restval="")
    writer.writeheader()
    writer.writerows(
        {**each, **{name: _escape_formula(each.get(name, "")) for name in NAMES}} for each in existing.values()
    )
    temporary = path.with_name(f"{path.name}.partial")
    try:
        temporary.write_text(text.getvalue(), encoding="utf-8")
        temporary.replace(path)
    except OSError as error:
        raise FlywheelError(f"{path} cannot be written: {error.strerror}", reason="FileNotWritten") from None
    return len(existing) - len({(each.id, each.row) for each in rows})


def read_labels(path: Path) -> tuple[list[QueueLabel], int]:
    """Returns the labels of the file, and how many rows have none.

    Raises:
        FlywheelError: it cannot be read, or a row has no id, index or probability of a draw.
    """
    found, without = [], 0
    for number, cells in enumerate(read_cells(path), start=1):
        if not cells[LABEL].strip():
            without += 1
            continue
        try:
            row, probability = int(cells[ROW]), float(cells[PROBABILITY])
        except ValueError:
            row, probability = -1, math.nan
        if row < 0 or not MIN_PROBABILITY <= probability <= 1 or not cells[ID]:
            raise FlywheelError(
                f"{path}: row {number} needs an id, the index of the row and a probability from 0.000001 to 1, as 'flywheel label --output' wrote them",
                reason="BadRow",
            )
        found.append(QueueLabel(cells[ID], row, cells[LABEL].strip(), probability))
    return found, without


def read_cells(path: Path) -> list[Cells]:
    """Returns the rows of a file by column.

    Raises:
        FlywheelError: it cannot be read, or lacks a column.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
        lines = csv.DictReader(io.StringIO(text, newline=""), restval="", strict=True)
        rows = [{name: str(cell) for name, cell in each.items() if name is not None} for each in lines]
    except OSError as error:
        raise FlywheelError(f"{path} cannot be read: {error.strerror}", reason="FileNotRead") from None
    except UnicodeDecodeError as error:
        raise FlywheelError(f"{path} is not UTF-8 (byte {error.start}); convert it", reason="BadFile") from None
    except csv.Error as error:
        raise FlywheelError(f"{path} is no CSV with commas: {error}", reason="BadFile") from None
    if missing := [name for name in NEEDED if name not in (lines.fieldnames or ())]:
        raise FlywheelError(
            f"{path} has no column '{missing[0]}', so it is no file of 'flywheel label --output'; name another",
            reason="BadFile",
        )
    return [{**each, **{name: _unescape_formula(each.get(name, "")) for name in NAMES}} for each in rows]


def _to_cells(row: DrawnRow) -> Cells:
    values = flatten_prediction(row.content)
    rest = {name: _to_cell(value) for name, value in values.items() if name not in HIDDEN}
    return {
        LABEL: "",
        ID: row.id,
        ROW: str(row.row),
        KEY: "" if values.get(KEY) is None else str(values[KEY]),
        PROBABILITY: repr(row.probability),
        **{name: text for name, text in rest.items() if name not in COLUMNS},
    }


def _to_cell(value: Any) -> str:
    """The cell of a feature or an output."""
    if value is None:
        return ""
    if isinstance(value, Mapping):
        return str(dict(value))
    return _escape_formula(value) if isinstance(value, str) else str(value)


def _escape_formula(text: str) -> str:
    """The text with an apostrophe before it if a spreadsheet would compute it; a number is left as it is."""
    return f"'{text}" if text.lstrip("'").startswith(FORMULAS) and not _is_number(text) else text


def _unescape_formula(text: str) -> str:
    """What `_escape_formula` was given."""
    return text[1:] if text.startswith("'") and _escape_formula(text[1:]) == text else text


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False
