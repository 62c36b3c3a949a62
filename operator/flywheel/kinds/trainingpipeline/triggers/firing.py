"""The evaluation of all triggers in one pass.

Triggers are evaluated in the order of the spec. What each has handled is recorded in the status, and a run is named by its cause, so that
neither a lost status nor a second operator starts a second run.
"""

from dataclasses import dataclass, replace
from datetime import datetime

from flywheel.core.resource.plan import Child, Event
from flywheel.kinds.trainingpipeline import children
from flywheel.kinds.trainingpipeline.observe import RunSeen, Seen, watched_references
from flywheel.kinds.trainingpipeline.schema.status import Start
from flywheel.kinds.trainingpipeline.schema.triggers import MAX_HANDLED, Fired, Skipped, Trigger, TriggerStatus
from flywheel.kinds.trainingpipeline.triggers.causes import (
    Cause,
    find_change,
    find_tick,
    superseded_ticks,
    without_cause,
)
from flywheel.kinds.trainingpipeline.triggers.guard import GuardContext, Refusal, revision_to_run
from flywheel.kinds.trainingpipeline.triggers.monitor_findings import find_finding
from flywheel.kinds.trainingpipeline.triggers.succeeded_runs import find_success, with_start


@dataclass(frozen=True)
class TriggerResult:
    """What one trigger does: its new status, the run that it starts, ticks that are done, and when it is evaluated again."""

    status: TriggerStatus
    run: Child | None = None
    completed_ticks: tuple[str, ...] = ()
    until: datetime | None = None
    event: Event | None = None


def evaluate_triggers(context: GuardContext) -> tuple[GuardContext, tuple[TriggerResult, ...]]:
    """The result of each trigger, and the context with the runs that they start."""
    results: list[TriggerResult] = []
    for trigger in context.pipeline.spec.triggers:
        result = _evaluate(context, trigger)
        results.append(result)
        if result.run is not None:
            context = _with_run(context, result.run)
    return context, tuple(results)


def _evaluate(context: GuardContext, trigger: Trigger) -> TriggerResult:
    name, seen = str(trigger.name), context.seen
    source = _source(context, name)
    known = _known_status(context, name, source)
    known = with_start(trigger, known, seen) if trigger.run is not None else known
    completed = (*superseded_ticks(trigger, seen), *_completed_ticks(trigger, known, seen))
    cause = _find_cause(context, trigger, known)
    if cause is None:
        is_told = trigger.monitor is not None or trigger.run is not None
        return TriggerResult(without_cause(known, seen.now) if is_told else known, completed_ticks=completed)
    run = children.run_name(context.pipeline, name, cause.key)
    before = next((each for each in seen.runs if each.name == run), None)
    if before is not None:  # the run was created, and the status was not written
        return TriggerResult(_fired(known, source, cause, run, before.created), completed_ticks=completed)
    admitted = revision_to_run(context, cause)
    if isinstance(admitted, Refusal):
        return _skip(known, cause, admitted, seen.now, completed)
    child = children.run(context.pipeline, run, admitted, trigger.parameters, cause.spec(name))
    message = f"Trigger '{name}' started TrainingRun '{run}': {cause.message[:256]}."
    event = Event("TriggerFired", message, action="Trigger")
    return TriggerResult(_fired(known, source, cause, run, seen.now), child, completed, event=event)


def _source(context: GuardContext, name: str) -> str:
    """What the trigger fires on."""
    watched = dict(watched_references(context.pipeline)).get(name)
    return f"{watched.api.kind}/{watched.name}" if watched is not None else "schedule"


def _known_status(context: GuardContext, name: str, source: str) -> TriggerStatus:
    """The status of a trigger so far. One that was changed to another source begins anew: causes and rows of that one say nothing of this."""
    known = next((each for each in context.pipeline.status.triggers if each.name == name), None)
    if known is None:
        return TriggerStatus(name=name, source=source)
    if known.source in (
        None,
        source,
    ):  # None: an earlier build wrote it, and the source is written when the trigger fires
        return known
    return TriggerStatus(name=name, source=source, fired=known.fired)


def _find_cause(context: GuardContext, trigger: Trigger, known: TriggerStatus) -> Cause | None:
    """The cause of a trigger that is due, unless it has been handled."""
    seen, name = context.seen, str(trigger.name)
    if trigger.monitor is not None:
        return find_finding(trigger, trigger.monitor, known, context.pipeline.status.triggers, seen)
    if trigger.run is not None:
        return find_success(trigger, trigger.run, known, seen)
    if trigger.schedule is not None:
        cause = find_tick(trigger.schedule, name, seen)
    else:
        watched = seen.watched.get(name)
        cause = find_change(trigger, known, watched) if watched is not None else None
    return cause if cause is not None and cause.key != known.answered else None


def _completed_ticks(trigger: Trigger, known: TriggerStatus, seen: Seen) -> tuple[str, ...]:
    """Ticks whose run has ended, or was deleted: Kubernetes may create the next one."""
    runs = {run.tick: run for run in seen.runs if run.tick is not None}
    waiting = [tick.name for tick in seen.ticks if tick.trigger == trigger.name]
    ended = [name for name in waiting if name in runs and runs[name].result is not None]
    return (*ended, *(name for name in waiting if name == known.answered and name not in runs))


def _fired(known: TriggerStatus, source: str, cause: Cause, run: str, at: datetime) -> TriggerStatus:
    facts = {name: cause.facts[name] for name in ("finding", "version") if name in cause.facts}
    fired = Fired(at=at, cause=cause.message[:256], run=run, **facts)
    rows = cause.rows if cause.rows is not None else known.rows
    changes = {"source": source, "answered": cause.key[:128], "fired": fired, "rows": rows}
    if cause.handled is not None:
        changes["handled"] = (*cause.handled, cause.key)[-MAX_HANDLED:]
        changes["since"] = cause.since
    return known.model_copy(update=changes)


def _skip(
    known: TriggerStatus, cause: Cause, refusal: Refusal, now: datetime, completed: tuple[str, ...]
) -> TriggerResult:
    """No run starts: a tick is over at once or at its deadline, another cause waits.

    The refusal is written once: the same cause and reason in the next pass change nothing.
    """
    text, message = cause.message[:256], refusal.message[:512]
    skipped, before = known, known.skipped
    if before is None or (before.cause, before.reason) != (text, refusal.reason):
        written = Skipped(at=now, cause=text, reason=refusal.reason, message=message)
        skipped = known.model_copy(update={"skipped": written})
    late = cause.deadline is not None and cause.deadline <= now
    if cause.tick is not None and (refusal.final or late):
        handled = skipped.model_copy(update={"answered": cause.key[:128]})
        return TriggerResult(handled, completed_ticks=(*completed, cause.tick))
    times = [time for time in (refusal.until, cause.deadline) if time is not None]
    return TriggerResult(skipped, completed_ticks=completed, until=min(times, default=None))


def _with_run(context: GuardContext, run: Child) -> GuardContext:
    seen = context.seen
    cause = run.manifest["spec"]["cause"]
    started = RunSeen(run.name, "", seen.now, owned=True, finding=cause.get("finding"), version=cause.get("version"))
    start = Start(run=run.name, at=seen.now)
    return replace(context, seen=replace(seen, runs=(*seen.runs, started)), starts=(*context.starts, start))
