"""Whether a cause may start a run now: one guard for all triggers, and a sentence for each no."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from flywheel.kinds.trainingpipeline.children import RESUME_ANNOTATION
from flywheel.kinds.trainingpipeline.observe import RunSeen, Seen
from flywheel.kinds.trainingpipeline.schema import TrainingPipeline
from flywheel.kinds.trainingpipeline.schema.status import Breaker, Start
from flywheel.kinds.trainingpipeline.triggers.causes import Cause

DAY = timedelta(days=1)
# Verdicts of a Model by which a challenger has failed.
REFUSED = frozenset(
    ("NotBetter", "NotComparable", "GateFailed", "NoObjective", "MetricMissing", "RolledBack", "Archived")
)


@dataclass(frozen=True)
class Held:
    """Not now. `until`: when it fires after all, if nothing else changes. A tick does not wait for `cooldown` or the day's limit."""

    reason: str
    message: str
    until: datetime | None = None
    waits: bool = True


def held(
    pipeline: TrainingPipeline,
    seen: Seen,
    cause: Cause,
    live: str | None,
    breaker: Breaker | None,
    starts: tuple[Start, ...],
) -> Held | None:
    """The first thing that stands in the way; None: it fires."""
    guard = pipeline.spec.guard
    if pipeline.spec.suspend:
        return Held("Suspended", "The pipeline is suspended; set spec.suspend to false.")
    if live is None:
        return Held("NoLiveRevision", "No revision is live yet; it fires when one has passed its test run.")
    if breaker is not None:
        words = f"{breaker.challengers} challengers in a row did not pass; start a run by hand, change the spec, or set annotation {RESUME_ANNOTATION}."
        return Held("BreakerOpen", words)
    if cause.too_little is not None:
        return Held("TooFewNewRows", f"{cause.too_little[0].upper()}{cause.too_little[1:]}.")
    active = [run.name for run in seen.runs if run.result is None and not run.test]
    if len(active) >= guard.concurrency:
        words = f"Run '{active[-1]}' is under way, and guard.concurrency is {guard.concurrency}; it fires when that has ended."
        return Held("RunUnderWay", words)
    return _cooling(pipeline, seen) or _spent(pipeline, seen, starts)


def _cooling(pipeline: TrainingPipeline, seen: Seen) -> Held | None:
    cooldown = pipeline.spec.guard.cooldown
    started = [run.created for run in seen.runs if not run.test]
    if cooldown is None or not started or max(started) + cooldown.timedelta <= seen.now:
        return None
    until = max(started) + cooldown.timedelta
    return Held(
        "Cooldown",
        f"The last run started less than {cooldown} ago; it may fire from {until:%Y-%m-%d %H:%M} UTC on.",
        until,
        waits=False,
    )


def _spent(pipeline: TrainingPipeline, seen: Seen, starts: tuple[Start, ...]) -> Held | None:
    most = pipeline.spec.guard.max_runs_per_day
    recent = sorted(start.at for start in starts if start.at > seen.now - DAY)
    if most is None or len(recent) < most:
        return None
    until = recent[-most] + DAY
    return Held(
        "DaySpent",
        f"{len(recent)} runs were started in the last 24 hours, and guard.maxRunsPerDay is {most}; it may fire from {until:%Y-%m-%d %H:%M} UTC on.",
        until,
        waits=False,
    )


def breaker(pipeline: TrainingPipeline, seen: Seen, since: datetime | None) -> Breaker | None:
    """Open after so many failed challengers in a row; runs that registered nothing say nothing."""
    limit = pipeline.spec.guard.stop_after_failed_challengers
    if limit is None:
        return None
    failed: list[RunSeen] = []
    for run in reversed(seen.runs):
        if run.test or run.verdict is None or run.result is None:
            continue
        if run.verdict not in REFUSED or (since is not None and run.created <= since):
            break
        failed.append(run)
    if len(failed) < limit:
        return None
    last = failed[0]
    words = f"Run '{last.name}': {last.verdict}: {last.verdict_message}"[:512]
    return Breaker(since=last.finished or last.created, challengers=len(failed), message=words)


def recent(starts: tuple[Start, ...], seen: Seen) -> tuple[Start, ...]:
    """Those of the last day, with runs of triggers that status does not know yet."""
    known = {start.run for start in starts}
    missed = (Start(run=run.name, at=run.created) for run in seen.runs if run.trigger and run.name not in known)
    every = sorted((*starts, *missed), key=lambda start: (start.at, start.run))
    return tuple(start for start in every if start.at > seen.now - DAY)[-100:]
