"""Null years of estimated performance: scores that move, but let no worse metric be expected than the threshold allows."""

import math
from dataclasses import dataclass, replace

import numpy as np
from scipy import stats

from e2e.bench.monitoring.false_alarms import CONFIDENCE, AlarmCount
from e2e.bench.monitoring.simulated_streams import YEAR_HOURS
from flywheel_runtime.monitoring.statistics.detector import add_evidence, total_log_evidence
from flywheel_runtime.monitoring.statistics.quantiles import Array
from flywheel_runtime.monitoring.statistics.streams.estimate_stream import EstimatedMetric, EstimateStream

BINS = 8
MIDDLES = (np.arange(BINS) + 0.5) / BINS
SCORES: Array = stats.beta(2, 3).pdf(MIDDLES)
SCORES = SCORES / SCORES.sum()
UNSURE = np.eye(BINS)[3]  # all rows where the model knows least of their order
MAX_DROP = 0.02


@dataclass(frozen=True)
class EstimatedYears:
    """Years in which a part of the rows has unsure scores: `share` of what takes the metric to the threshold, in a daily cycle or always."""

    metric: EstimatedMetric
    share: float = 1.0
    cycle: float = 0.0  # of the share over a day
    reference_rows: int = 10_000
    rows: int = 1_000  # of an hour


ESTIMATED_NULLS = {
    "ROC AUC at the threshold": EstimatedYears("roc_auc"),
    "ROC AUC at the threshold, 300 reference rows": EstimatedYears("roc_auc", reference_rows=300),
    "ROC AUC with a daily cycle up to the threshold": EstimatedYears("roc_auc", share=0.5, cycle=0.5),
    "accuracy at the threshold": EstimatedYears("accuracy"),
    "accuracy at the threshold, 300 reference rows": EstimatedYears("accuracy", reference_rows=300),
    "rmse with a daily cycle up to the threshold": EstimatedYears("rmse", share=0.5, cycle=0.5),
}


def count_estimated_alarms(years: EstimatedYears, count: int, windows: int = YEAR_HOURS, seed: int = 1) -> AlarmCount:
    """The alarms in `count` lives of a stream, each with a reference of its own draw and the whole budget of one alarm in `windows` looks."""
    random = np.random.default_rng(seed)
    known = make_stream(years.metric, SCORES * 1e12)
    references = random.multinomial(years.reference_rows, SCORES, size=count).astype(np.float64)
    is_paired = years.metric == "roc_auc"
    kept = np.flatnonzero(np.tri(BINS).ravel()) if is_paired else np.arange(BINS)  # both orders of a pair pay the same
    payoffs = np.stack([make_stream(years.metric, each).log_payoffs[:, kept] for each in references])
    largest, log_allowance = _part_at_threshold(known), np.full(count, -math.log(windows))
    evidence, alarms = np.full((count, payoffs.shape[1]), -np.inf), 0
    for hour in range(windows):
        part = largest * (years.share + years.cycle * math.sin(2 * math.pi * hour / 24))
        shares = (1 - part) * SCORES + part * UNSURE
        cells = (_shares_of_pairs(shares) if is_paired else shares)[kept]
        counts = random.multinomial(years.rows // 2 if is_paired else years.rows, cells / cells.sum(), size=count)
        log_e = np.einsum("ybc,yc->yb", payoffs, counts)
        evidence = add_evidence(evidence, log_e, known.log_weights, log_allowance)
        raised = total_log_evidence(evidence) >= 0
        alarms += int(raised.sum())
        evidence[raised] = -np.inf
    upper = float(stats.chi2.isf(1 - CONFIDENCE, 2 * (alarms + 1))) / 2  # of the mean of a Poisson variable
    return AlarmCount(alarms, float(count), upper)


def hours_until_found(metric: EstimatedMetric, drop: float, rows: int, streams: int = 40, seed: int = 2) -> float:
    """The median hours until a drop of the metric is found, by streams with a fortieth of one alarm a year; infinity beyond two weeks."""
    random, known = np.random.default_rng(seed), make_stream(metric, SCORES * 1e12)
    part = _part_at_threshold(replace(known, threshold=drop))
    shares = (1 - part) * SCORES + part * UNSURE
    first = []
    for _ in range(streams):
        stream = make_stream(metric, random.multinomial(10_000, SCORES).astype(np.float64))
        evidence, log_allowance = np.full((1, len(stream.log_weights)), -np.inf), np.array([-math.log(40 * YEAR_HOURS)])
        found = math.inf
        for hour in range(1, 24 * 14):
            blocks = random.multinomial(rows, shares, size=1).astype(np.float64)
            log_e, _ = stream.log_e_values(stream.initial_counts(), blocks, 1.0, hour)
            evidence = add_evidence(evidence, log_e[None], stream.log_weights, log_allowance)
            if total_log_evidence(evidence)[0] >= 0:
                found = float(hour)
                break
        first.append(found)
    return float(np.median(first))


def _shares_of_pairs(shares: Array) -> Array:
    """The chance (bins * bins,) that the rows of a pair have these bins in either order, where the first is not the lesser."""
    chances = np.outer(shares, shares)
    return (np.tril(chances) + np.tril(chances, -1)).ravel()


def make_stream(metric: EstimatedMetric, reference: Array) -> EstimateStream:
    """The test with the rates of calibrated scores."""
    rates = MIDDLES if metric == "roc_auc" else np.minimum(MIDDLES, 1 - MIDDLES)
    return EstimateStream(metric, rates, reference, MAX_DROP)


def _part_at_threshold(known: EstimateStream) -> float:
    """The greatest part of unsure rows whose drop is within the threshold."""
    low, high = 0.0, 1.0
    for _ in range(50):
        middle = (low + high) / 2
        is_within = known.effect((1 - middle) * SCORES * 1e6 + middle * UNSURE * 1e6) <= known.threshold
        low, high = (middle, high) if is_within else (low, middle)
    return low
