"""What is new to a trigger since it was last answered: pure, one function for each sort of trigger."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from flywheel.core.resource import conditions
from flywheel.core.resource.api import Manifest
from flywheel.kinds.trainingpipeline.observe import Seen
from flywheel.kinds.trainingpipeline.schema.triggers import OnCondition, Trigger, TriggerStatus


@dataclass(frozen=True)
class Cause:
    """One reason to start a run. `key` tells it from all others of its trigger.

    `too_little`: why it is no reason yet. `until`: it is over if it was not answered by then, as a tick is.
    """

    key: str
    message: str
    tick: str | None = None
    scheduled: datetime | None = None
    rows: int | None = None
    too_little: str | None = None
    until: datetime | None = None

    def told(self, trigger: str) -> dict[str, Any]:
        """As a TrainingRun carries it."""
        said = {
            "trigger": trigger,
            "key": self.key[:128],
            "message": self.message[:256],
            "tick": self.tick,
            "scheduled": self.scheduled.isoformat() if self.scheduled else None,
        }
        return {name: value for name, value in said.items() if value is not None}


def cause(trigger: Trigger, known: TriggerStatus, seen: Seen) -> Cause | None:
    """What is new to this trigger; None if nothing is."""
    found = (
        _tick(trigger, seen)
        if trigger.schedule
        else _of_resource(trigger, known, seen.looked_at.get(str(trigger.name)))
    )
    return found if found is not None and found.key != known.answered else None


def overtaken(trigger: Trigger, seen: Seen) -> list[str]:
    """Ticks that came before the newest one and were never answered: one run is enough for all of them."""
    waiting = [tick.name for tick in seen.ticks if tick.trigger == trigger.name]
    answered = {run.tick for run in seen.runs}
    return [name for name in waiting[:-1] if name not in answered]


def _tick(trigger: Trigger, seen: Seen) -> Cause | None:
    assert trigger.schedule is not None, "asked before"
    waiting = [tick for tick in seen.ticks if tick.trigger == trigger.name]
    if not waiting:
        return None
    newest = waiting[-1]
    when = newest.scheduled
    words = f"the schedule '{trigger.schedule.cron}' ({trigger.schedule.time_zone}) ticked"
    message = f"{words} for {when:%Y-%m-%d %H:%M %Z}" if when else f"somebody made tick '{newest.name}'"
    late = timedelta(seconds=trigger.schedule.starting_deadline_seconds)
    return Cause(newest.name, message.strip(), tick=newest.name, scheduled=when, until=newest.created + late)


def _of_resource(trigger: Trigger, known: TriggerStatus, found: Manifest | None) -> Cause | None:
    if found is None:
        return None
    status = found.get("status") or {}
    if trigger.new_data:
        return _new_data(trigger.new_data.dataset, trigger.new_data.min_new_rows, known, found, status)
    if trigger.model_version:
        champion = status.get("champion")
        words = f"Model '{trigger.model_version.model}' has champion '{champion}'"
        return Cause(str(champion), words) if champion else None
    assert trigger.condition is not None, "a rule of the schema"
    return _condition(trigger.condition, found)


def _new_data(name: str, least: int, known: TriggerStatus, found: Manifest, status: Mapping[str, Any]) -> Cause | None:
    versions = status.get("versions") or ()
    if not versions or not conditions.is_ready(found):
        return None
    newest = versions[0]
    rows = newest.get("rows")
    before = known.rows
    more = rows - before if rows is not None and before is not None else None
    told = f", {more:,} more than the run before had" if more is not None else ""
    count = f" with {rows:,} rows{told}" if rows is not None else ""
    message = f"Dataset '{name}' has version '{newest['name']}'{count}"
    too_little = None
    if more is not None and more < least:
        too_little = f"it has {more:,} new rows, and minNewRows is {least:,}"
    return Cause(str(newest["name"]), message, rows=rows, too_little=too_little)


def _condition(wanted: OnCondition, resource: Manifest) -> Cause | None:
    """A condition's time of transition tells this time from the last; a change of reason alone is a cause as well, if reasons are named."""
    found = conditions.find_condition(resource, wanted.type)
    if found.get("status") != wanted.status:
        return None
    reason = str(found.get("reason", ""))
    if wanted.reasons and reason not in wanted.reasons:
        return None
    key = f"{wanted.type}={wanted.status}@{found.get('lastTransitionTime')}" + (f" {reason}" if wanted.reasons else "")
    words = f"{wanted.kind} '{wanted.name}' says {wanted.type}={wanted.status} ({reason}): {found.get('message', '')}"
    return Cause(key, words)
