"""The guard of all triggers: whether a cause may start a run now, and if not, why."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from flywheel.kinds.model.schema.status import REFUSING_VERDICTS
from flywheel.kinds.trainingpipeline.children import RESUME_ANNOTATION
from flywheel.kinds.trainingpipeline.observe import RunSeen, Seen
from flywheel.kinds.trainingpipeline.schema import TrainingPipeline
from flywheel.kinds.trainingpipeline.schema.status import MAX_STARTS, Breaker, Start
from flywheel.kinds.trainingpipeline.triggers.causes import Cause

DAY = timedelta(days=1)


@dataclass(frozen=True)
class Refusal:
    """Why no run starts. `until`: when it may, if nothing else changes. A tick does not wait where `final`."""

    reason: str
    message: str
    until: datetime | None = None
    final: bool = False


@dataclass(frozen=True)
class GuardContext:
    """What the guard knows: the live revision, the breaker if it is open, and the starts of the last day."""

    pipeline: TrainingPipeline
    seen: Seen
    live: str | None
    breaker: Breaker | None
    starts: tuple[Start, ...]


def revision_to_run(context: GuardContext, cause: Cause) -> str | Refusal:
    """The revision of the run that may start; or the first reason against it."""
    guard = context.pipeline.spec.guard
    if context.pipeline.spec.suspend:
        return Refusal("Suspended", "The pipeline is suspended; set spec.suspend to false.", final=True)
    if context.live is None:
        message = "No revision is live yet; the trigger fires when one has passed its test run."
        return Refusal("NoLiveRevision", message, final=True)
    if context.breaker is not None:
        message = f"{context.breaker.challengers} challengers in a row did not pass; start a run by hand, change the spec, or set annotation {RESUME_ANNOTATION}."
        return Refusal("BreakerOpen", message, final=True)
    if cause.obstacle is not None:
        return Refusal(cause.obstacle.reason, cause.obstacle.message)
    active = [run.name for run in context.seen.runs if run.result is None and not run.test]
    if len(active) >= guard.concurrency:
        message = f"Run '{active[-1]}' is under way, and guard.concurrency is {guard.concurrency}; the trigger fires when it has ended."
        return Refusal("RunUnderWay", message)
    return _cooldown(context) or _daily_limit(context) or context.live


def _cooldown(context: GuardContext) -> Refusal | None:
    cooldown = context.pipeline.spec.guard.cooldown
    started = [run.created for run in context.seen.runs if not run.test]
    if cooldown is None or not started or max(started) + cooldown.timedelta <= context.seen.now:
        return None
    until = max(started) + cooldown.timedelta
    message = f"The last run started less than {cooldown} ago; the trigger may fire from {until:%Y-%m-%d %H:%M} UTC on."
    return Refusal("Cooldown", message, until, final=True)


def _daily_limit(context: GuardContext) -> Refusal | None:
    limit = context.pipeline.spec.guard.max_runs_per_day
    recent = sorted(start.at for start in context.starts if start.at > context.seen.now - DAY)
    if limit is None or len(recent) < limit:
        return None
    until = recent[-limit] + DAY
    message = f"{len(recent)} runs were started in the last 24 hours, and guard.maxRunsPerDay is {limit}; the trigger may fire from {until:%Y-%m-%d %H:%M} UTC on."
    return Refusal("DaySpent", message, until, final=True)


def open_breaker(pipeline: TrainingPipeline, seen: Seen, since: datetime | None) -> Breaker | None:
    """The breaker, if it is open: so many failed challengers in a row since that time; runs that registered nothing do not count."""
    limit = pipeline.spec.guard.stop_after_failed_challengers
    if limit is None:
        return None
    failed: list[RunSeen] = []
    for run in reversed(seen.runs):
        if run.test or run.verdict is None or run.result is None:
            continue
        if run.verdict not in REFUSING_VERDICTS or (since is not None and run.created <= since):
            break
        failed.append(run)
    if len(failed) < limit:
        return None
    last = failed[0]
    message = f"Run '{last.name}': {last.verdict}: {last.verdict_message}"[:512]
    return Breaker(since=last.finished or last.created, challengers=len(failed), message=message)


def recent_starts(starts: tuple[Start, ...], seen: Seen) -> tuple[Start, ...]:
    """The starts of the last day, with runs of triggers that the status does not know yet."""
    known = {start.run for start in starts}
    missed = (Start(run=run.name, at=run.created) for run in seen.runs if run.trigger and run.name not in known)
    every = sorted((*starts, *missed), key=lambda start: (start.at, start.run))
    return tuple(start for start in every if start.at > seen.now - DAY)[-MAX_STARTS:]
