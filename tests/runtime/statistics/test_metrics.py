"""Metrics by weights are scikit-learn's, with its `sample_weight`."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn import metrics as sklearn

from flywheel_runtime.contract.errors import Failure
from flywheel_runtime.statistics.metrics import (
    CLASSIFICATION,
    REGRESSION,
    ScoredRows,
    describe_confusion,
    metric_function,
    metric_value,
    metric_values,
    order_metrics,
)
from tests.examples import examples

Array = NDArray[Any]


def classified(seed: int, rows: int = 300, classes: int = 2) -> ScoredRows:
    """Predictions that know something of the true targets; probabilities are rounded, so that some are equal and some are 0."""
    random = np.random.default_rng(seed)
    y_true = np.append(np.arange(classes), random.integers(0, classes, rows - classes))
    score = random.random((rows, classes)) ** 4 + 0.5 * (y_true[:, None] == np.arange(classes))
    probabilities = np.round(score / score.sum(axis=1, keepdims=True), 1)
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    return ScoredRows(y_true, probabilities.argmax(axis=1), probabilities)


def regressed(seed: int, rows: int = 200) -> ScoredRows:
    random = np.random.default_rng(seed)
    y_true = random.normal(3, 1, rows)
    return ScoredRows(y_true, y_true + random.normal(0, 0.5, rows), np.empty((rows, 0)))


def one_hot(scored: ScoredRows) -> Array:
    return np.asarray(scored.y_true[:, None] == np.arange(scored.probabilities.shape[1]))


SKLEARN: dict[str, Callable[[ScoredRows, Array], float]] = {
    "roc_auc": lambda s, w: (
        sklearn.roc_auc_score(s.y_true, s.probabilities[:, 1], sample_weight=w)
        if s.is_binary
        else sklearn.roc_auc_score(s.y_true, s.probabilities, multi_class="ovr", average="macro", sample_weight=w)
    ),
    "average_precision": lambda s, w: (
        sklearn.average_precision_score(s.y_true, s.probabilities[:, 1], sample_weight=w)
        if s.is_binary
        else sklearn.average_precision_score(one_hot(s), s.probabilities, average="macro", sample_weight=w)
    ),
    "accuracy": lambda s, w: sklearn.accuracy_score(s.y_true, s.predicted, sample_weight=w),
    "balanced_accuracy": lambda s, w: sklearn.balanced_accuracy_score(s.y_true, s.predicted, sample_weight=w),
    "f1": lambda s, w: sklearn.f1_score(
        s.y_true, s.predicted, average="binary" if s.is_binary else "weighted", zero_division=0, sample_weight=w
    ),
    "f1_macro": lambda s, w: sklearn.f1_score(s.y_true, s.predicted, average="macro", zero_division=0, sample_weight=w),
    "log_loss": lambda s, w: sklearn.log_loss(s.y_true, s.probabilities, sample_weight=w),
    "brier": lambda s, w: sklearn.brier_score_loss(
        s.y_true, s.probabilities[:, 1] if s.is_binary else s.probabilities, sample_weight=w
    ),
    "rmse": lambda s, w: sklearn.root_mean_squared_error(s.y_true, s.predicted, sample_weight=w),
    "mae": lambda s, w: sklearn.mean_absolute_error(s.y_true, s.predicted, sample_weight=w),
    "r2": lambda s, w: sklearn.r2_score(s.y_true, s.predicted, sample_weight=w),
    "mape": lambda s, w: sklearn.mean_absolute_percentage_error(s.y_true, s.predicted, sample_weight=w),
}


@pytest.mark.parametrize("classes", [2, 4])
@pytest.mark.parametrize("metric", CLASSIFICATION)
def test_a_metric_of_classes_is_scikit_learns(metric: str, classes: int) -> None:
    scored = classified(3, classes=classes)
    weights = np.random.default_rng(9).integers(1, 5, len(scored)).astype(float)

    assert metric_value(metric, scored) == pytest.approx(SKLEARN[metric](scored, np.ones(len(scored))), abs=1e-12)
    assert metric_function(metric, scored)(weights[None])[0] == pytest.approx(SKLEARN[metric](scored, weights))


@pytest.mark.parametrize("metric", REGRESSION)
def test_a_metric_of_values_is_scikit_learns(metric: str) -> None:
    scored = regressed(5)
    weights = np.random.default_rng(9).integers(1, 5, len(scored)).astype(float)

    assert metric_value(metric, scored) == pytest.approx(SKLEARN[metric](scored, np.ones(len(scored))), abs=1e-12)
    assert metric_function(metric, scored)(weights[None])[0] == pytest.approx(SKLEARN[metric](scored, weights))


@pytest.mark.parametrize("metric", CLASSIFICATION)
@given(seed=st.integers(0, 10_000))
@settings(max_examples=examples(25), deadline=None)
def test_a_row_that_is_drawn_twice_counts_as_two_rows(metric: str, seed: int) -> None:
    scored = classified(seed, rows=60, classes=3)
    weights = np.random.default_rng(seed).integers(0, 4, len(scored))
    weights[:3] = 1  # each class stays
    drawn = np.repeat(np.arange(len(scored)), weights)

    weighted = metric_function(metric, scored)(weights[None, :].astype(float))[0]

    assert weighted == pytest.approx(metric_value(metric, scored.take(drawn)), abs=1e-12)


@pytest.mark.parametrize("classes", [2, 3])
def test_the_log_loss_of_32_bit_probabilities_is_that_of_the_same_numbers_in_64_bits(classes: int) -> None:
    scored = classified(1, classes=classes)
    of_32_bits = ScoredRows(scored.y_true, scored.predicted, scored.probabilities.astype(np.float32))
    of_64_bits = ScoredRows(scored.y_true, scored.predicted, of_32_bits.probabilities.astype(float))

    assert (scored.probabilities == 0).any()
    assert metric_value("log_loss", of_32_bits) == metric_value("log_loss", of_64_bits)


def test_a_metric_that_the_rows_do_not_define_has_no_value() -> None:
    scored = classified(1, rows=10)
    positive = ScoredRows(np.ones(10, dtype=int), scored.predicted, scored.probabilities)
    negative = ScoredRows(np.zeros(10, dtype=int), scored.predicted, scored.probabilities)
    constant = ScoredRows(np.full(3, 0.1), np.array([0.1, 0.2, 0.3]), np.empty((3, 0)))

    assert np.isnan(metric_value("roc_auc", positive))
    assert np.isnan(metric_value("roc_auc", positive.take(np.empty(0, dtype=int))))
    assert set(CLASSIFICATION) - set(metric_values(CLASSIFICATION, negative)) == {"roc_auc", "average_precision", "f1"}
    assert set(metric_values(REGRESSION, constant)) == {"rmse", "mae", "mape"}


@pytest.mark.parametrize(("target", "rows"), [(0.1, 3), (0.1, 11), (0.7, 49), (1e9 + 0.1, 1000)])
def test_r2_of_a_constant_target_is_undefined(target: float, rows: int) -> None:
    constant = ScoredRows(np.full(rows, target), np.linspace(0, 1, rows), np.empty((rows, 0)))

    assert np.isnan(metric_value("r2", constant))


def test_r2_keeps_its_digits_where_the_target_is_large_and_varies_little() -> None:
    scored = regressed(2)
    shifted = ScoredRows(scored.y_true + 1e9, scored.predicted + 1e9, scored.probabilities)

    assert metric_value("r2", shifted) == pytest.approx(metric_value("r2", scored), abs=1e-6)


@pytest.mark.parametrize("rows", [2, 3, 4])
@pytest.mark.parametrize("seed", range(20))
def test_r2_is_undefined_on_a_resample_of_one_row(rows: int, seed: int) -> None:
    resamples = np.eye(rows) * rows

    assert np.isnan(metric_function("r2", regressed(seed, rows))(resamples)).all()


def test_a_metric_of_the_other_task_is_a_key_error() -> None:
    for metric in REGRESSION:
        with pytest.raises(KeyError, match=metric):
            metric_function(metric, classified(1))
    for metric in CLASSIFICATION:
        with pytest.raises(KeyError, match=metric):
            metric_function(metric, regressed(1))


def test_a_class_that_the_data_does_not_have_is_a_wrong_prediction() -> None:
    scored = classified(2, rows=10)
    unknown = ScoredRows(scored.y_true, np.full(10, 3), scored.probabilities)

    assert metric_value("accuracy", unknown) == 0
    assert metric_value("f1_macro", unknown) == 0
    assert metric_value("balanced_accuracy", unknown) == 0


@pytest.mark.parametrize("metric", ["balanced_accuracy", "f1_macro"])
def test_a_class_of_which_there_are_no_rows_is_left_out_of_the_mean(metric: str) -> None:
    y_true, predicted = np.array([0, 1, 0, 1]), np.array([0, 1, 1, 1])

    of_three = metric_value(metric, ScoredRows(y_true, predicted, np.full((4, 3), 1 / 3)))

    score = {"balanced_accuracy": sklearn.balanced_accuracy_score, "f1_macro": macro_f1}[metric]
    assert of_three == pytest.approx(score(y_true, predicted))


@pytest.mark.parametrize(
    ("metric", "score"), [("roc_auc", sklearn.roc_auc_score), ("average_precision", sklearn.average_precision_score)]
)
def test_a_class_without_rows_is_left_out_of_one_against_the_rest(metric: str, score: Any) -> None:
    y_true = np.array([0, 1, 0, 1, 1, 0])
    first = np.array([0.5, 0.3, 0.4, 0.45, 0.1, 0.6])
    probabilities = np.stack([first, 0.9 - first, np.full(6, 0.1)], axis=1)
    of_two = np.mean([score(y_true == each, probabilities[:, each]) for each in (0, 1)])

    assert metric_value(metric, ScoredRows(y_true, probabilities.argmax(1), probabilities)) == pytest.approx(of_two)


def macro_f1(y_true: Array, predicted: Array) -> float:
    return float(sklearn.f1_score(y_true, predicted, average="macro"))


def test_a_confusion_matrix_has_the_true_class_first() -> None:
    scored = classified(4, classes=3)

    assert (
        describe_confusion(scored, ["0", "1", "2"])["counts"]
        == sklearn.confusion_matrix(scored.y_true, scored.predicted).tolist()
    )


def test_the_objective_is_the_first_metric_of_its_task() -> None:
    assert order_metrics("Regression", "r2") == ["r2", "rmse", "mae", "mape"]
    with pytest.raises(Failure, match="Metric 'rmse' is not known for Classification; choose one of roc_auc"):
        order_metrics("Classification", "rmse")
