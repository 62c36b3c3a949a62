"""What a ModelMonitor needs next.

Ready says: the monitor works, whatever it finds. What it finds are the conditions of the signals: True and False need evidence, and
everything else is Unknown, also while runs fail or are suspended.
"""

from dataclasses import replace
from datetime import timedelta

from flywheel.core.pods import cron_job
from flywheel.core.requeue import PENDING_CHECK_INTERVAL, REQUEUE_NOW
from flywheel.core.resource.api import JOB
from flywheel.core.resource.plan import Child, Decision, Event, ExistingChild, KindCondition, Plan, existing_job
from flywheel.kinds.modelmonitor import children, messages
from flywheel.kinds.modelmonitor.children import ModelMonitor
from flywheel.kinds.modelmonitor.labels import find_fairness_problem, find_label_problem
from flywheel.kinds.modelmonitor.notifications.notification_progress import advance_notifications
from flywheel.kinds.modelmonitor.observe import Seen, Service
from flywheel.kinds.modelmonitor.progress import Progress, advance, is_served, reduced_windows
from flywheel.kinds.modelmonitor.schema.status import (
    DATA_HEALTHY,
    ESTIMATED_PERFORMING,
    FAIR,
    NO_DRIFT,
    PERFORMING,
    SERVICE_HEALTHY,
)

MAX_QUIET_RETRIES = 5  # with the pauses of `backoff`, five minutes
SIGNALS = {
    "dataQuality": DATA_HEALTHY,
    "drift": NO_DRIFT,
    "estimatedPerformance": ESTIMATED_PERFORMING,
    "performance": PERFORMING,
    "service": SERVICE_HEALTHY,
    "fairness": FAIR,
}  # names of a run's facts, and the conditions
CONDITION_OF_FINDING = {
    "dataQuality": DATA_HEALTHY,
    "featureDrift": NO_DRIFT,
    "predictionDrift": NO_DRIFT,
    "estimatedPerformance": ESTIMATED_PERFORMING,
    "performance": PERFORMING,
    "service": SERVICE_HEALTHY,
    "fairness": FAIR,
    "labels": DATA_HEALTHY,
}


def decide(monitor: ModelMonitor, seen: Seen) -> Plan:
    """The plan for what is seen."""
    progress = advance(monitor, seen)
    decision = (
        run_is_refused(progress)
        or run_runs(monitor, seen, progress)
        or run_is_retried(monitor, seen, progress)
        or monitor_is_suspended(monitor, progress)
        or service_is_missing(monitor, seen, progress)
        or run_failed(monitor, progress)
        or first_tick_is_awaited(monitor, seen, progress)
        or windows_are_tested(monitor, seen, progress)
    )
    conditions = _conditions(monitor, seen, progress, decision)
    alarms = _find_alarms(monitor, progress, conditions)
    sent = advance_notifications(monitor, progress.status, seen, alarms)
    waits = [each for each in (decision.requeue_after, sent.requeue_after) if each is not None]
    decision = decision.extend(
        children=sent.children,
        events=(*map(_alarm_event, alarms), *sent.events),
        requeue_after=min(waits, default=None),
    )
    return decision.plan(
        status=progress.status.model_copy(update={"notifications": sent.notifications}),
        summary=messages.summary(progress.status, decision.reason),
        children=cron_job.cron_jobs(monitor, monitor.spec.schedule, suspend=monitor.spec.suspend),
        completed_ticks=cron_job.ticks_until(seen.ticks, progress.answered_tick),
        conditions=conditions,
    )


def run_is_refused(progress: Progress) -> Decision | None:
    """A run is due, and its spec is forbidden."""
    if progress.refusal is None:
        return None
    return Decision(
        ready=False,
        reason=progress.refusal.reason,
        message=progress.refusal.message,
        children=existing_job(progress.job),
        stalled=True,
    )


def run_runs(monitor: ModelMonitor, seen: Seen, progress: Progress) -> Decision | None:
    """A run starts now, or its Job has not ended. A monitor that works stays Ready meanwhile."""
    run = progress.run
    if run is None or run.result != "Running":
        return None
    works = _works(progress)
    if progress.job is not None:
        job: Child | ExistingChild = ExistingChild(JOB, progress.job.name)
    else:
        service = seen.service or Service(logs=False, runs_own_server=True)
        job = children.monitor_job(
            monitor,
            run,
            dict(service.versions),
            seen.settings,
            service.labels,
            counts_rows=service.has_brought_version,
            labels_only=service.labels_only,
            stored_rows=service.stored_rows,
            batch_runs=service.batch_runs,
        )
    diagnosis = progress.job.diagnosis if progress.job else None
    reason, message = "Running", messages.run_runs(monitor, run, job.name)
    if diagnosis is not None:
        reason, message = diagnosis.reason, diagnosis.message
    elif works:
        reason, message = _finding(monitor, progress)
    return Decision(ready=works, reason=reason, message=message, children=(job,), requeue_after=PENDING_CHECK_INTERVAL)


def run_is_retried(monitor: ModelMonitor, seen: Seen, progress: Progress) -> Decision | None:
    """Infrastructure broke. The next run has the same windows, and those that have ended since."""
    run = progress.run
    if run is None or run.result != "Retrying" or monitor.spec.suspend or not is_served(seen):
        return None
    again, works = run.not_before or seen.now, _works(progress)
    stands = "What the last run found stands. " if works else ""
    return Decision(
        ready=works,
        reason=run.reason or "Retrying",
        message=f"{stands}{run.message} Trying again at {again:%H:%M:%S} UTC (run {run.number + 1}).",
        children=existing_job(progress.job),
        requeue_after=max(again - seen.now, REQUEUE_NOW),
    )


def monitor_is_suspended(monitor: ModelMonitor, progress: Progress) -> Decision | None:
    """No run starts."""
    if not monitor.spec.suspend:
        return None
    return Decision(
        ready=False,
        reason="Suspended",
        message=f"ModelMonitor '{monitor.name}' is suspended; set spec.suspend to false to go on.",
        children=existing_job(progress.job),
        progressing=False,
    )


def service_is_missing(monitor: ModelMonitor, seen: Seen, progress: Progress) -> Decision | None:
    """There is no service, or it counts no traffic."""
    if is_served(seen):
        return None
    service = seen.service
    return Decision(
        ready=False,
        reason=_not_found(monitor) if service is None else "TrafficNotCounted",
        message=messages.service_is_missing(monitor) if service is None else messages.traffic_is_not_counted(monitor),
        children=existing_job(progress.job),
    )


def _not_found(monitor: ModelMonitor) -> str:
    return "BatchInferenceNotFound" if monitor.spec.batch_inference else "ServiceNotFound"


def run_failed(monitor: ModelMonitor, progress: Progress) -> Decision | None:
    """Its Job stays, so that its logs can be read, until the next run starts."""
    run = progress.run
    if run is None or run.result != "Failed":
        return None
    return Decision(
        ready=False,
        reason=run.reason or "RunFailed",
        message=messages.run_failed(monitor, run, reduced_windows(monitor, run)),
        children=existing_job(progress.job),
        requeue_after=REQUEUE_NOW if progress.just_ended else None,
    )


def first_tick_is_awaited(monitor: ModelMonitor, seen: Seen, progress: Progress) -> Decision | None:
    """No window was tested yet."""
    if progress.status.processed_until is not None:
        return None
    return Decision(
        ready=True, reason="Scheduled", message=messages.tick_is_awaited(monitor), requeue_after=_wait(seen, progress)
    )


def windows_are_tested(monitor: ModelMonitor, seen: Seen, progress: Progress) -> Decision:
    """The last run succeeded. Its Job may go once status says what it found."""
    reason, message = _finding(monitor, progress)
    return Decision(
        ready=True,
        reason=reason,
        message=message,
        children=existing_job(progress.job) if progress.just_ended else (),
        requeue_after=REQUEUE_NOW if progress.just_ended else _wait(seen, progress),
    )


def _works(progress: Progress) -> bool:
    """Whether what the last run found stands, while the next one runs or is retried."""
    run = progress.run
    return progress.status.processed_until is not None and (run is None or run.retries <= MAX_QUIET_RETRIES)


def _finding(monitor: ModelMonitor, progress: Progress) -> tuple[str, str]:
    status = progress.status
    if status.window is None or not status.window.requests:
        return "WaitingForTraffic", messages.no_traffic(monitor, status)
    return "Monitoring", messages.windows_are_tested(monitor, status)


def _conditions(
    monitor: ModelMonitor, seen: Seen, progress: Progress, decision: Decision
) -> tuple[KindCondition, ...] | None:
    """Those of the signals that are asked for. Those of the last run stay until another has succeeded, or cannot start."""
    asked = _asked_conditions(monitor)
    known = {each.type for each in monitor.status.conditions}
    if progress.signals is None:
        if decision.ready and known.issuperset(asked):
            return None
        why = messages.not_tested(progress.status, decision.message)
        return tuple(KindCondition(type_, None, decision.reason, why) for type_ in asked)
    found = {
        SIGNALS[each.name]: KindCondition(SIGNALS[each.name], each.holds, each.reason, each.message)
        for each in progress.signals
        if each.name in SIGNALS
    }
    missing = "The last run said nothing of it; see its report."
    reported = [found.get(type_) or KindCondition(type_, None, "NotReported", missing) for type_ in asked]
    return tuple(_with_row_problem(each, monitor, seen) for each in reported)


def _asked_conditions(monitor: ModelMonitor) -> tuple[str, ...]:
    spec = monitor.spec
    tests_drift = not (spec.feature_drift.disabled and spec.prediction_drift.disabled)
    asked = (
        (DATA_HEALTHY, True),
        (NO_DRIFT, tests_drift),
        (ESTIMATED_PERFORMING, spec.estimated_performance is not None),
        (PERFORMING, spec.performance is not None),
        (SERVICE_HEALTHY, spec.service is not None),
        (FAIR, spec.fairness is not None),
    )
    return tuple(type_ for type_, is_asked in asked if is_asked)


def _with_row_problem(condition: KindCondition, monitor: ModelMonitor, seen: Seen) -> KindCondition:
    """Where nothing is known of the performance or of fairness, what keeps rows or labels away is the cause."""
    if condition.type not in (PERFORMING, FAIR) or condition.status is not None:
        return condition
    find_problem = find_label_problem if condition.type == PERFORMING else find_fairness_problem
    problem = find_problem(monitor, seen)
    return condition if problem is None else replace(condition, reason=problem.reason, message=problem.message)


def _find_alarms(
    monitor: ModelMonitor, progress: Progress, conditions: tuple[KindCondition, ...] | None
) -> tuple[KindCondition, ...]:
    """The conditions that become False, also those that were Unknown in between unless one of their findings is known."""
    before = {each.type: each.status for each in monitor.status.conditions}
    known = {each.name for each in monitor.status.findings}
    standing = {CONDITION_OF_FINDING.get(each.signal) for each in progress.status.findings if each.name in known}
    return tuple(
        each
        for each in conditions or ()
        if each.status is False and before.get(each.type) != "False"
        if before.get(each.type) != "Unknown" or each.type not in standing
    )


def _alarm_event(condition: KindCondition) -> Event:
    return Event(condition.reason, f"{condition.type} is False: {condition.message}", "Warning", "Monitor")


def _wait(seen: Seen, progress: Progress) -> timedelta | None:
    """How long until the window has ended for which a requested run waits."""
    return max(progress.due_at - seen.now, REQUEUE_NOW) if progress.due_at is not None else None
