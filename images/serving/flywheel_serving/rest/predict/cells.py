"""Cells of one column as an array of an input's datatype."""

from contextlib import suppress
from itertools import chain
from typing import Any

import numpy as np

from flywheel_serving.model import tensors, timestamps
from flywheel_serving.model.datatypes import DTYPES, Array
from flywheel_serving.model.signature import TensorSpec

# As the check of a Dataset reads them (images/runtime/flywheel_runtime/datasets/types.py).
MISSING = frozenset({"", "na", "n/a", "nan", "null", "none"})
# From here on, a type has not every whole number.
LAST_EXACT = {"FP16": 2**11, "FP32": 2**24, "FP64": 2**53}
TRUE, FALSE = frozenset({"true", "t", "yes"}), frozenset({"false", "f", "no"})


def to_array(cells: list[Any], spec: TensorSpec, *, is_text: bool) -> Array:
    """The array of `cells`, [rows, ...] if they are nested lists. Raises ValueError with the finding.

    A Boolean is 1 or 0 among numbers; null is a missing number or an empty text. `is_text`: parse numbers.
    """
    given, datatype = cells, spec.datatype
    if spec.is_timestamp:
        cells = [_read_timestamp(cell, row, is_text=is_text) for row, cell in enumerate(cells)]
    elif is_text and datatype != "BYTES":
        cells = _parse_all(cells, datatype)
    if datatype == "BOOL":
        cells = [bool(cell) if type(cell) in (int, float) and cell in (0, 1) else cell for cell in cells]
    elif datatype != "BYTES":
        cells = [int(cell) if type(cell) is bool else cell for cell in cells]
    array = tensors.from_json(cells, datatype, _shape(cells))
    if datatype in LAST_EXACT:
        _check_exact(given, array, datatype)
    return array


def has_inexact(array: Array, datatype: str) -> bool:
    """Whether a whole number may have been rounded to a value of the array."""
    return bool(np.abs(array).max(initial=0) >= LAST_EXACT[datatype])


def _check_exact(cells: list[Any], array: Array, datatype: str) -> None:
    """As in a batch, a whole number that the type does not have is an error, and not another number."""
    large = np.flatnonzero(np.isfinite(array) & (np.abs(array) >= LAST_EXACT[datatype]))
    if not large.size:
        return
    for _ in array.shape[1:]:
        cells = list(chain.from_iterable(cells))
    for at in large.tolist():
        cell, row = cells[at], at // (array.size // len(array))
        whole = cell if type(cell) is int else None
        if isinstance(cell, str) and cell.strip().lstrip("+-").isdecimal():
            whole = int(cell)
        if whole is not None and whole != int(array.flat[at]):
            raise ValueError(f"the value {whole} in row {row} cannot be represented in {datatype}")


def _read_timestamp(cell: Any, row: int, *, is_text: bool) -> Any:
    """Microseconds since 1970, None where the value is missing; lists of cells stay lists."""
    if type(cell) is list:
        return [_read_timestamp(each, row, is_text=is_text) for each in cell]
    if type(cell) is str:
        text = cell.strip()
        if is_text and text.lower() in MISSING:
            return None
        if is_text and "_" not in text:
            with suppress(ValueError):
                return float(text)
        try:
            return float(timestamps.parse_timestamp(text))
        except ValueError as error:
            raise ValueError(f"row {row}: {error}") from error
    if type(cell) is bool:
        raise ValueError(f"row {row}: found {str(cell).lower()}, wanted {timestamps.EXPECTED}")
    return cell


def key_array(cells: list[Any]) -> Array:
    """The join keys of a prediction log. Raises ValueError unless they are texts or whole numbers."""
    for row, cell in enumerate(cells):
        if type(cell) not in (str, int):
            raise ValueError(f"wanted text or a whole number in row {row}, since it joins labels")
    return tensors.from_json([str(cell) for cell in cells], "BYTES", [len(cells)])


def _shape(cells: list[Any]) -> list[int]:
    shape: list[int] = []
    level: Any = cells
    while type(level) is list:
        shape.append(len(level))
        level = level[0] if level else None
    return shape


def _parse_all(cells: list[str], datatype: str) -> list[Any]:
    """The values of texts: all at once if they are numbers, since a request has up to millions."""
    if datatype != "BOOL" and not any(["_" in cell for cell in cells]):  # noqa: C419  twice as fast
        with suppress(ValueError):
            return list(map(int if DTYPES[datatype].kind in "iu" else float, cells))
    return [_parse(cell, datatype, row) for row, cell in enumerate(cells)]


def _parse(cell: str, datatype: str, row: int) -> Any:
    """The value of a text."""
    text = cell.strip().lower()
    if text in MISSING:
        return None
    if text in TRUE or text in FALSE:
        return text in TRUE
    if "_" not in text:  # Python reads 1_000 as a number
        with suppress(ValueError):
            return int(text) if DTYPES[datatype].kind in "iu" and text.lstrip("+-").isdigit() else float(text)
    raise ValueError(f"wanted a number, found {cell[:60]!r} in row {row}")
