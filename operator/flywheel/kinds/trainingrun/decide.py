"""What a run needs next.

Ready and Succeeded mean: every step succeeded, or was skipped because its `when` did not hold. A run that has failed stays failed: its
cause has been handled, and another run is another attempt. A run waits for what is missing before it starts, such as a Dataset.
"""

from dataclasses import replace

from flywheel.core.requeue import PENDING_CHECK_INTERVAL, REQUEUE_NOW
from flywheel.core.resource.plan import Child, Decision, Event, ExistingChild, Plan
from flywheel.kinds.trainingrun import children, messages, reproduce
from flywheel.kinds.trainingrun.observe import Seen
from flywheel.kinds.trainingrun.progress import Pass, Progress, advance
from flywheel.kinds.trainingrun.result import result_decision, with_result
from flywheel.kinds.trainingrun.schema import TrainingRun, TrainingRunStatus
from flywheel.kinds.trainingrun.schema.status import Challenger
from flywheel.kinds.trainingrun.start.prerequisites import StartedRun, start_run

MAX_STATUS_BYTES = 100_000  # of all steps


def decide(run: TrainingRun, seen: Seen) -> Plan:
    """The plan for what is observed."""
    if run.status.result is not None:
        return run_is_over(run.status)
    started = start_run(run, seen)
    if isinstance(started, Plan):
        return started
    stopped = _stop_reason(run, seen, started)
    current = Pass(started.context, seen, stopped)
    progress = advance(current)
    reproduce.add_comparisons(current, progress)
    status = _status(started, progress)
    return run_ends(current, progress, status) if progress.is_over else run_goes_on(started, seen, progress, status)


def run_is_over(status: TrainingRunStatus) -> Plan:
    """The run has ended and does not change any more; Jobs of failed steps stay, so that users can read their logs."""
    return result_decision(status).plan(status, summary=messages.summary(status), children=children.failed_jobs(status))


def run_ends(current: Pass, progress: Progress, status: TrainingRunStatus) -> Plan:
    """The last step has ended: the result is recorded first, and what is left is deleted in the next pass."""
    run, seen = current.context.run, current.seen
    result, reason, message = messages.result(progress, current.stopped)
    reproduced = reproduce.reproduction(run, seen.original, progress)
    status = with_result(status, seen.now, result, reason, message).model_copy(update={"reproduced": reproduced})
    ended = children.existing_jobs(progress.ended)
    failed = children.failed_jobs(status, exclude=progress.ended)
    decision = replace(
        result_decision(status),
        events=() if result == "Succeeded" else (Event(reason, message, "Warning", "Run"),),
        requeue_after=REQUEUE_NOW,
    )
    return decision.plan(
        status, summary=messages.summary(status), children=(*ended, *failed, *children.experiments(status))
    )


def run_goes_on(started: StartedRun, seen: Seen, progress: Progress, status: TrainingRunStatus) -> Plan:
    """Steps run, or wait."""
    run = started.context.run
    reason, message = messages.progress(run, seen, progress)
    times = [*progress.requeue_after]
    if started.deadline is not None:
        times.append(started.deadline - seen.now)
    if progress.ended:
        times.append(REQUEUE_NOW)
    if progress.running:
        times.append(PENDING_CHECK_INTERVAL)
    decision = Decision(
        ready=False,
        reason=reason,
        message=message,
        progressing=not (run.spec.suspend and not progress.running),
        requeue_after=max(min(times), REQUEUE_NOW) if times else None,
    )
    existing = (
        *_existing_children(progress, status),
        *children.rank_service(run, progress.running, progress.starts),
    )
    return decision.plan(status, summary=messages.summary(status), children=(*progress.starts, *existing))


def _stop_reason(run: TrainingRun, seen: Seen, started: StartedRun) -> str | None:
    if run.spec.cancel:
        return "The run was cancelled by spec.cancel."
    if seen.tick_is_gone:
        return "The tick that started the run was removed (concurrencyPolicy: Replace, or by hand)."
    if started.deadline is not None and started.deadline <= seen.now:
        return f"The run was not over within its timeout of {started.timeout}."
    return None


def _existing_children(progress: Progress, status: TrainingRunStatus) -> tuple[Child | ExistingChild, ...]:
    """Objects of steps that run or have just ended, Jobs of failed steps, and Experiments."""
    starting = {child.name for child in progress.starts}
    running = {state.status.job for state in progress.running if state.status.job} | set(progress.ended)
    jobs = dict.fromkeys((*children.existing_jobs(sorted(running)), *children.failed_jobs(status)))
    return tuple(each for each in (*jobs, *children.experiments(status)) if each.name not in starting)


def _status(started: StartedRun, progress: Progress) -> TrainingRunStatus:
    registered = [
        state.status
        for state in progress.states.values()
        if state.step.register_ and state.status.state == "Succeeded" and state.status.facts.get("verdict")
    ]
    facts = registered[-1].facts if registered else None
    challenger = (
        Challenger(version=facts["version"], verdict=facts["verdict"], message=facts.get("message")) if facts else None
    )
    shorten(progress)
    return started.status.model_copy(update={"steps": progress.steps, "challenger": challenger})


def shorten(progress: Progress) -> None:
    """With many steps, drop from the status what only users read, since an object of the API server must stay small."""
    size = sum(len(step.model_dump_json(by_alias=True, exclude_none=True)) for step in progress.steps)
    if size <= MAX_STATUS_BYTES:
        return
    for states in (progress.states, progress.last):
        for name, state in states.items():
            if state.status.state == "Succeeded":
                metrics = dict(list(state.status.metrics.items())[:2])
                states[name] = state.with_status(cache_reason=None, image=None, metrics=metrics)
