"""Losses in [0, 1] whose mean is the metric on another scale, for every metric that is tested."""

import numpy as np
import pytest

from flywheel_runtime.contract.errors import Undefined
from flywheel_runtime.monitoring.labels.losses import TESTABLE, loss_scale, row_losses
from flywheel_runtime.statistics.metrics import METRICS_OF_TASK, ScoredRows, metric_value

CLASSIFICATION = METRICS_OF_TASK["Classification"]


def classified(rows: int = 40_000, classes: int = 2, seed: int = 3) -> ScoredRows:
    random = np.random.default_rng(seed)
    probabilities = random.dirichlet(np.ones(classes), rows)
    y_true = np.array([random.choice(classes, p=each) for each in probabilities])
    return ScoredRows(y_true, probabilities.argmax(axis=1), probabilities)


def predicted(rows: int = 40_000, seed: int = 3) -> ScoredRows:
    random = np.random.default_rng(seed)
    truth = random.uniform(10, 20, rows)
    return ScoredRows(truth, truth + random.normal(0, 1, rows), np.empty((rows, 0)))


@pytest.mark.parametrize("metric", TESTABLE)
def test_the_mean_loss_is_the_metric(metric: str) -> None:
    scored = classified() if metric in CLASSIFICATION else predicted()
    value = metric_value(metric, scored)
    scale = loss_scale(metric, value, 0.1)

    losses = row_losses(scale, scored)

    assert losses.min() >= 0
    assert losses.max() <= 1
    assert losses.mean() == pytest.approx(scale.reference, rel=0.03)


@pytest.mark.parametrize("metric", TESTABLE)
def test_a_metric_that_is_worse_by_the_drop_has_the_mean_of_the_null(metric: str) -> None:
    better, worse = loss_scale(metric, 0.7, 0.1), loss_scale(metric, 0.6 if metric in ("roc_auc", "accuracy") else 0.8, 0.1)  # fmt: skip

    assert better.reference + better.max_increase == pytest.approx(worse.reference * worse.unit / better.unit)


def test_brier_and_log_loss_of_several_classes_are_bounded_too() -> None:
    scored = classified(4_000, classes=4)
    for metric in ("brier", "log_loss", "accuracy"):
        losses = row_losses(loss_scale(metric, metric_value(metric, scored), 0.1), scored)
        assert 0 <= losses.min() <= losses.max() <= 1


@pytest.mark.parametrize(
    ("scored", "words"),
    [
        pytest.param(classified(100, classes=3), "for two classes", id="three classes"),
        pytest.param(ScoredRows(np.ones(9), np.ones(9), np.full((9, 2), 0.5)), "no labelled row of a class", id="one class"),
    ],
)  # fmt: skip
def test_pairs_need_two_classes(scored: ScoredRows, words: str) -> None:
    with pytest.raises(Undefined, match=words):
        row_losses(loss_scale("roc_auc", 0.8, 0.1), scored)


def test_a_metric_that_is_no_mean_is_not_tested() -> None:
    with pytest.raises(Undefined, match="f1 is no mean over rows, so it is not tested; choose one of roc_auc"):
        loss_scale("f1", 0.8, 0.1)


def test_the_same_rows_give_the_same_pairs() -> None:
    scale, scored = loss_scale("roc_auc", 0.8, 0.1), classified(500)

    assert row_losses(scale, scored).tolist() == row_losses(scale, scored).tolist()
