"""What a run needs next.

Ready and Succeeded say: every step ended well, or was skipped because its `when` did not hold. A run that has failed stays failed: its
cause is answered, and another run is another attempt. What is missing before it starts (a Dataset, a pipeline) is waited for.
"""

from flywheel.core.pods.indexed_job import service_name
from flywheel.core.requeue import PENDING_CHECK_INTERVAL, REQUEUE_NOW
from flywheel.core.resource.api import EXPERIMENT, JOB, SERVICE
from flywheel.core.resource.plan import Child, Event, ExistingChild, Plan
from flywheel.kinds.trainingrun import messages, reproduce
from flywheel.kinds.trainingrun.observe import Seen
from flywheel.kinds.trainingrun.progress import Progress, Run, advance
from flywheel.kinds.trainingrun.schema import TrainingRun, TrainingRunStatus
from flywheel.kinds.trainingrun.schema.status import Challenger
from flywheel.kinds.trainingrun.start.prerequisites import Begun, begin
from flywheel.kinds.trainingrun.steps.sampling import sampled

JOBS_TO_READ = 3  # failed steps whose Jobs stay for their logs
MOST_BYTES = 100_000  # of status


def decide(run: TrainingRun, seen: Seen) -> Plan:
    """The plan for what is seen."""
    if run.status.result is not None:
        return it_is_over(run)
    begun = begin(run, seen)
    if isinstance(begun, Plan):
        return begun
    template = sampled(begun.template) if run.spec.test else begun.template
    going = Run(run, seen, template, begun.values, begun.inputs, _stopped(run, seen, begun))
    progress = reproduce.compared(going, advance(going))
    return it_ends(run, seen, begun, progress) or it_goes_on(run, seen, begun, progress)


def it_is_over(run: TrainingRun) -> Plan:
    """Nothing changes any more. Jobs of failed steps stay, so that their logs can be read."""
    status = run.status
    good = status.result == "Succeeded"
    return Plan(
        ready=good,
        succeeded=good,
        stalled=not good,
        reason=status.reason or str(status.result),
        message=status.message or "",
        status=status,
        summary=messages.summary(status),
        children=_left(status),
    )


def it_ends(run: TrainingRun, seen: Seen, begun: Begun, progress: Progress) -> Plan | None:
    """The last step has ended. The record comes first; what is left over goes at the next look."""
    if not progress.is_over:
        return None
    result, reason, message = messages.ending(run, progress, _stopped(run, seen, begun))
    status = _status(run, begun, progress).model_copy(
        update={
            "result": result,
            "reason": reason,
            "message": message[:1024],
            "completion_time": seen.now.replace(microsecond=0),
            "reproduced": reproduce.verdict(run, seen, progress),
        }
    )
    good = result == "Succeeded"
    kept = tuple(ExistingChild(JOB, name) for name in progress.ended)
    return Plan(
        ready=good,
        succeeded=good,
        stalled=not good,
        reason=reason,
        message=message,
        status=status,
        summary=messages.summary(status),
        children=(*kept, *_left(status, but=frozenset(progress.ended)), *_experiments(status)),
        events=() if good else (Event(reason, message, "Warning", "Run"),),
        requeue_after=REQUEUE_NOW,
    )


def it_goes_on(run: TrainingRun, seen: Seen, begun: Begun, progress: Progress) -> Plan:
    """Steps run, or wait for their time."""
    reason, message = messages.going_on(run, seen, progress)
    status = _status(run, begun, progress)
    times = [*progress.requeue_after]
    if begun.deadline is not None:
        times.append(begun.deadline - seen.now)
    if progress.ended:
        times.append(REQUEUE_NOW)
    if progress.running:
        times.append(PENDING_CHECK_INTERVAL)
    stopped = run.spec.suspend and not progress.running
    return Plan(
        ready=False,
        succeeded=None,
        reason=reason,
        message=message,
        status=status,
        summary=messages.summary(status),
        children=(*_children(progress, status), *_of_ranks(run, progress)),
        progressing=not stopped,
        requeue_after=max(min(times), REQUEUE_NOW) if times else None,
    )


def _stopped(run: TrainingRun, seen: Seen, begun: Begun) -> str | None:
    if run.spec.cancel:
        return "The run was cancelled by spec.cancel."
    if seen.tick_is_gone:
        return "The tick that it answers was removed (concurrencyPolicy: Replace, or by hand)."
    if begun.deadline is not None and begun.deadline <= seen.now:
        return f"The run was not over within its timeout of {begun.timeout}."
    return None


def _children(progress: Progress, status: TrainingRunStatus) -> tuple[Child | ExistingChild, ...]:
    """What starts, what runs, what ended just now and is deleted once status knows, Experiments, and Jobs to read."""
    starting = {child.name for child in progress.starts}
    running = {row.status.job for row in progress.running if row.status.job} - starting
    names = running | set(progress.ended) - starting
    jobs = tuple(ExistingChild(JOB, name) for name in sorted(names))
    left = tuple(each for each in _left(status) if each.name not in names | starting)
    return (*progress.starts, *jobs, *left, *(each for each in _experiments(status) if each.name not in starting))


def _of_ranks(run: TrainingRun, progress: Progress) -> tuple[ExistingChild, ...]:
    """What ranks find one another by stays while there are any; a step that starts now brings it."""
    groups = [row for row in progress.running if row.step.container and row.step.container.distributed]
    starts = any(child.api == SERVICE for child in progress.starts)
    return (ExistingChild(SERVICE, service_name(run)),) if groups and not starts else ()


def _left(status: TrainingRunStatus, but: frozenset[str] = frozenset()) -> tuple[ExistingChild, ...]:
    failed = [step.job for step in status.steps if step.state == "Failed" and step.job and step.job not in but]
    return tuple(ExistingChild(JOB, name) for name in failed[-JOBS_TO_READ:])


def _experiments(status: TrainingRunStatus) -> tuple[ExistingChild, ...]:
    """They stay while the run is there: their trials are what people look for when a model surprises them."""
    found = {
        step.job
        for step in status.steps
        if step.job and step.state != "Cancelled" and step.facts.get("experiment") == step.job
    }
    running = {step.job for step in status.steps if step.job and step.state in ("Running", "Failed")}
    return tuple(ExistingChild(EXPERIMENT, name) for name in sorted(found | running))


def _status(run: TrainingRun, begun: Begun, progress: Progress) -> TrainingRunStatus:
    registered = [
        row.status for row in progress.rows.values() if row.step.register_ and row.status.state == "Succeeded"
    ]
    told = registered[-1] if registered else None
    challenger = (
        Challenger(version=told.facts["version"], verdict=told.facts["verdict"], message=told.facts.get("message"))
        if told and told.facts.get("verdict")
        else None
    )
    return begun.status.model_copy(update={"steps": fitting(progress).steps, "challenger": challenger})


def fitting(progress: Progress) -> Progress:
    """With many steps, what is only for people makes room: an object of the API server must stay small."""
    size = sum(len(step.model_dump_json(by_alias=True, exclude_none=True)) for step in progress.steps)
    if size <= MOST_BYTES:
        return progress
    for rows in (progress.rows, progress.last):
        for name, row in rows.items():
            if row.status.state == "Succeeded":
                rows[name] = row.having(
                    cache_reason=None, image=None, metrics=dict(list(row.status.metrics.items())[:2])
                )
    return progress
