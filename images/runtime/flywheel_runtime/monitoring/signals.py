"""What is tested in one window: for each column the counts of data quality and of its distribution, with the size of the effect."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np

from flywheel_runtime.monitoring.documents import Series
from flywheel_runtime.monitoring.layout import Column, Counts
from flywheel_runtime.monitoring.reference import Reference
from flywheel_runtime.monitoring.statistics import effects
from flywheel_runtime.monitoring.statistics.streams.estimate_stream import EstimateStream
from flywheel_runtime.monitoring.windows import Window

Signal = Literal[
    "dataQuality", "featureDrift", "predictionDrift", "estimatedPerformance", "performance", "fairness", "service"
]

PREDICTION = "prediction"
DRIFT_MEASURE = "psi"
ESTIMATED_DROP = "estimatedDrop"
# Every timestamp is beyond the reference's, and every identifier is new; missing and infinite values say something of any column.
ANOMALIES_OF_UNTESTED = ("missing", "invalid")


@dataclass(frozen=True)
class Thresholds:
    """The effect of each signal up to which nothing is found; None: the signal is not asked for. Below `min_rows` nothing is tested."""

    data_quality: float
    feature_drift: float | None
    prediction_drift: float | None
    min_rows: int


@dataclass(frozen=True)
class Look:
    """One test of one window: `blocks` are the counts [parts, bins] that are tested against `reference` [bins].

    Of data quality the bins are the rows with and without the anomaly. `effect` is the PSI, or the increase of the anomaly's share,
    that is observed, or how much worse the expected metric is. `test` is that where it is not that of a distribution or a share.
    """

    signal: Signal
    subject: str
    series: Series
    measure: str
    column: Column
    reference: Counts
    blocks: Counts
    effect: float
    threshold: float
    details: Mapping[str, float] = field(default_factory=dict)
    test: EstimateStream | None = None
    season: str = ""
    reference_design_effect: float = 1.0

    @property
    def version(self) -> str:
        """The version whose traffic is tested."""
        return self.series.version

    @property
    def stream(self) -> str:
        """The name of the test's process, which goes on from window to window.

        Another threshold is another test, and so is another artifact or baseline of the same version. All hours of the week are one test:
        each pays by its own reference.
        """
        threshold = seasonal_threshold(self.threshold) if self.season else f"{self.threshold:g}"
        return f"{self.series.identifier}/{self.signal}/{self.measure}/{threshold}/{self.subject}"

    def sum_blocks(self) -> "Look":
        """The look without its parts, for what is left to be said after the test."""
        return replace(self, blocks=self.blocks.sum(axis=0, keepdims=True))


def seasonal_threshold(threshold: float) -> str:
    """The threshold in the name of a test whose reference is that of the hour of the week."""
    return f"{threshold:g}~HourOfWeek"


def find_looks(
    window: Window, reference: Reference, thresholds: Thresholds, drift_reference: Reference | None
) -> list[Look]:
    """All tests of a window, column by column. Drift is measured from `drift_reference`, None where it is not tested."""
    window = replace(window, parts=window.parts.astype(np.int64))
    return [
        look
        for column in window.rollup.layout.columns
        if column.cells(reference.counts).any()  # the reference has rows of it
        for look in _column_looks(column, window, reference, thresholds, drift_reference)
    ]


def _column_looks(
    column: Column, window: Window, reference: Reference, thresholds: Thresholds, drift_reference: Reference | None
) -> Iterator[Look]:
    yield from _data_quality(column, window, reference, thresholds)
    threshold = thresholds.prediction_drift if column.is_prediction else thresholds.feature_drift
    if threshold is None or drift_reference is None or reference.column_facts(column).untested:
        return
    if column.distribution(drift_reference.counts).any():
        yield _drift(column, window, drift_reference, threshold)


def _drift(column: Column, window: Window, reference: Reference, threshold: float) -> Look:
    expected, blocks = column.distribution(reference.counts), column.distribution(window.parts)
    current = blocks.sum(axis=0)
    return Look(
        "predictionDrift" if column.is_prediction else "featureDrift",
        PREDICTION if column.is_prediction else column.name,
        window.rollup.series,
        DRIFT_MEASURE,
        column,
        expected,
        blocks,
        float(effects.population_stability_index(expected, current)),
        threshold,
        _distances(column, expected, current, reference.column_facts(column).edges),
        season=reference.season,
        reference_design_effect=reference.design_effects.get("" if column.is_prediction else column.name, 1.0),
    )


def _distances(column: Column, expected: Counts, current: Counts, edges: tuple[float, ...]) -> dict[str, float]:
    """Further distances of two distributions; Wasserstein's needs the edges of the bins."""
    if not current.sum() or not expected.sum():
        return {}
    found = {"jensenShannon": float(effects.jensen_shannon_distance(expected, current))}
    if column.kind == "Category":
        found["lInfinity"] = float(effects.l_infinity_distance(expected, current))
    elif len(edges) == len(expected) + 1:
        found["wasserstein"] = float(effects.wasserstein_distance(expected, current, edges))
    return found


def _data_quality(column: Column, window: Window, reference: Reference, thresholds: Thresholds) -> Iterator[Look]:
    """One test for each anomaly: whether its share has increased."""
    expected, parts = column.anomalies(reference.counts), column.anomalies(window.parts)
    reference_rows, totals = column.cells(reference.counts).sum(), column.cells(window.parts).sum(axis=1)
    rows = int(totals.sum())
    is_untested = bool(reference.column_facts(column).untested)
    for name, counts in parts.items():
        if is_untested and name not in ANOMALIES_OF_UNTESTED:
            continue
        share = float(counts.sum()) / rows if rows else 0.0
        yield Look(
            "dataQuality",
            PREDICTION if column.is_prediction else column.name,
            window.rollup.series,
            name,
            column,
            _split(expected[name], reference_rows),
            _split(counts, totals),
            share - float(expected[name]) / float(reference_rows),
            thresholds.data_quality,
            {"share": share, "referenceShare": float(expected[name]) / float(reference_rows)},
        )


def _split(hits: Counts, rows: Counts) -> Counts:
    """Rows with and without an anomaly [..., 2]."""
    return np.stack([hits, rows - hits], axis=-1)
