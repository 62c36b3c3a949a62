"""From a table's columns to the tensors that the model takes.

Cells are values of a tensor's datatype: the same words mean the same as when the model's data was checked for training. A cell is text from
CSV, and whatever JSON or Parquet held elsewhere. What cannot be a value is told by its position.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import numpy as np

from flywheel_runtime.commands.batch.formats import RowError, Rows
from flywheel_runtime.commands.batch.inference.client import DATATYPES, Array, Tensor
from flywheel_runtime.contract.errors import Failure
from flywheel_runtime.datasets.types import FALSE, MISSING, TRUE

MOST_NAMED = 10
Wrong = dict[int, str]


@dataclass(frozen=True)
class Feature:
    """One input of the model and the columns that it is made of: one, or several side by side; `whole`: its one column holds lists."""

    tensor: Tensor
    columns: tuple[str, ...]
    whole: bool = False


def match(inputs: Sequence[Tensor], given: tuple[str, ...], columns: Sequence[str], file: str) -> list[Feature]:
    """Each input's columns. Failure ColumnsMissing or FeaturesInvalid says what the model takes and what the file has."""
    found = [_feature(tensor, given, len(inputs) == 1, columns) for tensor in inputs]
    wanted = [name for each in found for name in each.columns]
    missing = [name for name in wanted if name not in columns]
    if missing:
        words = f"file '{file}' has no column {_listed(missing)}; the model takes {_listed(wanted)}"
        cure = f"and the file has {_listed(columns)}; correct the input or choose another model"
        raise Failure("ColumnsMissing", f"{words}, {cure}")
    return found


def _feature(tensor: Tensor, given: tuple[str, ...], alone: bool, columns: Sequence[str]) -> Feature:
    name, shape = tensor.name, tensor.shape
    if shape and shape[0] != -1 and len(shape) > 1 and shape[0] != 1:
        raise _invalid(f"input '{name}' of the model has the fixed shape {list(shape)}, whose first axis is no row")
    width = shape[1] if len(shape) == 2 else 1 if len(shape) == 1 else 0
    if width == 1:
        return Feature(tensor, (name,))
    if not width:
        raise _invalid(
            f"input '{name}' of the model has the shape {list(shape)}; only columns can be read from a table"
        )
    if given and alone:
        if width not in (-1, len(given)):
            raise _invalid(
                f"spec.input.features names {len(given)} columns and input '{name}' of the model takes {width}"
            )
        return Feature(tensor, given)
    if name in columns:
        return Feature(tensor, (name,), whole=True)
    if width == -1:
        raise _invalid(f"input '{name}' of the model has any number of columns; name them in spec.input.features")
    return Feature(tensor, tuple(f"{name}_{at}" for at in range(width)))


def _invalid(words: str) -> Failure:
    return Failure("FeaturesInvalid", f"{words}; see spec.input.features")


def _listed(names: Iterable[str]) -> str:
    shown = [f"'{name}'" for name in names]
    more = f" and {len(shown) - MOST_NAMED} more" if len(shown) > MOST_NAMED else ""
    return ", ".join(shown[:MOST_NAMED]) + more


def tensors(features: Sequence[Feature], rows: Rows) -> tuple[Rows, dict[str, Array], list[RowError]]:
    """The rows that can be asked, their tensors, and the others with what is wrong with them."""
    wrong: dict[int, str] = {}
    whole: dict[str, Array] = {}
    for feature in features:
        array, found = _tensor(feature, rows)
        whole[feature.tensor.name] = array
        wrong = {**found, **wrong}
    if not wrong:
        return rows, whole, []
    good = [at for at in range(len(rows)) if at not in wrong]
    errors = [RowError(rows.numbers[at], "BadValue", wrong[at]) for at in sorted(wrong)]
    return rows.only(good), {name: array[good] for name, array in whole.items()}, errors


def _tensor(feature: Feature, rows: Rows) -> tuple[Array, Wrong]:
    tensor = feature.tensor
    if feature.whole:
        return _of_lists(tensor, feature.columns[0], rows)
    arrays: list[Array] = []
    wrong: Wrong = {}
    for column in feature.columns:
        array, found = values(rows.columns[column], tensor.datatype)
        arrays.append(array)
        wrong = {**{at: f"column '{column}': {words}" for at, words in found.items()}, **wrong}
    if len(tensor.shape) == 1:
        return arrays[0], wrong
    return np.stack(arrays, axis=1), wrong


def _of_lists(tensor: Tensor, column: str, rows: Rows) -> tuple[Array, Wrong]:
    cells = rows.columns[column]
    width = tensor.shape[1] if tensor.shape[1] > 0 else next((len(c) for c in cells if isinstance(c, (list, tuple))), 1)
    wrong: Wrong = {}
    flat: list[object] = []
    for at, cell in enumerate(cells):
        if isinstance(cell, (list, tuple)) and len(cell) == width:
            flat += cell
        else:
            flat += [None] * width
            wrong[at] = f"column '{column}': wanted a list of {width} values"
    array, found = values(flat, tensor.datatype)
    for place, words in found.items():
        wrong.setdefault(place // width, f"column '{column}': {words}")
    return array.reshape(len(cells), width), wrong


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
