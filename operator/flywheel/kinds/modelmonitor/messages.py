"""The messages of a ModelMonitor's conditions, and its summary."""

from datetime import datetime

from flywheel.core.diagnosis.internal_error import last_failure
from flywheel.kinds.modelmonitor.children import REQUEST_ANNOTATION, ModelMonitor
from flywheel.kinds.modelmonitor.schema.status import Finding, ModelMonitorStatus, Run

MAX_NAMED_FINDINGS = 3


def run_runs(monitor: ModelMonitor, run: Run, job: str) -> str:
    """The first run, or one after a failure."""
    compares = (
        f"Job '{job}' compares the traffic of {describe_target(monitor)} "
        f"from {_time(run.from_)} to {_time(run.until)} UTC with the reference."
    )
    return compares + last_failure(run.retries, run.reason, run.message)


def service_is_missing(monitor: ModelMonitor) -> str:
    """There is nothing to monitor."""
    field = "batchInference" if monitor.spec.batch_inference else "inferenceService"
    return (
        f"{describe_target(monitor)} does not exist in namespace '{monitor.namespace}'; "
        f"create it or correct spec.{field}."
    )


def describe_target(monitor: ModelMonitor) -> str:
    """What is monitored: `InferenceService 'fraud'`."""
    kind = "BatchInference" if monitor.spec.batch_inference else "InferenceService"
    return f"{kind} '{monitor.spec.target}'"


def traffic_is_not_counted(monitor: ModelMonitor) -> str:
    """The servers count no requests."""
    return (
        f"{describe_target(monitor)} has no spec.logging, so its servers count no requests; "
        "set spec.logging: {} there, or with sample: 0% where no rows may be stored."
    )


def tick_is_awaited(monitor: ModelMonitor) -> str:
    """No run has started yet."""
    schedule = monitor.spec.schedule
    return (
        f"The first run comes at the next tick of '{schedule.cron}' ({schedule.time_zone}); {request_a_run(monitor)}."
    )


def request_a_run(monitor: ModelMonitor) -> str:
    """How to have a run at once."""
    return (
        "request one earlier with "
        f"'kubectl annotate fwmon {monitor.name} -n {monitor.namespace} --overwrite {REQUEST_ANNOTATION}=\"$(date)\"'"
    )


def run_failed(monitor: ModelMonitor, run: Run, windows: int | None) -> str:
    """Why, and what comes next: a run with at most so many windows, if they are limited."""
    schedule = monitor.spec.schedule
    fewer = f", with at most {windows} window{'s' if windows > 1 else ''}" if windows else ""
    return f"{run.message} The next run comes at the next tick of '{schedule.cron}' ({schedule.time_zone}){fewer}."


def windows_are_tested(monitor: ModelMonitor, status: ModelMonitorStatus) -> str:
    """What the last run found, and from what."""
    window = status.window
    if window is None:
        return "The windows are tested."
    complete = f", {float(window.completeness):.1%} of those served" if window.completeness else ""
    unit = "runs" if monitor.spec.batch_inference else "requests"
    traffic = f"{window.rows:,} rows of {window.requests:,} {unit}{complete}"
    skipped = (
        f" {status.skipped_windows:,} windows were never tested, since they were more than a week ago when a run started."
        if status.skipped_windows
        else ""
    )
    return f"Traffic until {_time(window.until)} UTC is tested ({traffic}). {_findings(status)}{skipped}"


def no_traffic(monitor: ModelMonitor, status: ModelMonitorStatus) -> str:
    """The last run had nothing to test."""
    until = f" until {_time(status.processed_until)} UTC" if status.processed_until else ""
    if monitor.spec.batch_inference:
        return f"The outputs of {describe_target(monitor)}{until} have no row; see whether they were removed."
    return (
        f"No request of {describe_target(monitor)} was counted in the windows{until}; "
        "if it has traffic, see the log of container log-sink of its servers, or, with another spec.runtime, whether it leaves rows in the store."
    )


def not_tested(status: ModelMonitorStatus, why: str) -> str:
    """Why a condition of a signal is Unknown."""
    since = f"Not tested since {_time(status.processed_until)} UTC: " if status.processed_until else "Not tested yet: "
    return f"{since}{why}"


def summary(status: ModelMonitorStatus, reason: str) -> str:
    """`featureDrift of distance (psi 0.42), 1 more; 12,000 rows until 2026-01-31 18:00`."""
    window = status.window
    if window is None:
        return "no window tested yet" if reason in ("Scheduled", "Running") else f"no window tested yet: {reason}"
    traffic = f"{window.rows:,} rows until {_time(window.until)}"
    if not status.findings:
        return f"no finding; {traffic}"
    first, more = status.findings[0], (status.finding_count or len(status.findings)) - 1
    others = f", {more} more" if more else ""
    measure = f"{first.measure} " if first.measure and first.measure != first.subject else ""
    effect = f" ({measure}{first.effect})" if first.effect else ""
    return f"{first.signal} of {first.subject[:60]}{effect}{others}; {traffic}"


def describe_finding(finding: Finding) -> str:
    """The finding as a sentence: the run's own, else one from its numbers."""
    if finding.message:
        return finding.message
    what = finding.signal if finding.measure in (None, "psi") else f"{finding.signal} ({finding.measure})"
    size = f" is {finding.effect}" if finding.effect else " is beyond the threshold"
    limit = f" (threshold {finding.threshold})" if finding.threshold else ""
    since = f" since {_time(finding.since)} UTC" if finding.since else ""
    version = f" of version {finding.version}" if finding.version else ""
    return f"{what} of '{finding.subject}'{version}{size}{limit}{since}."


def _findings(status: ModelMonitorStatus) -> str:
    if not status.findings:
        return "Nothing was found."
    named = " ".join(describe_finding(each) for each in status.findings[:MAX_NAMED_FINDINGS])
    more = (status.finding_count or len(status.findings)) - MAX_NAMED_FINDINGS
    return f"{named} {more} more are in the report." if more > 0 else named


def _time(time: datetime) -> str:
    return f"{time:%Y-%m-%d %H:%M}"
