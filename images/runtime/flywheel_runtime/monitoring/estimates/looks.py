"""The look at the estimated performance of one window."""

from dataclasses import dataclass, field

from flywheel_runtime.contract.errors import Undefined
from flywheel_runtime.monitoring.documents import Series
from flywheel_runtime.monitoring.estimates.estimate_target import EstimateProblem, EstimateTarget, calibrated_scores
from flywheel_runtime.monitoring.reference import Reference
from flywheel_runtime.monitoring.signals import ESTIMATED_DROP, Look, Signal
from flywheel_runtime.monitoring.statistics.streams.estimate_stream import EstimateStream
from flywheel_runtime.monitoring.windows import Window

SIGNAL: Signal = "estimatedPerformance"


@dataclass
class EstimatedPerformance:
    """Finds the look of each window. `problems` are those of the last window of a version, by its name."""

    target: EstimateTarget
    problems: dict[str, EstimateProblem] = field(default_factory=dict)
    _streams: dict[Series, EstimateStream | EstimateProblem] = field(default_factory=dict)

    def find_look(self, window: Window, reference: Reference | None) -> Look | None:
        """The look at a window; None if nothing can be estimated."""
        version = window.rollup.series.version
        found = self._find(window, reference)
        if isinstance(found, EstimateProblem):
            self.problems[version] = found
            return None
        self.problems.pop(version, None)
        return found

    def _find(self, window: Window, reference: Reference | None) -> Look | EstimateProblem:
        series = window.rollup.series
        column = next((each for each in window.rollup.layout.columns if each.is_prediction), None)
        if reference is None or column is None:
            return EstimateProblem("CalibrationMissing", "its model has no baseline.json with predictions")
        if series not in self._streams:
            self._streams[series] = calibrated_scores(self.target, reference, column)
        stream = self._streams[series]
        if isinstance(stream, EstimateProblem):
            return stream
        blocks = column.distribution(window.parts)
        counts = blocks.sum(axis=0)
        try:
            details = {"value": stream.value(counts), "reference": stream.reference_value}
        except Undefined:
            details = {}  # a window without rows
        return Look(
            SIGNAL,
            stream.metric,
            series,
            ESTIMATED_DROP,
            column,
            column.distribution(reference.counts),
            blocks,
            stream.effect(counts),
            stream.threshold,
            details,
            stream,
        )
