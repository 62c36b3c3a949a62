"""Schedules: a CronJob whose Jobs never start a pod. Kubernetes keeps the time, the zone and the policy; a kind acts on each tick."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from pydantic import Field

from flywheel.core.diagnosis.outcome import is_finished
from flywheel.core.pods.pod_spec import pod_security_context
from flywheel.core.resource import names
from flywheel.core.resource.api import CRON_JOB, Manifest
from flywheel.core.resource.kind import AnyResource
from flywheel.core.resource.plan import Child
from flywheel.core.resource.schema import Schema, model_rules, rule

TICK = "tick"
TRIGGER_MANAGER = "flywheel.ml/trigger"
TRIGGER_LABEL = "flywheel.ml/trigger-name"
SCHEDULED_ANNOTATION = "batch.kubernetes.io/cronjob-scheduled-timestamp"

# Days that no month of those named has: Kubernetes takes such a schedule and waits for ever.
_SHORT = r"(0?[2469]|11|(?i:feb|apr|jun|sep|nov))"
_NEVER = rf"^\S+\s+\S+\s+(31\s+{_SHORT}(,{_SHORT})*|(30|30,31|31,30|30-31)\s+(0?2|(?i:feb)))\s+[*?]\s*$"

# What a CronJob takes (robfig/cron): five fields with lists of values, ranges and steps; or a name.
_DAYS, _MONTHS = (
    ["sun", "mon", "tue", "wed", "thu", "fri", "sat"],
    ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"],
)
_FIELDS = (
    "0*([0-9]|[1-5][0-9])",
    "0*([0-9]|1[0-9]|2[0-3])",
    "0*([1-9]|[12][0-9]|3[01])",
    f"(0*([1-9]|1[0-2])|(?i:{'|'.join(_MONTHS)}))",
    f"(0*[0-6]|(?i:{'|'.join(_DAYS)}))",
)
_ITEMS = tuple(rf"([*?]|{value}(-{value})?)(/0*[1-9][0-9]*)?" for value in _FIELDS)
_NAMES = r"@(yearly|annually|monthly|weekly|daily|midnight|hourly|every [ \t]*([0-9]+(\.[0-9]*)?(ns|us|ms|s|m|h))+)"
_GAP = r"[ \t]+"
_CRON = rf"^([ \t]*{_GAP.join(f'{item}(,{item})*' for item in _ITEMS)}[ \t]*|{_NAMES})$"
_BACKWARDS = "|".join(
    f"{names[end]}-({'|'.join(names[:end])})" for names in (_DAYS, _MONTHS) for end in range(1, len(names))
)
_RANGES_RISE = (
    f"!self.cron.matches(r'(?i)({_BACKWARDS})') && self.cron.split(' ').all(field, field.split(',').all(item, "
    "!item.matches('^[0-9]+-[0-9]+(/.*)?$') || "
    "int(item.split('/')[0].split('-')[0]) <= int(item.split('/')[0].split('-')[1])))"
)


class Schedule(Schema):
    """When to do something again; as in a CronJob."""

    model_config = model_rules(
        rule(
            f"self.cron.matches(r'{_CRON}')",
            "cron must be what a CronJob takes: minute, hour, day of the month, month and day of the week (0-6 or SUN-SAT), such as '0 2 * * 1-5', or a name such as @daily or @every 6h",
        ),
        rule(_RANGES_RISE, "cron has a range whose end is before its start; write it as two, such as 'FRI-SAT,SUN'"),
        rule(
            f"!self.cron.matches(r'{_NEVER}')",
            "cron specifies a day that does not exist in its month, so it would never fire; correct the day or the month",
        ),
    )

    cron: str = Field(
        min_length=6,
        max_length=100,
        description="Cron expression of five fields, such as '0 2 * * *', or @daily, @every 6h and the like.",
    )
    time_zone: str = Field(
        "Etc/UTC",
        max_length=64,
        description="IANA time zone, such as America/New_York. A time that its clocks skip in spring does not fire, and one that occurs twice in autumn fires twice.",
    )
    concurrency_policy: Literal["Allow", "Forbid", "Replace"] = Field(
        "Forbid", description="What to do if the previous run has not finished."
    )
    starting_deadline_seconds: int = Field(
        3600, ge=10, description="Deadline in seconds for starting a run that missed its scheduled time."
    )


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


def ticks_until(ticks: Iterable[Tick], answered: datetime | None) -> tuple[str, ...]:
    """The names of the ticks up to a time, which one run has answered; none if it is None."""
    return tuple(tick.name for tick in ticks if answered is not None and tick.created <= answered)


def _tick(job: Manifest) -> Tick:
    metadata = job["metadata"]
    scheduled = (metadata.get("annotations") or {}).get(SCHEDULED_ANNOTATION)
    return Tick(
        metadata["name"],
        datetime.fromisoformat(metadata["creationTimestamp"]),
        datetime.fromisoformat(scheduled) if scheduled else None,
        str(metadata["labels"].get(TRIGGER_LABEL, "")),
    )
