"""Cells as values of a tensor's datatype: the same words mean the same as when the model's data was checked for training.

A cell is text from CSV, and whatever JSON or Parquet held elsewhere. What cannot be a value is told by its position.
"""

import math
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any

import numpy as np

from flywheel_runtime.commands.batch.inference.client import DATATYPES, Array
from flywheel_runtime.datasets.types import FALSE, MISSING, TRUE

Wrong = dict[int, str]


def values(cells: Sequence[Any], datatype: str) -> tuple[Array, Wrong]:
    """An array of the datatype, and what is wrong at which positions, where the array holds anything."""
    if datatype == "BYTES":
        return _each(cells, _text, np.dtype(object), "")
    wanted = DATATYPES[datatype].numpy
    if wanted.kind == "f":
        return _floats(cells, wanted)
    if wanted.kind == "b":
        return _each(cells, _boolean, wanted, False)
    limits = np.iinfo(wanted.name)

    def whole(cell: Any) -> int:
        number = _whole(cell)
        if not limits.min <= number <= limits.max:
            raise ValueError(f"{number} does not fit {datatype}")
        return number

    return _each(cells, whole, wanted, 0)


def _each(cells: Sequence[Any], one: Callable[[Any], Any], dtype: np.dtype[Any], otherwise: Any) -> tuple[Array, Wrong]:
    found = np.empty(len(cells), dtype)
    wrong: Wrong = {}
    for at, cell in enumerate(cells):
        try:
            found[at] = one(cell)
        except ValueError as error:
            found[at] = otherwise
            wrong[at] = str(error)
    return found, wrong


def _floats(cells: Sequence[Any], dtype: np.dtype[Any]) -> tuple[Array, Wrong]:
    wide, wrong = _plain_floats(cells) or _each(cells, _float, np.dtype("f8"), math.nan)
    with np.errstate(over="ignore"):
        narrow: Array = wide.astype(dtype)
    for at in np.flatnonzero(np.isfinite(wide) & ~np.isfinite(narrow)).tolist():
        wrong[at] = f"{wide[at]} does not fit FP{8 * dtype.itemsize}"
    return narrow, wrong


def _plain_floats(cells: Sequence[Any]) -> tuple[Array, Wrong] | None:
    """All at once, where every cell is an ordinary number; None where one of them must be looked at."""
    try:
        if set(map(type, cells)) == {str}:
            if "_" in "".join(cells):
                return None  # Python reads 1_000 as a number
            return np.array([float(cell) if cell else math.nan for cell in cells], np.float64), {}
        return np.array([math.nan if cell is None else float(cell) for cell in cells], np.float64), {}
    except (ValueError, TypeError, OverflowError):
        return None


def _float(cell: Any) -> float:
    if cell is None:
        return math.nan
    if isinstance(cell, str):
        text = cell.strip().lower()
        if text in MISSING:
            return math.nan
        if text in ("true", "false"):
            return float(text == "true")
        if "_" in text:
            raise ValueError(f"{cell[:60]!r} is no number")
        try:
            return float(text)
        except ValueError:
            raise ValueError(f"{cell[:60]!r} is no number") from None
    if isinstance(cell, (bool, int, float, Decimal)):
        try:
            return float(cell)
        except OverflowError:
            raise ValueError("the number is too large") from None
    raise ValueError(f"{_kind(cell)} is no number")


def _whole(cell: Any) -> int:
    try:
        if isinstance(cell, str):
            return int(cell.strip()) if "_" not in cell else int("no")
        if isinstance(cell, int):
            return int(cell)
    except ValueError:
        pass
    number = _float(cell)
    if math.isnan(number):
        raise ValueError("the value is missing, and the model takes whole numbers alone")
    if not number.is_integer():
        raise ValueError(f"{number} is no whole number")
    return int(number)


def _boolean(cell: Any) -> bool:
    text = str(cell).strip().lower()
    if text in TRUE or text in FALSE:
        return text in TRUE
    raise ValueError(f"{str(cell)[:60]!r} is neither true nor false")


def _text(cell: Any) -> str:
    if cell is None:
        return ""
    if not isinstance(cell, str):
        raise ValueError(f"{_kind(cell)} is no text")  # noqa: TRY004 told as every other cell's fault is
    try:
        cell.encode()
    except UnicodeEncodeError:
        raise ValueError("the text holds half of a character") from None
    return cell


def _kind(cell: Any) -> str:
    if isinstance(cell, (list, dict)):
        return "a list" if isinstance(cell, list) else "an object"
    return f"{str(cell)[:60]!r}"
