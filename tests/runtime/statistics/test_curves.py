"""Points of curves: each threshold gives the rates beside it."""

import numpy as np
import pytest

from flywheel_runtime.statistics.curves import precision_recall_points, roc_points

TRUTH = np.array([0, 1, 0, 1, 1])


@pytest.mark.parametrize("highest", [0.9, 1.0])
def test_each_threshold_of_the_roc_curve_gives_its_rates(highest: float) -> None:
    score = np.array([0.1, 0.4, 0.5, 0.8, highest])

    points = roc_points(TRUTH, score)

    for fpr, tpr, threshold in zip(points["fpr"], points["tpr"], points["thresholds"], strict=True):
        is_positive = score >= threshold
        assert fpr == pytest.approx(is_positive[TRUTH == 0].mean())
        assert tpr == pytest.approx(is_positive[TRUTH == 1].mean(), abs=1e-6)
    assert (points["fpr"][0], points["tpr"][0], points["thresholds"][0]) == (0, 0, 1.000001)


def test_the_precision_recall_curve_has_no_point_without_a_threshold() -> None:
    score = np.array([0.1, 0.4, 0.5, 0.8, 1.0])

    points = precision_recall_points(TRUTH, score)

    assert points["thresholds"] == score.tolist()
    assert points["recall"][-1] == pytest.approx(1 / 3, abs=1e-6)
