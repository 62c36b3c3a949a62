"""Calibration: how far predicted probabilities are from observed frequencies."""

from dataclasses import dataclass

import numpy as np

from flywheel_runtime.statistics.metrics import Array, ScoredRows

CALIBRATION_BINS = 15


@dataclass(frozen=True)
class Reliability:
    """The reliability diagram of a probability: three arrays (bins,) over the bins that have rows, and the calibration error, 0 to 1."""

    mean_probability: Array
    observed_rate: Array
    rows: Array
    error: float


def reliability(is_true: Array, probability: Array) -> Reliability:
    """Compare `probability` (rows,) with `is_true` (rows,), 0 or 1, in 15 bins of equal width.

    The error is the expected calibration error: the mean of |observed rate - mean probability| over the bins, weighted by their rows.
    Naeini, Cooper and Hauskrecht, "Obtaining Well Calibrated Probabilities Using Bayesian Binning", 2015; 15 bins as in equation 3 of
    Guo et al., "On Calibration of Modern Neural Networks", 2017.
    """
    bin_of_row = np.clip((probability * CALIBRATION_BINS).astype(int), 0, CALIBRATION_BINS - 1)
    rows = np.bincount(bin_of_row, minlength=CALIBRATION_BINS)
    filled = rows > 0
    sums = [np.bincount(bin_of_row, each, minlength=CALIBRATION_BINS)[filled] for each in (probability, is_true)]
    mean_probability, observed_rate = (each / rows[filled] for each in sums)
    error = float(np.sum(np.abs(observed_rate - mean_probability) * rows[filled]) / len(probability))
    return Reliability(mean_probability, observed_rate, rows[filled], error)


def expected_calibration_error(scored: ScoredRows) -> float:
    """The calibration error of the second of two classes; with more classes of the probability of the most probable one."""
    if scored.is_binary:
        return reliability(scored.y_true == 1, scored.probabilities[:, 1]).error
    is_true = scored.y_true == scored.probabilities.argmax(axis=1)
    return reliability(is_true, scored.probabilities.max(axis=1)).error
