"""What a pipeline needs next.

Ready means: a revision is live, so runs can start.
"""

from dataclasses import replace

from flywheel.core.requeue import REQUEUE_NOW
from flywheel.core.resource.api import CONTROLLER_REVISION, TRAINING_RUN
from flywheel.core.resource.plan import Decision, ExistingChild, Plan, Removal
from flywheel.kinds.trainingpipeline import children, messages
from flywheel.kinds.trainingpipeline.children import RESUME_ANNOTATION
from flywheel.kinds.trainingpipeline.observe import Seen
from flywheel.kinds.trainingpipeline.revisions import Revisions, advance_revisions
from flywheel.kinds.trainingpipeline.schema import TrainingPipeline, TrainingPipelineStatus
from flywheel.kinds.trainingpipeline.schema.revision import revision_name
from flywheel.kinds.trainingpipeline.schema.status import Breaker
from flywheel.kinds.trainingpipeline.schema.validation import template_problems
from flywheel.kinds.trainingpipeline.triggers.firing import TriggerResult, evaluate_triggers
from flywheel.kinds.trainingpipeline.triggers.guard import GuardContext, open_breaker, recent_starts


def decide(pipeline: TrainingPipeline, seen: Seen) -> Plan:
    """The plan for what is observed."""
    problems = template_problems(pipeline.spec)
    if problems:
        return steps_are_invalid(pipeline, seen, problems[0])
    revisions, status = advance_revisions(pipeline, seen), _resumed(pipeline, seen)
    breaker = open_breaker(pipeline, seen, status.resumed_at)
    starts = recent_starts(pipeline.status.starts, seen)
    context, results = evaluate_triggers(GuardContext(pipeline, seen, revisions.live, breaker, starts))
    decision = (
        pinned_revision_is_missing(pipeline, revisions)
        or no_revision_is_live(revisions)
        or pipeline_is_suspended(pipeline)
        or breaker_is_open(breaker)
        or current_revision_is_not_live(pipeline, revisions)
        or revision_is_live(pipeline, context.seen)
    )
    return _plan(context, revisions, status, results, decision)


def steps_are_invalid(pipeline: TrainingPipeline, seen: Seen, problem: str) -> Plan:
    """No trigger fires; the live revision stays, and runs go on."""
    retained = (*_retention(pipeline, seen)[0], *_retained_revisions(pipeline, seen))
    decision = Decision(ready=False, stalled=True, reason="StepsInvalid", message=f"{problem} Correct spec.steps.")
    return decision.plan(
        pipeline.status, summary="steps are invalid", children=(*retained, *children.cron_jobs(pipeline))
    )


def pinned_revision_is_missing(pipeline: TrainingPipeline, revisions: Revisions) -> Decision | None:
    """The spec names a revision that does not exist."""
    if not revisions.pin_is_missing:
        return None
    message = messages.revision_not_found(pipeline, revisions)
    return Decision(ready=False, reason="RevisionNotFound", message=message)


def no_revision_is_live(revisions: Revisions) -> Decision | None:
    """The first revision is tested, or has failed."""
    if revisions.live is not None:
        return None
    reason, step = "Testing", "; triggers fire when it has passed."
    if revisions.current.state == "Failed":
        reason, step = "TestFailed", " Change the spec; no trigger fires before a revision has passed."
    message = f"Revision {revisions.current.name} {messages.test_run(revisions)}{step}"
    return Decision(ready=False, reason=reason, message=message)


def pipeline_is_suspended(pipeline: TrainingPipeline) -> Decision | None:
    """A user suspended the triggers."""
    if not pipeline.spec.suspend:
        return None
    message = "The pipeline is suspended: no trigger fires until spec.suspend is false."
    return Decision(ready=True, reason="Suspended", message=message)


def breaker_is_open(breaker: Breaker | None) -> Decision | None:
    """Several challengers in a row failed."""
    if breaker is None:
        return None
    return Decision(ready=True, reason="BreakerOpen", message=messages.breaker_open(breaker))


def current_revision_is_not_live(pipeline: TrainingPipeline, revisions: Revisions) -> Decision | None:
    """The current spec is tested or has failed, and an earlier revision stays live."""
    current = revisions.current
    if current.name == revisions.live or pipeline.spec.revision is not None or current.state == "Passed":
        return None
    message = f"The current spec, revision {current.name}, {messages.test_run(revisions)}".rstrip(".")
    return Decision(ready=True, reason="TestFailed" if current.state == "Failed" else "Testing", message=f"{message}.")


def revision_is_live(pipeline: TrainingPipeline, seen: Seen) -> Decision:
    """Triggers and users may start runs."""
    pinned = "It is pinned by spec.revision. " if pipeline.spec.revision else ""
    return Decision(ready=True, reason="Live", message=f"{pinned}{messages.last_run(seen)}")


def _resumed(pipeline: TrainingPipeline, seen: Seen) -> TrainingPipelineStatus:
    """The status with the time from which failed challengers count, after a user has resumed the triggers."""
    status, value = pipeline.status, pipeline.annotations.get(RESUME_ANNOTATION)
    changed = status.breaker is not None and status.observed_generation not in (None, pipeline.generation)
    if not changed and (value is None or value[:128] == status.resumed):
        return status
    resumed = value[:128] if value else status.resumed
    return status.model_copy(update={"resumed": resumed, "resumed_at": seen.now})


def _retained_revisions(pipeline: TrainingPipeline, seen: Seen) -> tuple[ExistingChild, ...]:
    """ControllerRevisions that stay: those in the status, and those that runs still need."""
    needed = {run.revision for run in seen.runs if run.revision and (run.result is None or not run.test)}
    known = {each.name for each in pipeline.status.revisions}
    names = sorted(revision_name(pipeline.name, each) for each in needed | known)
    return tuple(ExistingChild(CONTROLLER_REVISION, name) for name in names)


def _retention(pipeline: TrainingPipeline, seen: Seen) -> tuple[tuple[ExistingChild, ...], tuple[Removal, ...]]:
    """Runs that stay: those under way, test runs of known revisions, and the newest that ended; and runs of users beyond those."""
    limits, ended = pipeline.spec.retention, [run for run in reversed(seen.runs) if run.result and not run.test]
    succeeded = [run.name for run in ended if run.result == "Succeeded"][: limits.succeeded]
    failed = [run.name for run in ended if run.result != "Succeeded"][: limits.failed]
    tests = {each.run for each in pipeline.status.revisions}
    stay = {*succeeded, *failed, *(run.name for run in seen.runs if run.result is None or run.name in tests)}
    expired = (run for run in ended if not run.owned and run.name not in stay)
    return (
        tuple(ExistingChild(TRAINING_RUN, run.name) for run in seen.runs if run.owned and run.uid and run.name in stay),
        tuple(Removal(TRAINING_RUN, run.name, run.uid) for run in expired),
    )


def _plan(
    context: GuardContext,
    revisions: Revisions,
    status: TrainingPipelineStatus,
    results: tuple[TriggerResult, ...],
    decision: Decision,
) -> Plan:
    pipeline, seen = context.pipeline, context.seen
    current, started = children.revision(pipeline), [result.run for result in results if result.run is not None]
    is_testing = revisions.current.state == "Testing"
    if is_testing and not pipeline.spec.suspend:
        started.append(children.test_run(pipeline, revisions.current.name))
    names = {current.name, *(child.name for child in started)}
    runs, expired = _retention(pipeline, seen)
    retained = (*runs, *_retained_revisions(pipeline, seen))
    times = [max(result.until - seen.now, REQUEUE_NOW) for result in results if result.until is not None]
    complete = replace(
        decision,
        message=f"Revision {revisions.live} is live. {decision.message}" if decision.ready else decision.message,
        removals=expired,
        progressing=None if is_testing or not decision.ready else False,
        events=tuple(result.event for result in results if result.event is not None),
        requeue_after=min(times, default=None),
    )
    return complete.plan(
        _status(context, revisions, status, results),
        summary=messages.summary(seen, revisions),
        children=(
            current,
            *children.cron_jobs(pipeline),
            *started,
            *(each for each in retained if each.name not in names),
        ),
        completed_ticks=tuple(dict.fromkeys(tick for result in results for tick in result.completed_ticks)),
    )


def _status(
    context: GuardContext, revisions: Revisions, status: TrainingPipelineStatus, results: tuple[TriggerResult, ...]
) -> TrainingPipelineStatus:
    runs = [run for run in context.seen.runs if not run.test]
    successes = [run.finished for run in runs if run.result == "Succeeded" and run.finished]
    return TrainingPipelineStatus(
        revision=revisions.live,
        revisions=revisions.every,
        triggers=tuple(result.status for result in results),
        starts=context.starts,
        last_run=runs[-1].name if runs else status.last_run,
        last_success=max(successes, default=status.last_success),
        breaker=context.breaker,
        resumed=status.resumed,
        resumed_at=status.resumed_at,
    )
