"""Errors and latencies of the service in a run of the monitor. The report has them also where they are not tested."""

from collections.abc import Sequence
from typing import Any

from flywheel_runtime.commands.monitor.config import MonitorConfig
from flywheel_runtime.monitoring.report.service_section import (
    NOT_COUNTED,
    STORED_ROWS,
    describe_service,
    describe_service_trend,
    service_state,
)
from flywheel_runtime.monitoring.rollup import Rollup
from flywheel_runtime.monitoring.service.service_windows import SIGNAL, LatencyTarget, ServiceAnalysis, ServiceTarget
from flywheel_runtime.monitoring.state import MonitorState
from flywheel_runtime.monitoring.windows import SortedDocuments


def analyse_service(
    config: MonitorConfig, state: MonitorState, found: SortedDocuments, allowance: float
) -> ServiceAnalysis:
    """The service in the windows of this run. `allowance` is how many false alarms one window may cost in expectation."""
    wanted = config.signals.service
    target = ServiceTarget()
    if wanted is not None:
        latency = wanted.latency
        limit = None if latency is None else LatencyTarget(latency.quantile, latency.max_seconds)
        target = ServiceTarget(wanted.max_error_share, limit)
    analysis = ServiceAnalysis(state, config.served_versions, target, allowance, config.min_rows)
    analysis.run(found.windows)
    return analysis


def add_service(
    report: dict[str, Any], config: MonitorConfig, analysis: ServiceAnalysis, rollups: Sequence[Rollup]
) -> None:
    """Adds what was counted, with the trend of the retained windows, and the signal where it is asked for."""
    report["serviceHealth"] = describe_service(analysis) | {"trend": describe_service_trend(rollups)}
    if config.signals.service is not None:
        findings = [each for each in report["findings"] if each["signal"] == SIGNAL]
        report["signals"][SIGNAL] = service_state(
            analysis, findings, STORED_ROWS if config.stored_rows else NOT_COUNTED
        )
