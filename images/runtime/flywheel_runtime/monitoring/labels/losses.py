"""Losses of rows in [0, 1], by which a metric can be tested at every look: their mean is the metric on another scale."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from flywheel_runtime.contract.errors import Undefined
from flywheel_runtime.statistics.metrics import EPSILON, LESS_IS_BETTER, Array, ScoredRows

TESTABLE = ("roc_auc", "accuracy", "log_loss", "brier", "mae", "mape", "rmse")
CUT_AT = 10.0  # times the largest mean by the null: a greater loss counts as this one, which never makes an alarm false
PAIR_SEED = 7


@dataclass(frozen=True)
class LossScale:
    """How a metric becomes the mean of losses in [0, 1]: `reference` is the mean of the test rows, `max_increase` what the null adds to it."""

    metric: str
    reference: float
    max_increase: float
    unit: float  # of the row's loss, by which it is divided


def loss_scale(metric: str, reference: float, max_drop: float) -> LossScale:
    """The scale of a metric that was `reference` on the test rows, and may be worse by `max_drop`.

    Raises:
        Undefined: the metric is no mean over rows or pairs of rows.
    """
    if metric not in TESTABLE:
        raise Undefined(f"{metric} is no mean over rows, so it is not tested; choose one of {', '.join(TESTABLE)}")
    if metric not in LESS_IS_BETTER:
        return LossScale(metric, 1 - reference, max_drop, 1.0)
    power = 2 if metric == "rmse" else 1
    low, high = reference**power, (reference + max_drop) ** power
    unit = 2.0 if metric == "brier" else max(CUT_AT * high, EPSILON)
    return LossScale(metric, low / unit, (high - low) / unit, unit)


def row_losses(scale: LossScale, scored: ScoredRows) -> Array:
    """The losses (rows,) in [0, 1] in the order of the rows; of roc_auc those (pairs,) of disjoint pairs.

    Raises:
        Undefined: roc_auc has no row of a class, or more than two classes.
    """
    if scale.metric == "roc_auc":
        return _pair_losses(scored)
    losses: Array = np.clip(raw_losses(scale.metric, scored) / scale.unit, 0.0, 1.0)
    return losses


def loss_weights(scale: LossScale, scored: ScoredRows, weights: Array | None) -> Array | None:
    """The weights of `row_losses`, from those of the rows (rows,): of a pair the product of its rows' weights."""
    if weights is None or scale.metric != "roc_auc":
        return weights
    positives, negatives = _draw_pairs(scored)
    products: Array = weights[positives] * weights[negatives]
    return products


def _pair_losses(scored: ScoredRows) -> Array:
    """1 where the negative row of a pair has the higher score and 1/2 where both are equal: the mean is 1 minus the ROC area."""
    positives, negatives = _draw_pairs(scored)
    score = scored.probabilities[:, 1]
    of_positives, of_negatives = score[positives], score[negatives]
    losses: Array = (of_negatives > of_positives) + (of_negatives == of_positives) / 2
    return losses


def _draw_pairs(scored: ScoredRows) -> tuple[Array, Array]:
    """The positive and the negative row (pairs,) of each pair.

    Pairs are disjoint, so they are independent where rows are, and drawn with a fixed seed. They are in the order of the rarer class.
    """
    if not scored.is_binary:
        raise Undefined("roc_auc is tested for two classes; choose log_loss or accuracy")
    positives, negatives = np.flatnonzero(scored.y_true == 1), np.flatnonzero(scored.y_true == 0)
    few, many = (positives, negatives) if len(positives) <= len(negatives) else (negatives, positives)
    if not len(few):
        raise Undefined("there is no labelled row of a class")
    drawn = np.sort(np.random.default_rng(PAIR_SEED).permutation(many)[: len(few)])
    return (few, drawn) if few is positives else (drawn, few)


def _log_losses(scored: ScoredRows) -> Array:
    of_true = scored.probabilities[np.arange(len(scored)), scored.y_true.astype(int)]
    return np.asarray(-np.log(np.clip(of_true, EPSILON, 1.0)))


def _brier_losses(scored: ScoredRows) -> Array:
    """As scikit-learn's: of two classes that of the second, else the sum over the classes."""
    if scored.is_binary:
        return np.asarray((scored.probabilities[:, 1] - scored.y_true) ** 2)
    one_hot = scored.y_true[:, None] == np.arange(scored.probabilities.shape[1])
    return np.asarray(np.sum((scored.probabilities - one_hot) ** 2, axis=1))


def _errors(scored: ScoredRows) -> Array:
    return np.asarray(np.abs(scored.predicted - scored.y_true), dtype=np.float64)


def raw_losses(metric: str, scored: ScoredRows) -> Array:
    """The losses (rows,) whose mean is the metric, or 1 minus it for accuracy, or its square for rmse; in the unit of that."""
    return np.asarray(_LOSSES[metric](scored), dtype=np.float64)


_LOSSES: dict[str, Any] = {
    "accuracy": lambda scored: np.asarray(scored.predicted != scored.y_true, dtype=np.float64),
    "log_loss": _log_losses,
    "brier": _brier_losses,
    "mae": _errors,
    "mape": lambda scored: _errors(scored) / np.maximum(np.abs(scored.y_true), EPSILON),
    "rmse": lambda scored: _errors(scored) ** 2,
}
