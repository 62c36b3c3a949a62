"""The look at the estimated performance of one window."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from flywheel_runtime.contract.errors import Undefined
from flywheel_runtime.monitoring.documents import Series
from flywheel_runtime.monitoring.estimates.estimate_target import (
    NO_CALIBRATION,
    EstimateProblem,
    EstimateTarget,
    calibrated_scores,
)
from flywheel_runtime.monitoring.layout import Column, Counts
from flywheel_runtime.monitoring.reference import Reference
from flywheel_runtime.monitoring.signals import ESTIMATED_DROP, PREDICTION, Look, Signal
from flywheel_runtime.monitoring.statistics.streams.estimate_stream import EstimateStream
from flywheel_runtime.monitoring.windows import Window

SIGNAL: Signal = "estimatedPerformance"


@dataclass(frozen=True)
class RowCounts:
    """The test of a version's logged rows, and their counts (parts, bins) by the start of their window."""

    stream: EstimateStream
    windows: Mapping[int, Counts]


@dataclass
class EstimatedPerformance:
    """Finds the look of each window.

    `row_counts` are of the versions whose scores their servers do not count; `problems` those of the last window of a version. Both are
    by its name.
    """

    target: EstimateTarget
    row_counts: Mapping[str, RowCounts | EstimateProblem] = field(default_factory=dict)
    problems: dict[str, EstimateProblem] = field(default_factory=dict)
    _streams: dict[Series, EstimateStream | EstimateProblem] = field(default_factory=dict)

    def find_look(self, window: Window, reference: Reference | None) -> Look | None:
        """The look at a window; None if nothing can be estimated."""
        version = window.rollup.series.version
        found = self._count_scores(window, reference)
        if isinstance(found, EstimateProblem):
            self.problems[version] = found
            return None
        self.problems.pop(version, None)
        return _make_look(window.rollup.series, *found)

    def _count_scores(
        self, window: Window, reference: Reference | None
    ) -> tuple[EstimateStream, Counts] | EstimateProblem:
        """The test, and the counts (parts, bins) of the window."""
        series = window.rollup.series
        of_rows = self.row_counts.get(series.version)
        if isinstance(of_rows, EstimateProblem):
            return of_rows
        if of_rows is not None:
            nothing = np.zeros((1, len(of_rows.stream.rates)), np.int64)
            return of_rows.stream, of_rows.windows.get(window.rollup.start, nothing)
        column = next((each for each in window.rollup.layout.columns if each.is_prediction), None)
        if reference is None or column is None:
            return NO_CALIBRATION
        if series not in self._streams:
            self._streams[series] = calibrated_scores(self.target, reference, column)
        stream = self._streams[series]
        return stream if isinstance(stream, EstimateProblem) else (stream, column.distribution(window.parts))


def _make_look(series: Series, stream: EstimateStream, blocks: Counts) -> Look:
    counts = blocks.sum(axis=0)
    try:
        details = {"value": stream.value(counts), "reference": stream.reference_value}
    except Undefined:
        details = {}  # a window without rows
    column = Column(PREDICTION, "Number", len(counts), 0, is_prediction=True)
    reference = stream.reference.astype(np.int64)
    effect = stream.effect(counts)
    return Look(
        SIGNAL,
        stream.metric,
        series,
        ESTIMATED_DROP,
        column,
        reference,
        blocks,
        effect,
        stream.threshold,
        details,
        stream,
    )
