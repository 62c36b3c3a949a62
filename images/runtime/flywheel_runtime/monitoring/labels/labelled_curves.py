"""What labels say beyond one number: calibration, ROC and precision over recall of a version, and its metric by group.

All labelled windows of a run count together, of many rows some that are drawn with a fixed seed. Rows that were drawn to be labelled are left out: curves of a draw are those of no traffic.
scikit-learn would give the same curves, but loading it costs this step more than all the rest.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from flywheel_runtime.contract.errors import Undefined
from flywheel_runtime.monitoring.labels.join import LabelledRows
from flywheel_runtime.monitoring.labels.losses import raw_losses
from flywheel_runtime.statistics.calibration import reliability
from flywheel_runtime.statistics.intervals import metric_interval
from flywheel_runtime.statistics.metrics import Array, ScoredRows, metric_value

MAX_POINTS = 101
MAX_ROWS = 200_000  # of a version: more take memory that the step does not have, and move no point of a curve
DIGITS = 6
SEED = 11
MIN_ROWS = 30  # of a version, or of a group, below which there are no curves and no metric
Z = 1.959964  # of a 95 % interval


def describe_curves(windows: Sequence[LabelledRows]) -> list[dict[str, Any]]:
    """For each version its calibration, and with two classes its curves; nothing where values are predicted, or of few rows."""
    found = []
    for version in sorted({each.version for each in windows}):
        scored, _ = _pool([each for each in windows if each.version == version], None)
        if len(scored) >= MIN_ROWS and scored.is_classification:
            found.append({"version": version, "rows": len(scored), **_describe(scored)})
    return found


def read_test_roc(evaluation: Mapping[str, Any]) -> dict[str, list[float]] | None:
    """The ROC curve on the test rows in an evaluation.json; None where there is none that can be drawn, as a user's own step may write it."""
    try:
        fpr, tpr = (np.asarray(evaluation["roc"][name], np.float64) for name in ("fpr", "tpr"))
        if fpr.ndim != 1 or fpr.shape != tpr.shape or not (np.isfinite(fpr) & np.isfinite(tpr)).all():
            return None
    except (KeyError, TypeError, ValueError, OverflowError):
        return None
    return {"fpr": fpr.tolist(), "tpr": tpr.tolist()}


def describe_slices(
    windows: Sequence[LabelledRows], metric: str, columns: Sequence[str], min_rows: int
) -> list[dict[str, Any]]:
    """The metric of each group of each column and version, with its 95 % interval, the most rows first; few rows have no metric."""
    found = []
    for version in sorted({each.version for each in windows}):
        chosen = [each for each in windows if each.version == version]
        for column in columns:
            scored, groups = _pool(chosen, column)
            for group, rows in _split(groups):
                value = _measure(metric, scored.take(rows)) if len(rows) >= max(min_rows, MIN_ROWS) else {}
                found.append({"version": version, "column": column, "group": group, "rows": len(rows), **value})
    return sorted(
        found, key=lambda each: (each["version"], columns.index(each["column"]), -each["rows"], each["group"])
    )


def roc_curve(is_true: Array, score: Array) -> tuple[Array, Array, float]:
    """False and true positive rates (points,) at each distinct score, from the highest on, and the area. Both classes have rows."""
    hits, others = _cumulate(is_true, score)
    false_rate, true_rate = (np.append(0.0, each / each[-1]) for each in (others, hits))
    return false_rate, true_rate, float(np.trapezoid(true_rate, false_rate))


def precision_recall_curve(is_true: Array, score: Array) -> tuple[Array, Array, float]:
    """Recall and precision (points,) at each distinct score, from the highest on, and the average precision. A class has rows."""
    hits, others = _cumulate(is_true, score)
    precision, recall = hits / (hits + others), hits / hits[-1]
    return recall, precision, float((np.diff(np.append(0.0, recall)) * precision).sum())


def _cumulate(is_true: Array, score: Array) -> tuple[Array, Array]:
    """How many rows of each class have at least each distinct score (scores,), from the highest on."""
    order = np.argsort(-score, kind="stable")
    last = np.append(np.flatnonzero(np.diff(score[order])), len(score) - 1)
    hits = np.cumsum(is_true[order])[last]
    return hits, last + 1 - hits


def _describe(scored: ScoredRows) -> dict[str, Any]:
    if not scored.is_binary:
        best = scored.probabilities.argmax(axis=1)
        return _calibration(scored.y_true == best, scored.probabilities.max(axis=1))
    is_true, score = (scored.y_true == 1).astype(int), scored.probabilities[:, 1]
    described = _calibration(is_true, score) | {"positives": int(is_true.sum())}
    if 0 < is_true.sum() < len(is_true):
        false_rate, true_rate, area = roc_curve(is_true, score)
        recall, precision, average = precision_recall_curve(is_true, score)
        described["roc"] = {"fpr": _thin(false_rate), "tpr": _thin(true_rate), "area": round(area, DIGITS)}
        described["precisionRecall"] = {
            "recall": _thin(recall), "precision": _thin(precision), "averagePrecision": round(average, DIGITS)
        }  # fmt: skip
    return described


def _calibration(is_true: Array, probability: Array) -> dict[str, Any]:
    found = reliability(is_true, probability)
    return {
        "calibrationError": round(found.error, DIGITS),
        "reliability": {
            "meanProbability": _round(found.mean_probability),
            "observedRate": _round(found.observed_rate),
            "rows": found.rows.tolist(),
        },
    }


def _measure(metric: str, scored: ScoredRows) -> dict[str, float]:
    """The metric with its interval, where these rows define it."""
    try:
        if metric == "accuracy" or (metric == "roc_auc" and scored.is_binary):
            found = metric_interval(metric, scored)
            numbers = {"value": found.value, "low": found.low, "high": found.high}
        else:
            losses, value = raw_losses(metric, scored), metric_value(metric, scored)
            half, power = Z * float(losses.std()) / len(losses) ** 0.5, 2 if metric == "rmse" else 1
            low, high = max(0.0, value**power - half) ** (1 / power), (value**power + half) ** (1 / power)
            numbers = {"value": value, "low": low, "high": high}
    except (Undefined, KeyError):
        return {}
    return {name: round(each, DIGITS) for name, each in numbers.items()} if np.isfinite(numbers["value"]) else {}


def _pool(windows: Sequence[LabelledRows], column: str | None) -> tuple[ScoredRows, Array]:
    """The rows of all windows that were labelled without a draw, and the names of their groups (rows,)."""
    share = MAX_ROWS / max(1, sum(len(each.scored) for each in windows))
    random = np.random.default_rng(SEED)
    chosen = []
    for each in windows:
        rows = np.arange(len(each.scored)) if each.sample.is_uniform is None else np.flatnonzero(each.sample.is_uniform)
        chosen.append(rows if share >= 1 else rows[random.random(len(rows)) < share])
    parts = [each.scored.take(rows) for each, rows in zip(windows, chosen, strict=True)]
    scored = ScoredRows(
        np.concatenate([each.y_true for each in parts]),
        np.concatenate([each.predicted for each in parts]),
        np.concatenate([each.probabilities for each in parts]),
    )
    if column is None:
        return scored, np.zeros(0, object)
    names = [
        np.asarray(each.groups[column][0], object)[each.groups[column][1][rows]]
        for each, rows in zip(windows, chosen, strict=True)
    ]
    return scored, np.concatenate(names)


def _split(groups: Array) -> Iterator[tuple[str, Array]]:
    names, numbers = np.unique(groups.astype(str), return_inverse=True)
    for number, name in enumerate(names):
        yield str(name), np.flatnonzero(numbers == number)


def _thin(values: Array) -> list[float]:
    points = np.unique(np.linspace(0, len(values) - 1, MAX_POINTS).astype(int))
    return _round(values[points])


def _round(values: Array) -> list[float]:
    return [round(float(each), DIGITS) for each in values]
