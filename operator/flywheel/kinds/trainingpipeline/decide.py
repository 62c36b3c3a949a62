"""What a pipeline needs next.

Ready says: a revision is live, so runs can start. Triggers are answered in the order of the spec; each answer is remembered in status, and
the run is named by its cause, so that neither a lost status nor a second operator starts a second run.
"""

from dataclasses import dataclass
from datetime import datetime

from flywheel.core.requeue import REQUEUE_NOW
from flywheel.core.resource.api import CONTROLLER_REVISION, JOB, TRAINING_RUN, Reference
from flywheel.core.resource.plan import Child, Event, ExistingChild, Plan, Removal
from flywheel.kinds.trainingpipeline import children, messages
from flywheel.kinds.trainingpipeline.children import RESUME_ANNOTATION
from flywheel.kinds.trainingpipeline.observe import RunSeen, Seen
from flywheel.kinds.trainingpipeline.revisions import Revisions, advance
from flywheel.kinds.trainingpipeline.schema import TrainingPipeline, TrainingPipelineStatus
from flywheel.kinds.trainingpipeline.schema.revision import revision_name
from flywheel.kinds.trainingpipeline.schema.status import Breaker, Start
from flywheel.kinds.trainingpipeline.schema.triggers import Fired, Skipped, Trigger, TriggerStatus
from flywheel.kinds.trainingpipeline.schema.validation import faults
from flywheel.kinds.trainingpipeline.triggers.causes import Cause, cause, overtaken
from flywheel.kinds.trainingpipeline.triggers.guard import Held, breaker, held, recent


@dataclass(frozen=True)
class Answer:
    """What one trigger does at this look."""

    status: TriggerStatus
    run: Child | None = None
    finish: tuple[str, ...] = ()
    until: datetime | None = None


@dataclass(frozen=True)
class Let:
    """When triggers were last let go on although challengers had failed."""

    value: str | None
    at: datetime | None


def decide(pipeline: TrainingPipeline, seen: Seen) -> Plan:
    """The plan for what is seen."""
    wrong = faults(pipeline.spec)
    if wrong:
        return _cannot_work(pipeline, seen, wrong[0])
    revisions = advance(pipeline, seen)
    let = _let_go_on(pipeline, seen)
    stopped = breaker(pipeline, seen, let.at)
    starts = recent(pipeline.status.starts, seen)
    answers: list[Answer] = []
    for trigger in pipeline.spec.triggers:
        answer = _answer(pipeline, seen, trigger, revisions.live, stopped, starts)
        answers.append(answer)
        if answer.run is not None:
            seen, starts = (
                _with(seen, answer.run),
                (*starts, Start(run=answer.run.name, at=seen.now.replace(microsecond=0))),
            )
    return _plan(pipeline, seen, revisions, let, stopped, starts, answers)


def _cannot_work(pipeline: TrainingPipeline, seen: Seen, finding: str) -> Plan:
    """The live revision stays, and what runs goes on; no trigger fires."""
    kept = (
        *_kept_runs(pipeline, seen)[0],
        *(ExistingChild(CONTROLLER_REVISION, name) for name in _wanted(pipeline, seen)),
    )
    return Plan(
        ready=False,
        stalled=True,
        reason="StepsInvalid",
        message=f"{finding} Correct spec.steps.",
        status=pipeline.status,
        summary="steps cannot work",
        children=(*kept, *children.tickers(pipeline)),
    )


def _answer(
    pipeline: TrainingPipeline,
    seen: Seen,
    trigger: Trigger,
    live: str | None,
    stopped: Breaker | None,
    starts: tuple[Start, ...],
) -> Answer:
    name = str(trigger.name)
    known = next((each for each in pipeline.status.triggers if each.name == name), TriggerStatus(name=name))
    finish = (*overtaken(trigger, seen), *_answered_ticks(trigger, known, seen))
    found = cause(trigger, known, seen)
    if found is None:
        return Answer(known, finish=finish)
    run = children.run_name(pipeline, name, found.key)
    before = next((each for each in seen.runs if each.name == run), None)
    if before is not None:  # status had not been written
        return Answer(_fired(known, found, run, before.created), finish=finish)
    no = held(pipeline, seen, found, live, stopped, starts)
    if no is None:
        assert live is not None, "the guard says so"
        child = children.run(pipeline, run, live, trigger.parameters, found.told(name))
        return Answer(_fired(known, found, run, seen.now), child, finish)
    late = found.until is not None and found.until <= seen.now
    if found.tick is not None and (not no.waits or late or no.reason in ("Suspended", "BreakerOpen", "NoLiveRevision")):
        skipped = _skipped(known, found, no, seen.now).model_copy(update={"answered": found.key[:128]})
        return Answer(skipped, finish=(*finish, found.tick))
    times = [time for time in (no.until, found.until) if time is not None]
    return Answer(_skipped(known, found, no, seen.now), finish=finish, until=min(times) if times else None)


def _answered_ticks(trigger: Trigger, known: TriggerStatus, seen: Seen) -> tuple[str, ...]:
    """Their run has ended, or somebody has deleted it: now Kubernetes may make the next one."""
    runs = {run.tick: run for run in seen.runs if run.tick is not None}
    waiting = [tick.name for tick in seen.ticks if tick.trigger == trigger.name]
    ended = [name for name in waiting if name in runs and runs[name].result is not None]
    return (*ended, *(name for name in waiting if name == known.answered and name not in runs))


def _fired(known: TriggerStatus, found: Cause, run: str, at: datetime) -> TriggerStatus:
    fired = Fired(at=at.replace(microsecond=0), cause=found.message[:256], run=run)
    rows = found.rows if found.rows is not None else known.rows
    return known.model_copy(update={"answered": found.key[:128], "fired": fired, "rows": rows})


def _skipped(known: TriggerStatus, found: Cause, no: Held, now: datetime) -> TriggerStatus:
    """Written once for each reason: the same finding at the next look is no news."""
    before = known.skipped
    if before is not None and (before.cause, before.reason) == (found.message[:256], no.reason):
        return known
    at = now.replace(microsecond=0)
    said = Skipped(at=at, cause=found.message[:256], reason=no.reason, message=no.message[:512])
    return known.model_copy(update={"skipped": said})


def _with(seen: Seen, run: Child) -> Seen:
    """As if the run were there already: the next trigger must see it."""
    made = RunSeen(run.name, "", seen.now, owned=True)
    return Seen(seen.now, (*seen.runs, made), seen.ticks, seen.looked_at)


def _let_go_on(pipeline: TrainingPipeline, seen: Seen) -> Let:
    status, asked = pipeline.status, pipeline.annotations.get(RESUME_ANNOTATION)
    changed = status.breaker is not None and status.observed_generation not in (None, pipeline.generation)
    if changed or (asked is not None and asked[:128] != status.resumed):
        return Let(asked[:128] if asked else status.resumed, seen.now.replace(microsecond=0))
    return Let(status.resumed, status.resumed_at)


def _wanted(pipeline: TrainingPipeline, seen: Seen) -> list[str]:
    """Names of ControllerRevisions that stay: those in status, and those that runs still need."""
    needed = {run.revision for run in seen.runs if run.revision and (run.result is None or not run.test)}
    known = {each.name for each in pipeline.status.revisions}
    return sorted(revision_name(pipeline.name, each) for each in needed | known)


def _kept_runs(pipeline: TrainingPipeline, seen: Seen) -> tuple[tuple[ExistingChild, ...], tuple[Removal, ...]]:
    """Runs that stay, and those made by hand that are beyond the retention."""
    retention = pipeline.spec.retention
    over = [run for run in reversed(seen.runs) if run.result is not None and not run.test]
    good = [run for run in over if run.result == "Succeeded"][: retention.succeeded]
    bad = [run for run in over if run.result != "Succeeded"][: retention.failed]
    tests = {each.run for each in pipeline.status.revisions}
    stay = {run.name for run in (*good, *bad)} | {
        run.name for run in seen.runs if run.result is None or run.name in tests
    }
    kept = tuple(
        ExistingChild(TRAINING_RUN, run.name) for run in seen.runs if run.owned and run.uid and run.name in stay
    )
    gone = tuple(Removal(TRAINING_RUN, run.name, run.uid) for run in over if not run.owned and run.name not in stay)
    return kept, gone


def _plan(
    pipeline: TrainingPipeline,
    seen: Seen,
    revisions: Revisions,
    let: Let,
    stopped: Breaker | None,
    starts: tuple[Start, ...],
    answers: list[Answer],
) -> Plan:
    kept, gone = _kept_runs(pipeline, seen)
    present = children.revision(pipeline)
    made = [answer.run for answer in answers if answer.run is not None]
    if revisions.testing and not pipeline.spec.suspend:
        made.append(children.test_run(pipeline, revisions.present.name))
    names = {child.name for child in made}
    old = tuple(ExistingChild(CONTROLLER_REVISION, name) for name in _wanted(pipeline, seen) if name != present.name)
    ready, reason, message = messages.state(pipeline, seen, revisions, stopped)
    times = [max(answer.until - seen.now, REQUEUE_NOW) for answer in answers if answer.until is not None]
    news = tuple(_event(answer) for answer in answers if answer.run is not None)
    ticks = dict.fromkeys(tick for answer in answers for tick in answer.finish)
    return Plan(
        ready=ready,
        reason=reason,
        message=message,
        status=_status(pipeline, seen, revisions, let, stopped, starts, answers),
        summary=messages.summary(seen, revisions, made),
        children=(
            present,
            *children.tickers(pipeline),
            *made,
            *(each for each in kept if each.name not in names),
            *old,
        ),
        removals=gone,
        completed_ticks=tuple(Reference(JOB, pipeline.namespace, tick) for tick in ticks),
        progressing=None if revisions.testing or not ready else False,
        events=news,
        requeue_after=min(times) if times else None,
    )


def _event(answer: Answer) -> Event:
    fired = answer.status.fired
    assert fired is not None, "it has a run"
    return Event(
        "TriggerFired",
        f"Trigger '{answer.status.name}' started TrainingRun '{fired.run}': {fired.cause}.",
        action="Trigger",
    )


def _status(
    pipeline: TrainingPipeline,
    seen: Seen,
    revisions: Revisions,
    let: Let,
    stopped: Breaker | None,
    starts: tuple[Start, ...],
    answers: list[Answer],
) -> TrainingPipelineStatus:
    real = [run for run in seen.runs if not run.test]
    good = [run.finished for run in real if run.result == "Succeeded" and run.finished]
    return TrainingPipelineStatus(
        revision=revisions.live,
        revisions=revisions.every,
        triggers=tuple(answer.status for answer in answers),
        starts=starts,
        last_run=real[-1].name if real else pipeline.status.last_run,
        last_success=max(good) if good else pipeline.status.last_success,
        breaker=stopped,
        resumed=let.value,
        resumed_at=let.at,
    )
