"""Intervals cover: of many draws, about 95 in 100 hold the truth. Seeds are fixed, so these never flicker."""

from __future__ import annotations

import math
from collections.abc import Callable
from statistics import NormalDist

import numpy as np
import pytest

from flywheel_runtime.commands.evaluate import intervals
from flywheel_runtime.commands.evaluate.intervals import Interval, Judged

DRAWS = 400


def test_wilson_is_wilsons() -> None:
    """The example of Newcombe (1998), Two-sided confidence intervals for the single proportion, table I: 81 of 263."""
    found = intervals.wilson(81 / 263, 263)

    assert (round(found.low, 4), round(found.high, 4)) == (0.2553, 0.3662)


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_wilson_at_the_edge_is_no_certainty(share: float) -> None:
    found = intervals.wilson(share, 30)

    assert 0 <= found.low < found.high <= 1
    assert found.high - found.low > 0.1


def areas(random: np.random.Generator, rows: int, truth: float) -> Interval | None:
    """Scores of two normal distributions whose ROC area is `truth`."""
    apart = math.sqrt(2) * NormalDist().inv_cdf(truth)
    left, right = random.standard_normal(rows // 2), random.standard_normal(rows // 2) + apart
    area = float((right[:, None] > left[None, :]).mean())
    return intervals.newcombe(area, rows // 2, rows // 2)


def errors(random: np.random.Generator, rows: int, truth: float) -> Interval | None:
    judged = Judged(np.zeros(rows), random.standard_normal(rows) * truth, np.empty((rows, 0)))
    return intervals.of("rmse", "Regression", judged, float(np.sqrt(np.mean(judged.label**2))))


def hits(random: np.random.Generator, rows: int, truth: float) -> Interval | None:
    y = random.integers(0, 2, rows)
    label = np.where(random.random(rows) < truth, y, 1 - y)
    judged = Judged(y, label, np.eye(2)[label])
    return intervals.of("accuracy", "Classification", judged, float((y == label).mean()))


def balanced(random: np.random.Generator, rows: int, truth: float) -> Interval | None:
    y = random.integers(0, 2, rows)
    label = np.where(random.random(rows) < truth, y, 1 - y)
    judged = Judged(y, label, np.eye(2)[label])
    return intervals.of(
        "balanced_accuracy",
        "Classification",
        judged,
        judged.score(["balanced_accuracy"], "Classification")["balanced_accuracy"],
    )


@pytest.mark.integration
@pytest.mark.parametrize(
    ("draw", "rows", "truth", "draws"),
    [
        pytest.param(areas, 40, 0.8, DRAWS, id="few rows of an ROC area"),
        pytest.param(areas, 400, 0.7, DRAWS, id="an ROC area"),
        pytest.param(areas, 60, 0.97, DRAWS, id="an ROC area near 1"),
        pytest.param(errors, 300, 3.0, DRAWS, id="an RMSE"),
        pytest.param(hits, 40, 0.9, DRAWS, id="an accuracy"),
        pytest.param(balanced, 200, 0.8, 60, id="a balanced accuracy, by the bootstrap"),
    ],
)
def test_ninety_five_of_a_hundred_hold_the_truth(
    draw: Callable[[np.random.Generator, int, float], Interval | None], rows: int, truth: float, draws: int
) -> None:
    random = np.random.default_rng(1)
    found = [draw(random, rows, truth) for _ in range(draws)]

    held = np.mean([each is not None and each.low <= truth <= each.high for each in found])
    assert 0.91 <= held <= 0.99


def test_one_class_has_no_area() -> None:
    assert intervals.newcombe(0.5, 0, 10) is None
