"""Where the notifications of a ModelMonitor stand: pure, and the same however often it is computed.

A notification is in status before its Job is deleted, and its Job has a derived name, so that none is lost and none is made twice.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from flywheel.core.diagnosis.outcome import Outcome
from flywheel.core.requeue import REQUEUE_NOW, backoff
from flywheel.core.resource.api import JOB
from flywheel.core.resource.plan import Child, Event, ExistingChild, KindCondition
from flywheel.core.resource.restrictions import find_violation
from flywheel.core.resource.schema import Webhook
from flywheel.kinds.modelmonitor.children import ModelMonitor
from flywheel.kinds.modelmonitor.notifications.notification_job import (
    notification_document,
    notification_job,
    notification_job_name,
)
from flywheel.kinds.modelmonitor.observe import Seen
from flywheel.kinds.modelmonitor.schema.notification import MAX_NOTIFICATIONS, Notification
from flywheel.kinds.modelmonitor.schema.status import ModelMonitorStatus

MAX_ATTEMPTS = 6  # with the pauses of `backoff`, five minutes; each attempt tries three times
RETRIED_REASONS = frozenset(("NotifyFailed",))
PENDING = ("Running", "Retrying")


@dataclass(frozen=True)
class Notifications:
    """All notifications of status, and what they need: `children` are their Jobs."""

    notifications: tuple[Notification, ...] = ()
    children: tuple[Child | ExistingChild, ...] = ()
    events: tuple[Event, ...] = ()
    requeue_after: timedelta | None = None


def advance_notifications(
    monitor: ModelMonitor, status: ModelMonitorStatus, seen: Seen, alarms: Sequence[KindCondition]
) -> Notifications:
    """Takes in how Jobs ended, retries them, and starts one for the `alarms`, the conditions that become False with the run of `status`."""
    webhook = monitor.spec.notify
    known = monitor.status.notifications
    if webhook is None:
        return Notifications(tuple(each for each in known if each.result not in PENDING))
    jobs = {each.name: each for each in seen.notification_jobs}
    children: list[Child | ExistingChild] = []
    events: list[Event] = []
    waits: list[timedelta] = []
    advanced: list[Notification] = []
    for before in _with_new(known, status, [each.type for each in alarms]):
        name = notification_job_name(monitor, before)
        job, after = jobs.get(name), before
        if before.result == "Running" and job is not None and job.outcome is not None:
            after = _after_attempt(before, job.outcome, seen)
            children.append(ExistingChild(JOB, name))  # until status says how it ended
            waits.append(REQUEUE_NOW)
            events.extend(_event(after))
        elif before.result == "Running" and job is not None:
            children.append(ExistingChild(JOB, name))
        elif before.result in PENDING:
            after = _next_attempt(monitor, before, seen)
            events.extend(_event(after))
            if after.result == "Running":
                children.append(_job(monitor, webhook, after, status, seen, alarms))
            elif after.not_before is not None:
                waits.append(max(after.not_before - seen.now, REQUEUE_NOW))
        advanced.append(after)
    return Notifications(tuple(advanced), tuple(children), tuple(events), min(waits, default=None))


def _with_new(
    known: Sequence[Notification], status: ModelMonitorStatus, new: Sequence[str]
) -> tuple[Notification, ...]:
    """The notifications, with one for the conditions that became False. Of those that have ended the oldest are left out first."""
    run = status.run.number if status.run is not None else 0
    listed = [*known]
    if new and all(each.run != run for each in known):
        started = {"run": run, "conditions": tuple(new), "attempt": 1, "result": "Running"}
        listed.append(Notification.model_validate(started))
    while len(listed) > MAX_NOTIFICATIONS:
        ended = next((each for each in listed if each.result not in PENDING), listed[0])
        listed.remove(ended)
    return tuple(listed)


def _after_attempt(notification: Notification, outcome: Outcome, seen: Seen) -> Notification:
    """The notification after the Job of its attempt has ended."""
    if outcome.result == "Succeeded":
        sent = {"result": "Sent", "reason": None, "message": None, "not_before": None, "finished_at": seen.now}
        return notification.model_copy(update=sent)
    failed = {"reason": outcome.reason, "message": outcome.message[:1024], "not_before": None}
    may_retry = outcome.result == "Infrastructure" or outcome.reason in RETRIED_REASONS
    if may_retry and notification.attempt < MAX_ATTEMPTS:
        again = seen.now + backoff(notification.attempt - 1)
        return notification.model_copy(update=failed | {"result": "Retrying", "not_before": again})
    return notification.model_copy(update=failed | {"result": "Failed", "finished_at": seen.now})


def _next_attempt(monitor: ModelMonitor, notification: Notification, seen: Seen) -> Notification:
    """The notification whose Job is to be made: the first time, or again after its pause."""
    if notification.result == "Retrying" and notification.not_before is not None and seen.now < notification.not_before:
        return notification
    violation = find_violation(monitor.spec, seen.settings)
    if violation is not None:
        refused = {"reason": violation.reason, "message": violation.message[:1024], "not_before": None}
        return notification.model_copy(update=refused | {"result": "Failed", "finished_at": seen.now})
    again = {"attempt": notification.attempt + 1} if notification.result == "Retrying" else {}
    return notification.model_copy(update=again | {"result": "Running", "not_before": None})


def _job(
    monitor: ModelMonitor,
    webhook: Webhook,
    notification: Notification,
    status: ModelMonitorStatus,
    seen: Seen,
    alarms: Sequence[KindCondition],
) -> Child:
    known = {each.type: (each.reason, each.message) for each in monitor.status.conditions}
    known |= {each.type: (each.reason, each.message) for each in alarms}
    said = {type_: known[type_] for type_ in notification.conditions if type_ in known}
    document = notification_document(monitor, status, said)
    return notification_job(monitor, webhook, notification, document, seen.settings)


def _event(notification: Notification) -> tuple[Event, ...]:
    """A notification that is given up is told, since nobody else misses it."""
    if notification.result != "Failed":
        return ()
    message = f"The notification of run {notification.run} was not sent: {notification.message}"
    return (Event("NotificationFailed", message, "Warning", "Notify"),)
