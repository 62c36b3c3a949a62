"""Performance without labels: what calibrated probabilities say about their own errors (CBPE).

If p is the probability of the positive class and it is calibrated, a row with score p is positive with probability p, so each cell of the
confusion matrix has an expected count. It follows a change of the features; it cannot see a change of what the features mean for the label
(concept drift), and is only as good as the calibration outside of the reference's data. NannyML, "Confidence-based Performance
Estimation", 2022; Garg et al., "Leveraging Unlabeled Data to Predict Out-of-Distribution Performance", ICLR 2022.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from flywheel_runtime.contract.errors import Undefined
from flywheel_runtime.monitoring.statistics.quantiles import Array


@dataclass(frozen=True)
class Calibration:
    """The share of positives (bins,) in each bin of the score, not decreasing."""

    positive_rate: Array

    @property
    def bins(self) -> int:
        """The number of bins."""
        return len(self.positive_rate)


def calibrate_bins(positives: ArrayLike, rows: ArrayLike, scores: ArrayLike) -> Calibration:
    """The calibration from labelled reference rows: positives (bins,) of rows (bins,), and the mean score (bins,) of each bin.

    The shares are made monotone by pool-adjacent-violators, weighted by rows. Bins without rows take their mean score, within the shares of
    their neighbours, and one row of that score is added to each bin, so that a bin of few rows is not taken at its word.
    """
    hits, weights = np.asarray(positives, dtype=np.float64), np.asarray(rows, dtype=np.float64)
    added = 1.0
    rates = (hits + added * np.asarray(scores, dtype=np.float64)) / (weights + added)
    return Calibration(_pool_adjacent_violators(rates, weights + added))


def calibrate_losses(sums: ArrayLike, rows: ArrayLike) -> Array:
    """The expected loss of a row (bins,) from the sums of losses (bins,) of labelled rows (bins,) in bins of a modelled loss.

    It does not decrease from bin to bin. A bin without rows takes the mean of all.
    """
    totals, weights = np.asarray(sums, dtype=np.float64), np.asarray(rows, dtype=np.float64)
    mean = totals.sum() / max(weights.sum(), 1.0)
    means = np.divide(totals, weights, out=np.full(len(totals), mean), where=weights > 0)
    return _pool_adjacent_violators(means, np.maximum(weights, 1e-9))


def estimate_roc_auc(calibration: Calibration, counts: ArrayLike) -> float:
    """The expected ROC area of rows whose scores have the counts (bins,).

    A row of bin k is positive with the bin's rate r_k, so bin k holds c_k r_k positives and c_k (1 - r_k) negatives, and the area is the
    chance that a positive has the higher bin; rows of one bin count as ties, 1/2.

    Raises:
        Undefined: no positive or no negative row is expected.
    """
    values = np.asarray(counts, dtype=np.float64)
    positives, negatives = values * calibration.positive_rate, values * (1 - calibration.positive_rate)
    pairs = positives.sum() * negatives.sum()
    if pairs <= 0:
        raise Undefined("no row of a class is expected, so the ROC area has no value")
    below = np.cumsum(negatives) - negatives
    return float((positives * (below + negatives / 2)).sum() / pairs)


def estimate_confusion(calibration: Calibration, counts: ArrayLike, threshold_bin: int) -> Array:
    """The expected confusion matrix (2, 2) [actual, predicted] of score counts (bins,); bins from `threshold_bin` predict the positive."""
    values = np.asarray(counts, dtype=np.float64)
    is_positive = np.arange(calibration.bins) >= threshold_bin
    positives, negatives = values * calibration.positive_rate, values * (1 - calibration.positive_rate)
    return np.array(
        [
            [negatives[~is_positive].sum(), negatives[is_positive].sum()],
            [positives[~is_positive].sum(), positives[is_positive].sum()],
        ]
    )


def metrics_of_confusion(confusion: ArrayLike) -> dict[str, float]:
    """Accuracy, precision, recall and F1 of a confusion matrix (2, 2) [actual, predicted]; those that are undefined are left out."""
    (true_negatives, false_positives), (false_negatives, true_positives) = np.asarray(confusion, dtype=np.float64)
    total = true_negatives + false_positives + false_negatives + true_positives
    fractions = {
        "accuracy": (true_negatives + true_positives, total),
        "precision": (true_positives, true_positives + false_positives),
        "recall": (true_positives, true_positives + false_negatives),
        "f1": (2 * true_positives, 2 * true_positives + false_positives + false_negatives),
    }
    return {name: float(part / whole) for name, (part, whole) in fractions.items() if whole > 0}


def expected_multiclass_confusion(probabilities: ArrayLike) -> Array:
    """The expected confusion matrix (classes, classes) [actual, predicted] of calibrated probabilities (rows, classes)."""
    values = np.asarray(probabilities, dtype=np.float64)
    predicted = np.eye(values.shape[1])[values.argmax(axis=1)]
    confusion: Array = values.T @ predicted
    return confusion


def estimate_multiclass_accuracy(probabilities: ArrayLike) -> float:
    """The expected accuracy of calibrated probabilities (rows, classes): the mean of the largest."""
    return float(np.asarray(probabilities, dtype=np.float64).max(axis=1).mean())


def estimate_multiclass_roc_auc(probabilities: ArrayLike) -> float:
    """The expected macro average of each class's ROC area against the rest, from calibrated probabilities (rows, classes).

    Raises:
        Undefined: no row of a class is expected.
    """
    values = np.asarray(probabilities, dtype=np.float64)
    areas = [expected_roc_auc(values[:, index], values[:, index]) for index in range(values.shape[1])]
    return float(np.mean(areas))


def expected_roc_auc(scores: ArrayLike, probabilities: ArrayLike) -> float:
    """The expected ROC area of scores (rows,) whose rows are positive with `probabilities` (rows,).

    Raises:
        Undefined: no positive or no negative row is expected.
    """
    levels, level_of_row = np.unique(np.asarray(scores, dtype=np.float64), return_inverse=True)
    rows = np.bincount(level_of_row, minlength=len(levels))
    rates = np.bincount(level_of_row, np.asarray(probabilities, dtype=np.float64), minlength=len(levels)) / rows
    return estimate_roc_auc(Calibration(rates), rows)


def _pool_adjacent_violators(values: Array, weights: Array) -> Array:
    """The non-decreasing values (bins,) nearest to `values` in weighted squares."""
    blocks: list[tuple[float, float, int]] = []
    for value, weight in zip(values.tolist(), weights.tolist(), strict=True):
        mean, total, size = value, weight, 1
        while blocks and blocks[-1][0] > mean:
            before, before_total, before_size = blocks.pop()
            mean = (mean * total + before * before_total) / (total + before_total)
            total, size = total + before_total, size + before_size
        blocks.append((mean, total, size))
    return np.concatenate([np.full(size, mean) for mean, _, size in blocks])
