"""Compares calls of one row with calls of several. It backs the proof, which knows the operators and not their kernels."""

import contextlib
from collections.abc import Callable

import numpy as np

from flywheel_serving.errors import RequestError
from flywheel_serving.model.datatypes import Array
from flywheel_serving.model.golden_rows import InputRows
from flywheel_serving.model.loaded_model import LoadedModel

MAX_ROWS = 6
STEPS = (1, 3, 40)  # from the first row's numbers to those of its neighbours
Call = Callable[[dict[str, Array]], list[Array]]  # from inputs to all outputs
RELATIVE_TOLERANCE, ABSOLUTE_TOLERANCE = 1e-3, 1e-4


def compare_rows(given: InputRows, model: LoadedModel, seconds: float | None = None) -> str:
    """Why requests must not share a call of the model, as the rest of a sentence; empty if they may."""
    outputs = model.signature.outputs
    if not given.batched or not all(spec.shape and spec.shape[0] == -1 for spec in outputs):
        return "its inputs and outputs have no row axis in common"
    names = [spec.name for spec in outputs]
    return _compare(given, lambda feeds: model.run(feeds, names, seconds))


def _compare(given: InputRows, call: Call) -> str:
    rows, alone = _rows_alone(given, call)
    count = len(alone)
    try:
        for order in (np.arange(count), np.arange(count)[::-1], np.repeat(np.arange(count), 2)):
            together = call({name: array[order] for name, array in rows.items()})
            if not all(_is_same(whole, [alone[row][index] for row in order]) for index, whole in enumerate(together)):
                return "a row in a call with others gets another output than alone"
    except RequestError as error:
        return f"rows that it takes alone fail in one call: {error}"
    return ""


def _rows_alone(given: InputRows, call: Call) -> tuple[dict[str, Array], list[list[Array]]]:
    """Rows that the model takes, as one call, and the outputs of each by itself."""
    candidates = {name: _neighbours(array) for name, array in given.inputs.items()}
    found: list[list[Array]] = []
    taken = []
    for row in range(MAX_ROWS):
        with contextlib.suppress(RequestError):  # a derived row may lie outside the model's range
            found.append(call({name: array[[row]] for name, array in candidates.items()}))
            taken.append(row)
    return {name: array[taken] for name, array in candidates.items()}, found


def _neighbours(array: Array) -> Array:
    """Up to six rows: the given ones, and others derived from the first one if they are too few."""
    if array.dtype.kind not in "fiu":
        return array[np.arange(MAX_ROWS) % len(array)]
    with np.errstate(all="ignore"):
        derived = [*(array[:1] + array.dtype.type(step) for step in STEPS), array[:1] - array.dtype.type(2), array[:1]]
    return np.concatenate([array[:MAX_ROWS], *derived]).astype(array.dtype)[:MAX_ROWS]


def _is_same(whole: Array, alone: list[Array]) -> bool:
    """Whether the rows of `whole` are the outputs of the calls of one row."""
    return len(whole) == len(alone) and all(_is_close(whole[[row]], each) for row, each in enumerate(alone))


def _is_close(left: Array, right: Array) -> bool:
    if left.shape != right.shape:
        return False
    if left.dtype.kind != "f":
        return bool((left == right).all())
    return bool(np.allclose(left, right, RELATIVE_TOLERANCE, ABSOLUTE_TOLERANCE, equal_nan=True))
