"""What an Experiment needs next.

Ready and Succeeded say: the search is over, it found a model, and what `register` asked for is registered. Raising the budget makes it go on.
Something missing (the Dataset, a Secret, room on a node) is waited for. Only what needs another spec is Stalled; and while nothing has
come of a stalled search, `startTime` is forgotten, so that the schema lets the whole spec be corrected in place.
"""

from datetime import timedelta

from flywheel.core.requeue import PENDING_CHECK_INTERVAL, REQUEUE_NOW
from flywheel.core.resource.api import JOB, MODEL, MODEL_VERSION, Reference
from flywheel.core.resource.plan import Child, ExistingChild, Plan
from flywheel.kinds.experiment import children, messages
from flywheel.kinds.experiment.children import Experiment
from flywheel.kinds.experiment.observe import Seen
from flywheel.kinds.experiment.progress import Progress, advance
from flywheel.kinds.experiment.retention import bar
from flywheel.kinds.experiment.schema.immutable import fingerprint
from flywheel.kinds.experiment.schema.status import MOST_SHOWN, Data, ExperimentStatus, Importance
from flywheel.kinds.experiment.search.defaults import settle
from flywheel.kinds.experiment.search.sampler import importance

JOBS_TO_READ = 3  # failed trials whose Jobs stay for their logs


def decide(experiment: Experiment, seen: Seen) -> Plan:
    """The plan for what is seen."""
    data = data_of(experiment, seen)
    if isinstance(data, Plan):
        return data
    missing = [each.experiment for each in experiment.spec.warm_start_from if each.experiment not in seen.earlier]
    if missing and experiment.status.start_time is None:
        return _waits(experiment, "WarmStartNotFound", messages.no_lesson(experiment, missing[0]))
    setup = settle(experiment.spec, data)
    if setup is None:
        return _waits(experiment, "TargetMissing", messages.no_target(experiment))
    progress = advance(experiment, seen, data, setup)
    return (
        search_stalled(experiment, progress)
        or search_goes_on(experiment, seen, progress)
        or model_is_registered(experiment, seen, progress)
        or search_is_over(experiment, progress)
    )


def data_of(experiment: Experiment, seen: Seen) -> Data | Plan:
    """The data of the search: chosen when it starts, and kept. Or the plan to wait for it."""
    spec, status, dataset = experiment.spec, experiment.status, seen.dataset
    if status.data is not None and status.fingerprint == fingerprint(spec):
        return status.data
    if spec.artifact is not None:
        return Data(**spec.artifact.model_dump())
    if dataset is None:
        return _waits(experiment, "DatasetNotFound", messages.no_dataset(experiment))
    if spec.dataset_version is not None:
        pinned = next((version for version in dataset.versions if version.version == spec.dataset_version), None)
        return pinned or _waits(experiment, "DatasetVersionNotFound", messages.no_version(experiment, dataset))
    if not dataset.ready:
        return _waits(experiment, "DatasetNotReady", messages.dataset_not_ready(experiment, dataset))
    return dataset.versions[0]


def search_stalled(experiment: Experiment, progress: Progress) -> Plan | None:
    """A trial can never work, too many failed, or there is none that could be the best."""
    if progress.ending == "Refused":
        reason, message = messages.refused(progress)
    elif progress.ending == "TrialsFailed":
        reason, message = "TrialsFailed", messages.trials_failed(experiment, progress)
    elif progress.ending == "Infeasible":
        reason, message = "Infeasible", messages.infeasible(experiment, progress)
    elif progress.ending == "AllPruned":
        reason, message = "AllPruned", messages.all_pruned(progress)
    elif progress.ending == "TimeSpent" and progress.memory.best is None:
        reason, message = "TimeSpent", messages.no_time(experiment, progress)
    else:
        return None
    # After its time is up a search without a start would start again.
    may_be_corrected = progress.memory.best is None and progress.ending != "TimeSpent"
    status = _status(experiment, progress, over=True).model_copy(
        update={"refused_at": experiment.generation if progress.ending == "Refused" else None}
        | ({"start_time": None} if may_be_corrected else {})
    )
    return _plan(
        experiment, progress, status, ready=False, reason=reason, message=message, stalled=True, succeeded=False
    )


def search_goes_on(experiment: Experiment, seen: Seen, progress: Progress) -> Plan | None:
    """Trials run, or wait to be tried again, or may not start."""
    if progress.ending is not None:
        return None
    keep = bar(progress.memory.records.values(), experiment.spec.keep_artifacts, progress.setup)
    jobs = [
        children.trial_job(
            experiment,
            progress.setup,
            progress.data,
            start.point,
            start.trial,
            start.attempt,
            seen.settings,
            start.repeat,
            keep,
        )
        for start in progress.starts
    ]
    reason, message = messages.going_on(experiment, progress)
    quiet = experiment.spec.suspend and not progress.memory.numbers("Running")
    return _plan(
        experiment,
        progress,
        _status(experiment, progress, over=False),
        ready=False,
        reason=reason,
        message=message,
        jobs=tuple(jobs),
        progressing=not quiet,
        requeue_after=_look_again(experiment, seen, progress),
    )


def model_is_registered(experiment: Experiment, seen: Seen, progress: Progress) -> Plan | None:
    """Model and ModelVersion are made once. Who deletes them later means it."""
    name, best = experiment.spec.register_, progress.memory.best
    if name is None or best is None or best.model is None:
        return None
    version = children.version_name(experiment.spec, best.model)
    there = Reference(MODEL_VERSION, experiment.namespace, version) in seen.existing
    if there or experiment.status.model_version == version:
        return None
    missing = [children.model_version(experiment, name, progress.data, best, best.model, seen.settings)]
    if Reference(MODEL, experiment.namespace, name) not in seen.existing:
        missing.insert(0, children.model(experiment, name, progress.setup.metric))
    return _plan(
        experiment,
        progress,
        _status(experiment, progress, over=True),
        ready=False,
        reason="Registering",
        message=f"The search is over; trial {best.trial} becomes ModelVersion '{version}'.",
        jobs=tuple(missing),
        requeue_after=REQUEUE_NOW,
    )


def search_is_over(experiment: Experiment, progress: Progress) -> Plan:
    """It found a model; a bigger budget makes it go on."""
    assert progress.ending is not None, "search_goes_on takes every other case"
    name, best = experiment.spec.register_, progress.memory.best
    registered = children.version_name(experiment.spec, best.model) if name and best and best.model else None
    status = _status(experiment, progress, over=True).model_copy(update={"model_version": registered})
    return _plan(
        experiment,
        progress,
        status,
        ready=True,
        reason=progress.ending,
        message=messages.over(progress, registered),
        succeeded=True,
        requeue_after=REQUEUE_NOW if progress.memory.ended else None,
    )


def _waits(experiment: Experiment, reason: str, message: str) -> Plan:
    """For something that may be there in the next second. What status remembers stays as it is."""
    return Plan(
        ready=False,
        reason=reason,
        message=message,
        status=experiment.status,
        summary=f"waiting: {reason}",
        children=None,
    )


def _look_again(experiment: Experiment, seen: Seen, progress: Progress) -> timedelta:
    times = [attempt.not_before - seen.now for attempt in progress.memory.attempts.values() if attempt.not_before]
    duration = experiment.spec.budget.duration
    if duration is not None and progress.start_time is not None:
        times.append(progress.start_time + duration.timedelta - seen.now)
    if progress.memory.ended:
        times.append(REQUEUE_NOW)
    return max(min([PENDING_CHECK_INTERVAL, *times]), REQUEUE_NOW)


def _status(experiment: Experiment, progress: Progress, *, over: bool) -> ExperimentStatus:
    memory, old = progress.memory, experiment.status
    ended = max((trial.finished_at for trial in memory.last if trial.finished_at), default=progress.start_time)
    return ExperimentStatus(
        start_time=progress.start_time,
        completion_time=(old.completion_time or ended) if over else None,
        fingerprint=fingerprint(experiment.spec),
        data=progress.data,
        metric=progress.setup.metric,
        direction=progress.setup.direction,
        trials=memory.counts,
        best=memory.best,
        last_trials=memory.last,
        running=tuple(attempt for _, attempt in sorted(memory.attempts.items())),
        history=memory.history(),
        importance=_importance(experiment, progress) if over else (),
        model_version=old.model_version,
    )


def _importance(experiment: Experiment, progress: Progress) -> tuple[Importance, ...]:
    """Worked out once, when the search ends: it takes a second where there are a thousand trials."""
    old = experiment.status
    if old.completion_time is not None and old.trials == progress.memory.counts:
        return old.importance
    setup = progress.setup
    shares = importance(setup.space, progress.memory.past(), maximize=setup.maximize)
    return tuple(Importance(name=name, share=f"{share:.3g}") for name, share in list(shares.items())[:MOST_SHOWN])


def _plan(
    experiment: Experiment,
    progress: Progress,
    status: ExperimentStatus,
    *,
    ready: bool,
    reason: str,
    message: str,
    jobs: tuple[Child, ...] = (),
    stalled: bool = False,
    progressing: bool | None = None,
    succeeded: bool | None = None,
    requeue_after: timedelta | None = None,
) -> Plan:
    """What all plans of a search share. Jobs stay that run, that ended just now, and of the last failures."""
    failed = [trial.job for trial in progress.memory.last if trial.state in ("Failed", "Invalid") and trial.job]
    kept = {*(job.name for job in progress.running), *progress.memory.ended, *failed[:JOBS_TO_READ]}
    kept -= {child.name for child in jobs}
    if requeue_after is None and progress.memory.ended:
        requeue_after = REQUEUE_NOW
    return Plan(
        ready=ready,
        reason=reason,
        message=message,
        status=status,
        summary=messages.summary(experiment, progress),
        children=(*children.of_ranks(experiment), *jobs, *(ExistingChild(JOB, name) for name in sorted(kept))),
        stalled=stalled,
        progressing=progressing,
        succeeded=succeeded,
        requeue_after=requeue_after,
    )
