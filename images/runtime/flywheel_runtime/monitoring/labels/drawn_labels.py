"""What drawn labels say: a metric by weights, of one window, and of all windows of a run together."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from flywheel_runtime.contract.errors import Undefined
from flywheel_runtime.monitoring.labels.join import LabelledRows
from flywheel_runtime.monitoring.labels.label_sample import LabelSample
from flywheel_runtime.monitoring.labels.losses import raw_losses
from flywheel_runtime.monitoring.statistics.horvitz_thompson import weighted_mean, weighted_roc_auc, weighted_share
from flywheel_runtime.statistics.intervals import Interval
from flywheel_runtime.statistics.metrics import Array, ScoredRows

METHOD = "weighted"


@dataclass(frozen=True)
class DrawnEstimate:
    """The metric of one version over all windows with drawn labels, from `labelled` of their `rows`, of which `drawn` were drawn."""

    version: str
    metric: str
    interval: Interval
    labelled: int
    drawn: int
    rows: int
    starts: tuple[int, ...]  # of the windows, oldest first

    @property
    def half_width(self) -> float:
        """Half of the interval."""
        return (self.interval.high - self.interval.low) / 2

    def to_json(self) -> dict[str, Any]:
        """What the report says."""
        return {
            "version": self.version,
            "metric": self.metric,
            "value": self.interval.value,
            "low": self.interval.low,
            "high": self.interval.high,
            "labelled": self.labelled,
            "drawn": self.drawn,
            "rows": self.rows,
            "windows": len(self.starts),
        }


def weighted_interval(metric: str, scored: ScoredRows, weights: Array) -> Interval:
    """The metric by weights (rows,), with its 95 % interval.

    Raises:
        Undefined: there are too few rows, or roc_auc has more than two classes.
    """
    if metric == "roc_auc":
        if not scored.is_binary:
            raise Undefined("roc_auc is tested for two classes; choose log_loss or accuracy")
        found = weighted_roc_auc(scored.y_true, scored.probabilities[:, 1], weights)
        return Interval(found.value, found.low, found.high, METHOD)
    losses = raw_losses(metric, scored)
    if metric == "accuracy":
        found = weighted_share(1 - losses, weights)
        return Interval(found.value, found.low, found.high, METHOD)
    found = weighted_mean(losses, weights)
    low, high = max(0.0, found.low), found.high
    if metric == "rmse":
        return Interval(found.value**0.5, low**0.5, high**0.5, METHOD)
    return Interval(found.value, low, high, METHOD)


def is_finite_interval(interval: Interval) -> bool:
    """Whether the value and both ends are finite numbers."""
    return all(map(math.isfinite, (interval.value, interval.low, interval.high)))


def estimate_versions(windows: Sequence[LabelledRows], metric: str) -> list[DrawnEstimate]:
    """An estimate for each version, from those of its windows that have drawn labels; none where the labels do not define the metric."""
    estimates = []
    for version in sorted({each.version for each in windows}):
        chosen = [each for each in windows if each.version == version and each.counts.drawn]
        if (estimate := _estimate(version, metric, chosen)) is not None:
            estimates.append(estimate)
    return estimates


def _estimate(version: str, metric: str, windows: Sequence[LabelledRows]) -> DrawnEstimate | None:
    if not windows:
        return None
    sample = LabelSample.join([each.sample for each in windows], [len(each.scored) for each in windows])
    scored = ScoredRows(
        np.concatenate([each.scored.y_true for each in windows]),
        np.concatenate([each.scored.predicted for each in windows]),
        np.concatenate([each.scored.probabilities for each in windows]),
    )
    assert sample.weights is not None, "the windows have drawn labels"
    try:
        interval = weighted_interval(metric, scored, sample.weights)
    except Undefined:
        return None
    if not is_finite_interval(interval):
        return None
    counts = [each.counts for each in windows]
    return DrawnEstimate(
        version,
        metric,
        interval,
        len(scored),
        sum(each.drawn for each in counts),
        sum(each.rows for each in counts),
        tuple(each.start for each in windows),
    )
