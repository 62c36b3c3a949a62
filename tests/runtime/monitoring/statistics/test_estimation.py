"""Performance without labels, beside the truth under covariate shift: simulated, and on real rows."""

import numpy as np
import pytest
from sklearn import datasets, linear_model, metrics, model_selection, preprocessing

from flywheel_runtime.contract.errors import Undefined
from flywheel_runtime.monitoring.statistics.estimation import (
    Calibration,
    calibrate_bins,
    estimate_confusion,
    estimate_multiclass_accuracy,
    estimate_multiclass_roc_auc,
    estimate_roc_auc,
    expected_multiclass_confusion,
    expected_roc_auc,
    metrics_of_confusion,
)

BINS = 50
MOST = 0.02  # of the ROC area


def bin_scores(scores: np.ndarray) -> np.ndarray:
    bins: np.ndarray = np.clip((scores * BINS).astype(int), 0, BINS - 1)
    return bins


def calibrate(scores: np.ndarray, labels: np.ndarray) -> Calibration:
    bins, middles = bin_scores(scores), (np.arange(BINS) + 0.5) / BINS
    return calibrate_bins(np.bincount(bins, labels, BINS), np.bincount(bins, minlength=BINS), middles)


def sigmoid(values: np.ndarray) -> np.ndarray:
    probabilities: np.ndarray = 1 / (1 + np.exp(-values))
    return probabilities


@pytest.mark.parametrize("distortion", [0.6, 1.0, 1.6])
@pytest.mark.parametrize(("shift", "spread"), [(0.0, 1.0), (1.0, 1.0), (-1.0, 0.7), (0.0, 0.5), (0.5, 1.5)])
def test_the_area_is_within_two_hundredths_under_covariate_shift(
    distortion: float, shift: float, spread: float
) -> None:
    """The scores need not be calibrated: labelled rows of the reference make them so."""
    random = np.random.default_rng(1)
    reference, now = random.normal(0, 1.5, 20_000), random.normal(shift, 1.5 * spread, 20_000)
    calibration = calibrate(sigmoid(distortion * reference), random.random(20_000) < sigmoid(reference))
    scores, labels = sigmoid(distortion * now), random.random(20_000) < sigmoid(now)

    estimate = estimate_roc_auc(calibration, np.bincount(bin_scores(scores), minlength=BINS))

    assert estimate == pytest.approx(metrics.roc_auc_score(labels, scores), abs=MOST)


def test_the_expected_confusion_is_the_true_one_under_covariate_shift() -> None:
    random = np.random.default_rng(2)
    reference, now = random.normal(0, 1.5, 20_000), random.normal(0.7, 1.2, 20_000)
    calibration = calibrate(sigmoid(reference), random.random(20_000) < sigmoid(reference))
    scores, labels = sigmoid(now), random.random(20_000) < sigmoid(now)
    confusion = estimate_confusion(calibration, np.bincount(bin_scores(scores), minlength=BINS), BINS // 2)

    true = metrics.confusion_matrix(labels, scores >= 0.5)

    assert confusion.sum() == 20_000
    assert confusion / 20_000 == pytest.approx(true / 20_000, abs=0.015)
    assert metrics_of_confusion(confusion)["f1"] == pytest.approx(metrics.f1_score(labels, scores >= 0.5), abs=0.02)


@pytest.mark.integration
@pytest.mark.parametrize("column", [0, 7, 20, 27])
def test_the_area_is_within_two_hundredths_on_real_rows(column: int) -> None:
    """Tumours of the breast cancer table, with labels that a shallow model cannot know: rows are kept more often the larger one column is."""
    table = datasets.load_breast_cancer()
    features = preprocessing.StandardScaler().fit_transform(table.data)
    random = np.random.default_rng(3)
    repeated = np.repeat(np.arange(len(features)), 60)
    noisy = features[repeated][:, [1, 9, 18, column]] + random.normal(0, 0.5, (len(repeated), 4))
    labels = table.target[repeated]
    train, reference, test = np.split(random.permutation(len(repeated)), [8_000, 18_000])
    model = linear_model.LogisticRegression(C=0.1).fit(noisy[train], labels[train])
    scores = model.predict_proba(noisy)[:, 1]
    calibration = calibrate(scores[reference], labels[reference])
    moved = test[random.random(len(test)) < sigmoid(1.5 * noisy[test, 3])]

    estimate = estimate_roc_auc(calibration, np.bincount(bin_scores(scores[moved]), minlength=BINS))

    assert estimate == pytest.approx(metrics.roc_auc_score(labels[moved], scores[moved]), abs=MOST)


@pytest.mark.integration
def test_three_classes_are_estimated_on_real_rows() -> None:
    """Digits with noise, where odd ones are kept three times as often as in the reference."""
    images, digits = datasets.load_digits(return_X_y=True)
    random = np.random.default_rng(4)
    repeated = np.repeat(np.arange(len(images)), 8)
    rows, labels = images[repeated] + random.normal(0, 6, (len(repeated), images.shape[1])), digits[repeated] % 3
    train, test = model_selection.train_test_split(np.arange(len(rows)), train_size=8_000, random_state=5)
    model = linear_model.LogisticRegression(C=1e-3, max_iter=400).fit(rows[train], labels[train])
    moved = test[(rows[test].sum(axis=1) > np.median(rows.sum(axis=1))) | (random.random(len(test)) < 0.3)]
    probabilities = model.predict_proba(rows[moved])
    expected = metrics.roc_auc_score(labels[moved], probabilities, multi_class="ovr")

    assert estimate_multiclass_roc_auc(probabilities) == pytest.approx(expected, abs=MOST)
    assert estimate_multiclass_accuracy(probabilities) == pytest.approx(
        metrics.accuracy_score(labels[moved], probabilities.argmax(axis=1)), abs=0.03
    )
    assert expected_multiclass_confusion(probabilities).sum() == pytest.approx(len(moved))


def test_the_binned_area_is_scikit_learns_on_the_same_bins() -> None:
    random = np.random.default_rng(6)
    bins, labels = random.integers(0, 10, 500), random.random(500) < 0.4
    rows = np.bincount(bins, minlength=10)
    calibration = Calibration(np.bincount(bins, labels, 10) / rows)

    assert estimate_roc_auc(calibration, rows) == pytest.approx(metrics.roc_auc_score(labels, bins))
    assert expected_roc_auc(bins, labels) == pytest.approx(metrics.roc_auc_score(labels, bins))


def test_the_calibration_never_decreases_and_survives_empty_bins() -> None:
    calibration = calibrate_bins([0, 5, 0, 9], [10, 10, 0, 10], [0.1, 0.4, 0.6, 0.9])

    assert (np.diff(calibration.positive_rate) >= 0).all()
    assert calibration.positive_rate[2] == pytest.approx(0.6)


@pytest.mark.parametrize("rate", [0.0, 1.0])
def test_one_class_has_no_area(rate: float) -> None:
    with pytest.raises(Undefined):
        estimate_roc_auc(Calibration(np.full(3, rate)), [1, 2, 3])


def test_metrics_without_a_value_are_left_out() -> None:
    assert metrics_of_confusion([[10, 0], [0, 0]]) == {"accuracy": 1.0}
