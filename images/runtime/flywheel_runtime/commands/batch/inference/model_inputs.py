"""From a table's columns to the tensors that the model takes."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from flywheel_runtime.commands.batch.formats import RowError, Rows
from flywheel_runtime.commands.batch.inference.cells import Wrong, values
from flywheel_runtime.commands.batch.inference.client import Array, Tensor
from flywheel_runtime.contract.errors import Failure

MOST_NAMED = 10


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
