"""What an Experiment needs next.

Ready and Succeeded say: the search is over, it found a model, and the model is registered as `register` says. Raising the budget makes it go on.
Something missing (the Dataset, a Secret, room on a node) is waited for. Only what needs another spec is Stalled; and while nothing has
come of a stalled search, `startTime` is forgotten, so that the schema lets the whole spec be corrected in place.
"""

from dataclasses import replace
from datetime import timedelta

from flywheel.core.requeue import PENDING_CHECK_INTERVAL, REQUEUE_NOW
from flywheel.core.resource.api import JOB, MODEL, MODEL_VERSION, Reference
from flywheel.core.resource.plan import Decision, ExistingChild, Plan
from flywheel.kinds.experiment import children, messages
from flywheel.kinds.experiment.children import Experiment
from flywheel.kinds.experiment.feature_join import chosen_data, existing_joins, join_features
from flywheel.kinds.experiment.generalization import measure_generalization
from flywheel.kinds.experiment.observe import Seen
from flywheel.kinds.experiment.progress import Ending, Progress, advance
from flywheel.kinds.experiment.schema.immutable import fingerprint
from flywheel.kinds.experiment.schema.status import (
    MAX_LISTED,
    Data,
    ExperimentStatus,
    FitStatus,
    Importance,
    Trial,
)
from flywheel.kinds.experiment.search.defaults import Setup, resolve_setup
from flywheel.kinds.experiment.search.sampler import importance

MAX_FAILED_JOBS = 3  # failed trials whose Jobs stay for their logs


def decide(experiment: Experiment, seen: Seen) -> Plan:
    """The plan for what is seen."""
    inputs = search_inputs(experiment, seen)
    if isinstance(inputs, Plan):
        return inputs
    if isinstance(inputs, Decision):
        # What may be there in the next second: everything stays as it is.
        return inputs.plan(experiment.status, summary=f"waiting: {inputs.reason}", children=None)
    progress = advance(experiment, seen, *inputs)
    decision = _decision(experiment, seen, progress)
    # The source is created before the first pod mounts it.
    return replace(decision, children=(*children.trainer_source(experiment), *decision.children)).plan(
        status=_status(experiment, progress, registered=bool(decision.ready)),
        summary=messages.summary(experiment, progress),
        children=(
            *children.rank_service(experiment),
            *_existing_jobs(progress, decision),
            *existing_joins(experiment, seen, progress.data),
        ),
    )


def _decision(experiment: Experiment, seen: Seen, progress: Progress) -> Decision:
    best, ending = progress.trials.best, progress.ending
    if ending is None:
        return search_goes_on(experiment, seen, progress)
    if best is None:
        return search_stalled(experiment, progress, ending)
    return model_is_registered(experiment, seen, progress, best) or search_is_over(experiment, progress, ending, best)


def search_inputs(experiment: Experiment, seen: Seen) -> tuple[Data, Setup] | Decision | Plan:
    """The data of the search and its setup, or what it waits for."""
    data = search_data(experiment, seen)
    if isinstance(data, Data) and len(data.feature_sets) < len(experiment.spec.feature_sets):
        joined = join_features(experiment, seen, data)
        if not isinstance(joined, Data):
            return joined
        data = joined
    if isinstance(data, Decision):
        return data
    missing = [each.experiment for each in experiment.spec.warm_start_from if each.experiment not in seen.earlier]
    if missing and experiment.status.start_time is None:
        return _waits("WarmStartNotFound", messages.warm_start_not_found(experiment, missing[0]))
    setup = resolve_setup(experiment.spec, data)
    if setup is None:
        return _waits("TargetMissing", messages.target_missing(experiment))
    return data, setup


def search_data(experiment: Experiment, seen: Seen) -> Data | Decision:
    """The data of the search, which is chosen when it starts and stays the same; or what it waits for."""
    spec, status, dataset = experiment.spec, experiment.status, seen.dataset
    if status.data is not None and status.fingerprint == fingerprint(spec):
        return status.data
    if (chosen := chosen_data(experiment)) is not None:
        return chosen.model_copy(update={"feature_sets": ()})
    if spec.artifact is not None:
        return Data(**spec.artifact.model_dump(exclude={"feature_sets"}))
    if dataset is None:
        return _waits("DatasetNotFound", messages.dataset_not_found(experiment))
    if spec.dataset_version is not None:
        pinned = next((version for version in dataset.versions if version.version == spec.dataset_version), None)
        return pinned or _waits("DatasetVersionNotFound", messages.version_not_found(experiment, dataset))
    if not dataset.ready:
        return _waits("DatasetNotReady", messages.dataset_not_ready(experiment, dataset))
    return dataset.versions[0]


def search_goes_on(experiment: Experiment, seen: Seen, progress: Progress) -> Decision:
    """Trials run, or wait for a retry, or may not start."""
    trials = progress.trials
    keep = trials.upload_threshold(experiment.spec.keep_artifacts, progress.setup)
    points = {number: record.coordinates for number, record in trials.records.items()}
    reason, message = messages.search_goes_on(experiment, progress, seen.now)
    return Decision(
        ready=False,
        reason=reason,
        message=message,
        children=tuple(
            children.trial_job(experiment, progress.setup, progress.data, each, points[each.trial], seen.settings, keep)
            for each in progress.starts
        ),
        progressing=not experiment.spec.suspend or bool(trials.numbers("Running")),
        requeue_after=_next_check(experiment, seen, progress),
    )


def search_stalled(experiment: Experiment, progress: Progress, ending: Ending) -> Decision:
    """There is no trial that could be the best: one can never work, too many failed, or none satisfies the constraints."""
    reason, message = messages.search_stalled(experiment, progress, ending)
    return Decision(
        ready=False,
        succeeded=False,
        stalled=True,
        reason=reason,
        message=message,
        requeue_after=_until_deletion(progress),
    )


def model_is_registered(experiment: Experiment, seen: Seen, progress: Progress, best: Trial) -> Decision | None:
    """Model and ModelVersion are made once. Who deletes them later means it."""
    version, model = children.version_name(experiment.spec, best), str(experiment.spec.register_)
    if version is None or experiment.status.model_version == version:
        return None
    if Reference(MODEL_VERSION, experiment.namespace, version) in seen.existing:
        return None
    missing = [children.new_model_version(experiment, version, progress.data, best, seen.settings)]
    if Reference(MODEL, experiment.namespace, model) not in seen.existing:
        missing.insert(0, children.new_model(experiment, model, progress.setup.metric))
    return Decision(
        ready=False,
        reason="Registering",
        message=f"The search is over; trial {best.trial} becomes ModelVersion '{version}'.",
        children=tuple(missing),
        requeue_after=REQUEUE_NOW,
    )


def search_is_over(experiment: Experiment, progress: Progress, ending: Ending, best: Trial) -> Decision:
    """It found a model; a bigger budget makes it go on."""
    return Decision(
        ready=True,
        succeeded=True,
        reason=ending,
        message=messages.search_is_over(progress, ending, best, children.version_name(experiment.spec, best)),
        requeue_after=_until_deletion(progress),
    )


def _waits(reason: str, message: str) -> Decision:
    return Decision(ready=False, reason=reason, message=message)


def _existing_jobs(progress: Progress, decision: Decision) -> tuple[ExistingChild, ...]:
    """The Jobs that run, those that ended just now, and those of the last failures."""
    failed = [trial.job for trial in progress.trials.last if trial.state in ("Failed", "Invalid") and trial.job]
    names = {*(job.name for job in progress.running), *progress.trials.just_ended, *failed[:MAX_FAILED_JOBS]}
    return tuple(ExistingChild(JOB, name) for name in sorted(names - {child.name for child in decision.children}))


def _until_deletion(progress: Progress) -> timedelta | None:
    """Jobs that ended just now are deleted once status says how."""
    return REQUEUE_NOW if progress.trials.just_ended else None


def _next_check(experiment: Experiment, seen: Seen, progress: Progress) -> timedelta:
    times = [attempt.not_before - seen.now for attempt in progress.trials.attempts.values() if attempt.not_before]
    duration = experiment.spec.budget.duration
    if duration is not None and progress.start_time is not None:
        times.append(progress.start_time + duration.timedelta - seen.now)
    if progress.trials.just_ended:
        times.append(REQUEUE_NOW)
    return max(min([PENDING_CHECK_INTERVAL, *times]), REQUEUE_NOW)


def _status(experiment: Experiment, progress: Progress, *, registered: bool) -> ExperimentStatus:
    trials, old, ending = progress.trials, experiment.status, progress.ending
    version = children.version_name(experiment.spec, trials.best) if trials.best else None
    ended = max((trial.finished_at for trial in trials.last if trial.finished_at), default=progress.start_time)
    # The spec of a search that found nothing may be corrected. After its time is up, a search without a start would start again.
    may_be_corrected = ending not in (None, "TimeSpent") and trials.best is None
    return ExperimentStatus(
        start_time=None if may_be_corrected else progress.start_time,
        completion_time=(old.completion_time or ended) if ending is not None else None,
        fingerprint=fingerprint(experiment.spec),
        data=progress.data,
        refused_at=experiment.generation if trials.numbers("Invalid") else None,
        metric=progress.setup.metric,
        direction=progress.setup.direction,
        trials=trials.counts,
        best=trials.best,
        fit=_fit_status(progress),
        last_trials=trials.last,
        running=tuple(attempt for _, attempt in sorted(trials.attempts.items())),
        history=trials.history(),
        importance=_importance(experiment, progress) if ending is not None else (),
        model_version=version if registered else old.model_version,
    )


def _fit_status(progress: Progress) -> FitStatus | None:
    found = measure_generalization(progress.trials.best, progress.setup) if progress.trials.best else None
    if found is None:
        return None
    numbers = {"train": found.train, "gap": found.gap, "baseline": found.baseline}
    texts = {name: None if number is None else f"{number:.6g}" for name, number in numbers.items()}
    return FitStatus.model_validate({**texts, "finding": found.finding()})


def _importance(experiment: Experiment, progress: Progress) -> tuple[Importance, ...]:
    """The importance of parameters. It is computed once, when the search ends, since a thousand trials take a second."""
    old = experiment.status
    if old.completion_time is not None and old.trials == progress.trials.counts:
        return old.importance
    setup = progress.setup
    shares = importance(setup.space, progress.trials.past(), maximize=setup.maximize)
    return tuple(Importance(name=name, share=f"{share:.3g}") for name, share in list(shares.items())[:MAX_LISTED])
