"""Compares two responses to one request: numbers within a tolerance, all other values exactly."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from flywheel_serving.model.datatypes import Array


@dataclass(frozen=True)
class Comparison:
    """`difference` is the largest between two numbers; 1 for unequal classes; infinite if only one of them is finite.

    `row` is where it occurs, along the outputs' first axis.
    """

    agrees: bool
    difference: float
    row: int


def compare(champion: Sequence[Array], challenger: Sequence[Array], absolute: float, relative: float) -> Comparison:
    """Numbers agree if |champion - challenger| <= absolute + relative * |champion|, as in numpy.isclose."""
    agrees, largest, row = True, 0.0, 0
    for left, right in zip(champion, challenger, strict=True):
        if left.shape != right.shape:
            return Comparison(False, float("inf"), 0)
        if not left.size:
            continue
        is_float = left.dtype.kind == "f"
        equal, gap = _compare_floats(left, right, absolute, relative) if is_float else _compare_classes(left, right)
        # A difference beyond the tolerance ranks above any tolerated one.
        index = int(np.argmax(np.where(equal, -1.0, gap) if not equal.all() else gap))
        difference = float(gap.ravel()[index])
        if (not equal.all(), difference) > (not agrees, largest):
            largest, row = difference, index // (left.size // len(left)) if left.ndim else 0
        agrees = agrees and bool(equal.all())
    return Comparison(agrees, largest, row)


def in_class_order(outputs: Sequence[Array], found: Sequence[str], wanted: Sequence[str]) -> list[Array] | None:
    """`outputs` with the columns of scores, [rows, classes] in the order `found`, in the order `wanted`.

    None if the versions have different classes, so that no column of scores means the same.
    """
    if tuple(found) == tuple(wanted) or not any(_is_scores(array, found) for array in outputs):
        return [*outputs]
    if sorted(found) != sorted(wanted):
        return None
    columns = [found.index(name) for name in wanted]
    return [array[:, columns] if _is_scores(array, found) else array for array in outputs]


def _is_scores(array: Array, classes: Sequence[str]) -> bool:
    return bool(classes) and array.ndim == 2 and array.shape[1] == len(classes) and array.dtype.kind == "f"


def _compare_floats(left: Array, right: Array, absolute: float, relative: float) -> tuple[Array, Array]:
    """Whether each pair agrees, and its absolute difference; both of the shape of `left`."""
    a, b = left.astype(np.float64), right.astype(np.float64)
    finite = np.isfinite(a) & np.isfinite(b)
    equal = (a == b) | (np.isnan(a) & np.isnan(b))
    with np.errstate(all="ignore"):
        gap = np.where(equal, 0.0, np.where(finite, np.abs(a - b), np.inf))
        return equal | (finite & (gap <= absolute + relative * np.abs(a))), gap


def _compare_classes(left: Array, right: Array) -> tuple[Array, Array]:
    """Whether each pair is equal, and 0 or 1; both of the shape of `left`."""
    equal = np.asarray(left == right, np.bool_)
    return equal, np.where(equal, 0.0, 1.0)
