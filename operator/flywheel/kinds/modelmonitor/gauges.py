"""The gauges of ModelMonitors, from their status."""

from collections.abc import Iterator

from flywheel.core.resource.kind import Gauge, Sample
from flywheel.kinds.modelmonitor.children import ModelMonitor
from flywheel.kinds.modelmonitor.lateness import next_test_is_due
from flywheel.kinds.modelmonitor.schema.status import SIGNAL_CONDITIONS

HOLDS = {"True": 1.0, "False": 0.0}


def _conditions(monitor: ModelMonitor) -> Iterator[Sample]:
    """Absent while unknown, so that an alert on 0 needs evidence."""
    for condition in monitor.status.conditions:
        if condition.type in SIGNAL_CONDITIONS and condition.status in HOLDS:
            yield (condition.type,), HOLDS[condition.status]


def _rows(monitor: ModelMonitor) -> Iterator[Sample]:
    if monitor.status.window is not None:
        yield (), float(monitor.status.window.rows)


def _completeness(monitor: ModelMonitor) -> Iterator[Sample]:
    window = monitor.status.window
    if window is not None and window.completeness is not None:
        yield (), float(window.completeness)


def _tested_until(monitor: ModelMonitor) -> Iterator[Sample]:
    """Absent while suspended."""
    if monitor.status.processed_until is not None and not monitor.spec.suspend:
        yield (), monitor.status.processed_until.timestamp()


def _due(monitor: ModelMonitor) -> Iterator[Sample]:
    """Absent while suspended, so that an alert on it needs no exception."""
    due = next_test_is_due(monitor)
    if due is not None and not monitor.spec.suspend:
        yield (), due.timestamp()


def _feature_drift(monitor: ModelMonitor) -> Iterator[Sample]:
    for feature in monitor.status.features:
        yield (feature.name,), float(feature.psi)


def _refused_labels(monitor: ModelMonitor) -> Iterator[Sample]:
    """Absent where all labels of the last run count."""
    refused = monitor.status.refused_labels
    for each in refused.reasons if refused is not None else ():
        yield (each.reason,), float(each.rows)


GAUGES: tuple[Gauge, ...] = (
    Gauge("flywheel_monitor_condition", "1 if a condition of a ModelMonitor is True, 0 if it is False; absent if unknown.", ("condition",), _conditions),
    Gauge("flywheel_monitor_rows", "Rows that the last run of a ModelMonitor counted.", (), _rows),
    Gauge("flywheel_monitor_completeness", "Share of the served requests that the last run counted.", (), _completeness),
    Gauge("flywheel_monitor_tested_until_timestamp_seconds", "End of the last window that a ModelMonitor tested.", (), _tested_until),
    Gauge("flywheel_monitor_due_timestamp_seconds", "Time after which the next window of a ModelMonitor has ended and its schedule has ticked.", (), _due),
    Gauge("flywheel_monitor_refused_labels", "Logged rows whose labels do not count in the last run of a ModelMonitor.", ("reason",), _refused_labels),
    Gauge("flywheel_monitor_feature_psi", "Population stability index of the ten features that are furthest from the reference.", ("feature",), _feature_drift),
)  # fmt: skip
