"""What has happened since a trigger last fired: one function for each sort of trigger.

Of a trigger that watches one value (the newest version, champion or transition) the newest cause counts, and `answered` is the last one.
Where several causes may be there at once, each is handled, and `handled` has those that are still there.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from flywheel.core.pods.cron_job import Schedule
from flywheel.core.resource import conditions
from flywheel.core.resource.api import Manifest
from flywheel.kinds.trainingpipeline.observe import Seen
from flywheel.kinds.trainingpipeline.schema.triggers import NewData, OnCondition, Trigger, TriggerStatus

MISSING_REASONS = frozenset(("MonitorNotFound", "PipelineNotFound", "SignalNotTested"))
FINAL_REASONS = frozenset(("SameCause", "VersionNotServed", "CauseEnded"))


@dataclass(frozen=True)
class Obstacle:
    """Why a cause is no reason for a run, or not yet: a reason in CamelCase, and a sentence."""

    reason: str
    message: str


@dataclass(frozen=True)
class Cause:
    """One reason to start a run. `key` tells it from all others of its trigger.

    `obstacle`: why it is no reason yet. `deadline`: it expires if no run has started by then, as a tick does. `facts` are further fields
    of the run's cause. `handled`: the causes that were handled before and are still there, where there may be several; `since`: those that ended before that time are handled too.
    """

    key: str
    message: str
    tick: str | None = None
    scheduled: datetime | None = None
    rows: int | None = None
    obstacle: Obstacle | None = None
    deadline: datetime | None = None
    facts: Mapping[str, str] = field(default_factory=dict)
    handled: tuple[str, ...] | None = None
    since: datetime | None = None

    def spec(self, trigger: str) -> dict[str, Any]:
        """The field `spec.cause` of the TrainingRun."""
        fields = {
            "trigger": trigger,
            "key": self.key[:128],
            "message": self.message[:256],
            "tick": self.tick,
            "scheduled": self.scheduled.isoformat() if self.scheduled else None,
            **self.facts,
        }
        return {name: value for name, value in fields.items() if value is not None}


def without_cause(status: TriggerStatus, now: datetime) -> TriggerStatus:
    """The status where there is no cause: one that waited says that it has ended, and one that is missing what it watches is in order."""
    skipped, fired = status.skipped, status.fired
    if skipped is None or skipped.reason in FINAL_REASONS:
        return status
    if skipped.reason in MISSING_REASONS:
        return status.model_copy(update={"skipped": None})
    if fired is not None and fired.cause == skipped.cause and fired.at >= skipped.at:
        return status
    message = f"The cause ended before a run could start ({skipped.reason}), so none starts for it."
    ended = skipped.model_copy(update={"at": now, "reason": "CauseEnded", "message": message})
    return status.model_copy(update={"skipped": ended})


def superseded_ticks(trigger: Trigger, seen: Seen) -> list[str]:
    """Ticks that came before the newest one and started no run: one run is enough for all of them."""
    waiting = [tick.name for tick in seen.ticks if tick.trigger == trigger.name]
    started = {run.tick for run in seen.runs}
    return [name for name in waiting[:-1] if name not in started]


def find_tick(schedule: Schedule, trigger: str, seen: Seen) -> Cause | None:
    """The newest tick of a trigger's schedule that is not completed."""
    waiting = [tick for tick in seen.ticks if tick.trigger == trigger]
    if not waiting:
        return None
    newest = waiting[-1]
    message = f"tick '{newest.name}' was created by hand"
    if newest.scheduled is not None:
        when = f"{newest.scheduled:%Y-%m-%d %H:%M %Z}".strip()
        message = f"the schedule '{schedule.cron}' ({schedule.time_zone}) ticked for {when}"
    deadline = newest.created + timedelta(seconds=schedule.starting_deadline_seconds)
    return Cause(newest.name, message, tick=newest.name, scheduled=newest.scheduled, deadline=deadline)


def find_change(trigger: Trigger, status: TriggerStatus, watched: Manifest) -> Cause | None:
    """The newest version, champion or transition of what a trigger watches."""
    if trigger.new_data is not None:
        return _new_data(trigger.new_data, status, watched)
    if trigger.condition is not None:
        return _condition(trigger.condition, watched)
    champion = (watched.get("status") or {}).get("champion")
    name = watched["metadata"]["name"]
    return Cause(str(champion), f"Model '{name}' has champion '{champion}'") if champion else None


def _new_data(wanted: NewData, status: TriggerStatus, dataset: Manifest) -> Cause | None:
    versions = (dataset.get("status") or {}).get("versions") or ()
    if not versions or not conditions.is_ready(dataset):
        return None
    newest = versions[0]
    rows = newest.get("rows")
    new_rows = rows - status.rows if rows is not None and status.rows is not None else None
    message = f"Dataset '{wanted.dataset}' has version '{newest['name']}'"
    if rows is not None:
        message += f" with {rows:,} rows"
    obstacle = None
    if new_rows is not None:
        message += f", {new_rows:,} more than at the last run"
        if new_rows < wanted.min_new_rows:
            finding = f"The version has {new_rows:,} new rows, and minNewRows is {wanted.min_new_rows:,}."
            obstacle = Obstacle("TooFewNewRows", finding)
    return Cause(str(newest["name"]), message, rows=rows, obstacle=obstacle)


def _condition(wanted: OnCondition, resource: Manifest) -> Cause | None:
    """The condition's transition time tells one cause from the next; where reasons are named, so does a change of reason."""
    condition = conditions.find_condition(resource, wanted.type)
    if condition.get("status") != wanted.status:
        return None
    reason = str(condition.get("reason", ""))
    if wanted.reasons and reason not in wanted.reasons:
        return None
    key = f"{wanted.type}={wanted.status}@{condition.get('lastTransitionTime')}" + (
        f" {reason}" if wanted.reasons else ""
    )
    finding = f"condition {wanted.type}={wanted.status} ({reason}): {condition.get('message', '')}"
    return Cause(key, f"{wanted.kind} '{wanted.name}' has {finding}")
