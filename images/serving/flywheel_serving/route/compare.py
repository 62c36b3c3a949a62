"""Whether two answers to one request are the same: numbers within a tolerance, classes (all else) exactly."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from flywheel_serving.datatypes import Array


@dataclass(frozen=True)
class Comparison:
    """`difference` is the largest between two numbers; 1 for unequal classes; infinite where only one is a finite number.

    `row` is where it is, along the outputs' first axis.
    """

    agrees: bool
    difference: float
    row: int


def compare(champion: Sequence[Array], challenger: Sequence[Array], absolute: float, relative: float) -> Comparison:
    """Numbers agree if |champion - challenger| <= absolute + relative * |champion|, as numpy.isclose has it."""
    agrees, worst, row = True, 0.0, 0
    for left, right in zip(champion, challenger, strict=True):
        if left.shape != right.shape:
            return Comparison(False, float("inf"), 0)
        if not left.size:
            continue
        same, gap = _numbers(left, right, absolute, relative) if left.dtype.kind == "f" else _classes(left, right)
        # What disagrees is worse than any difference that is tolerated.
        at = int(np.argmax(np.where(same, -1.0, gap) if not same.all() else gap))
        largest = float(gap.ravel()[at])
        if (not same.all(), largest) > (not agrees, worst):
            worst, row = largest, at // (left.size // len(left)) if left.ndim else 0
        agrees = agrees and bool(same.all())
    return Comparison(agrees, worst, row)


def _numbers(left: Array, right: Array, absolute: float, relative: float) -> tuple[Array, Array]:
    """Where they agree, and by how much they differ."""
    a, b = left.astype(np.float64), right.astype(np.float64)
    finite = np.isfinite(a) & np.isfinite(b)
    equal = (a == b) | (np.isnan(a) & np.isnan(b))
    with np.errstate(all="ignore"):
        gap = np.where(equal, 0.0, np.where(finite, np.abs(a - b), np.inf))
        return equal | (finite & (gap <= absolute + relative * np.abs(a))), gap


def _classes(left: Array, right: Array) -> tuple[Array, Array]:
    same = np.asarray(left == right, np.bool_)
    return same, np.where(same, 0.0, 1.0)
