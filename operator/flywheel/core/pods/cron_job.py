"""Schedules: a CronJob whose Jobs never start a pod. Kubernetes keeps the time, the zone and the policy; a kind acts on each tick."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from flywheel.core.diagnosis.outcome import is_finished
from flywheel.core.pods.pod_spec import pod_security_context
from flywheel.core.resource import names
from flywheel.core.resource.api import CRON_JOB, Manifest
from flywheel.core.resource.kind import AnyResource
from flywheel.core.resource.plan import Child
from flywheel.core.resource.schema import Schedule

TICK = "tick"
TRIGGER_MANAGER = "flywheel.ml/trigger"
TRIGGER_LABEL = "flywheel.ml/trigger-name"
SCHEDULED_ANNOTATION = "batch.kubernetes.io/cronjob-scheduled-timestamp"


@dataclass(frozen=True)
class Tick:
    """A Job of the schedule, or one that somebody made of it with `kubectl create job --from`.

    `scheduled` is the time by the schedule, in its zone; None where somebody made the Job. `trigger` is that of the CronJob.
    """

    name: str
    created: datetime
    scheduled: datetime | None = None
    trigger: str = ""


def cron_jobs(
    resource: AnyResource, schedule: Schedule | None, *, suspend: bool, trigger: str = ""
) -> tuple[Child, ...]:
    """Returns the CronJob of a schedule; nothing without one. `trigger` distinguishes several of one resource."""
    if schedule is None:
        return ()
    # No controller makes this pod, but a Job must have a template.
    pod = {
        "restartPolicy": "Never",
        "securityContext": pod_security_context(),
        "containers": [{"name": TICK, "image": TICK}],
    }
    spec = {
        "schedule": schedule.cron,
        "timeZone": schedule.time_zone,
        "concurrencyPolicy": schedule.concurrency_policy,
        "startingDeadlineSeconds": schedule.starting_deadline_seconds,
        "suspend": suspend,
        "successfulJobsHistoryLimit": 1,
        "failedJobsHistoryLimit": 1,
        "jobTemplate": {
            "metadata": {"labels": {names.STEP_LABEL: TICK, **({TRIGGER_LABEL: trigger} if trigger else {})}},
            "spec": {"managedBy": TRIGGER_MANAGER, "template": {"spec": pod}},
        },
    }
    name = names.child(resource, trigger, max_length=52)  # Kubernetes adds the time of the tick to it
    return (Child(CRON_JOB, CRON_JOB.manifest(name, spec=spec)),)


def pending_ticks(jobs: Iterable[Manifest]) -> tuple[Tick, ...]:
    """Returns the ticks among a resource's Jobs that no plan has completed, oldest first."""
    found = [
        _tick(job) for job in jobs if job["metadata"]["labels"].get(names.STEP_LABEL) == TICK and not is_finished(job)
    ]
    return tuple(sorted(found, key=lambda tick: (tick.created, tick.name)))


def _tick(job: Manifest) -> Tick:
    metadata = job["metadata"]
    scheduled = (metadata.get("annotations") or {}).get(SCHEDULED_ANNOTATION)
    return Tick(
        metadata["name"],
        datetime.fromisoformat(metadata["creationTimestamp"]),
        datetime.fromisoformat(scheduled) if scheduled else None,
        str(metadata["labels"].get(TRIGGER_LABEL, "")),
    )
