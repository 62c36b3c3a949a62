"""The messages of an Experiment's conditions: object, finding, next step; and its summary."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from flywheel.core.diagnosis.internal_error import INTERNAL_ERROR
from flywheel.core.resource import names
from flywheel.core.resource.api import TRAINING_RUN
from flywheel.kinds.experiment.children import Experiment
from flywheel.kinds.experiment.failures import tally_branches
from flywheel.kinds.experiment.generalization import measure_generalization
from flywheel.kinds.experiment.observe import DatasetState
from flywheel.kinds.experiment.progress import Ending, Progress
from flywheel.kinds.experiment.schema.status import Trial
from flywheel.kinds.experiment.search.warm_start import WarmStart

ROOM_GRACE_PERIOD = timedelta(
    seconds=45
)  # after the end of a trial, until its pod is gone and the next one is scheduled


def dataset_not_found(experiment: Experiment) -> str:
    """The Dataset does not exist."""
    return (
        f"Waiting for Dataset '{experiment.spec.dataset}' in namespace '{experiment.namespace}'; "
        "create it or correct spec.dataset."
    )


def version_not_found(experiment: Experiment, dataset: DatasetState) -> str:
    """The Dataset has no such version."""
    known = ", ".join(f"'{version.version}'" for version in dataset.versions[:5]) or "none"
    return (
        f"Dataset '{experiment.spec.dataset}' has no version '{experiment.spec.dataset_version}' (newest: {known}); "
        "correct spec.datasetVersion, or leave it out to take the current one."
    )


def warm_start_not_found(experiment: Experiment, missing: str) -> str:
    """An Experiment of warmStartFrom does not exist."""
    return (
        f"Waiting for Experiment '{missing}' in namespace '{experiment.namespace}'; "
        "create it, or remove it from spec.warmStartFrom."
    )


def dataset_not_ready(experiment: Experiment, dataset: DatasetState) -> str:
    """The Dataset is not Ready."""
    return f"Waiting for Dataset '{experiment.spec.dataset}' to be Ready ({dataset.reason}): {dataset.message}"


def target_missing(experiment: Experiment) -> str:
    """The Dataset names no column to predict."""
    return (
        f"Dataset '{experiment.spec.dataset}' has no target, so there is nothing to predict; "
        "set spec.target of the Dataset to the column to predict."
    )


def search_stalled(experiment: Experiment, progress: Progress, ending: Ending) -> tuple[str, str]:
    """The reason and the message of a search that has no best trial, or whose trials cannot work."""
    reason, message = _stalled(experiment, progress, ending)
    run = _owning_run(experiment)
    if run is None:
        return reason, message
    step = f"Change the TrainingPipeline and start another run: the Experiment belongs to TrainingRun '{run}', which takes no later result."
    return reason, f"{message} {step}"


def _owning_run(experiment: Experiment) -> str | None:
    """The TrainingRun whose step the Experiment is, so that nobody should change its spec."""
    labels = experiment.labels
    return labels.get(names.NAME_LABEL) if labels.get(names.KIND_LABEL) == TRAINING_RUN.kind else None


def _stalled(experiment: Experiment, progress: Progress, ending: Ending) -> tuple[str, str]:
    match ending:
        case "Refused":
            return _refused(experiment, progress)
        case "TrialsFailed":
            return ending, _trials_failed(experiment, progress)
        case "Infeasible":
            return ending, _infeasible(progress)
        case "AllPruned":
            return ending, _all_pruned(progress)
        case _:
            return ending, _time_spent(experiment, progress)


def _refused(experiment: Experiment, progress: Progress) -> tuple[str, str]:
    trial = next((trial for trial in progress.trials.last if trial.state == "Invalid"), None)
    if trial is None:
        return "TrialRefused", "A trial can never work; correct the spec."
    message = (
        f"Trial {trial.trial} can never work: {_finding(trial)}{_logs(trial)}{_correction(experiment, progress, trial)}"
    )
    return trial.reason or "TrialRefused", message


def _trials_failed(experiment: Experiment, progress: Progress) -> str:
    failed, allowed = progress.trials.counts.failed, experiment.spec.budget.max_failed_trials
    count = (
        f"{failed} trials failed, and spec.budget.maxFailedTrials is {allowed}"
        if failed >= allowed
        else f"All {failed} trials failed"
    )
    if failed == 1:
        count = "The only trial failed"
    last = next((trial for trial in progress.trials.last if trial.state == "Failed"), None)
    if last is None:
        return f"{count}. Raise spec.budget.maxFailedTrials to go on."
    named = f"{last.estimator} with " if last.estimator else ""
    tried = ", ".join(f"{name}={value}" for name, value in sorted(last.parameters.items())) or "no searched parameters"
    more = " Or raise spec.budget.maxFailedTrials to go on." if failed >= allowed else ""
    return f"{count}; the last, trial {last.trial} ({named}{tried}): {_finding(last)}{_logs(last)}{_correction(experiment, progress, last)}{more}"


def _time_spent(experiment: Experiment, progress: Progress) -> str:
    counts, within = progress.trials.counts, f"within {experiment.spec.budget.duration}"
    found = f"None of {counts.succeeded} trials that succeeded {within} satisfies spec.constraints"
    return f"{found if counts.succeeded else f'No trial succeeded {within}'}; raise spec.budget.duration to go on."


def _infeasible(progress: Progress) -> str:
    succeeded, last = progress.trials.counts.succeeded, progress.trials.last
    trial = next((trial for trial in last if trial.reason == "Infeasible"), None)
    example = f" Trial {trial.trial}: {trial.message}" if trial else ""
    return (
        f"None of {succeeded} trials that succeeded satisfies spec.constraints.{example} "
        "Raise spec.budget.maxTrials to go on, or loosen spec.constraints to search again."
    )


def _all_pruned(progress: Progress) -> str:
    return (
        f"All {progress.trials.counts.ended} trials were pruned or failed, so there is no model; "
        "loosen or remove spec.pruner, and raise spec.budget.maxTrials to go on."
    )


def search_goes_on(experiment: Experiment, progress: Progress, now: datetime) -> tuple[str, str]:
    """Searching; or why no trial can run; or suspended."""
    trials, running = progress.trials, progress.running
    numbers = trials.numbers("Running")
    if experiment.spec.suspend and not numbers:
        return "Suspended", f"Experiment '{experiment.name}' is suspended; set spec.suspend to false to go on."
    waiting = [attempt for attempt in trials.attempts.values() if attempt.not_before is not None]
    no_room = [job for job in running if job.diagnosis is not None and job.diagnosis.reason == "Unschedulable"]
    awaits_its_turn = bool(no_room) and _has_just_freed_room(progress, now)
    diagnoses = [
        job.diagnosis for job in running if job.diagnosis is not None and not (awaits_its_turn and job in no_room)
    ]
    ended = sum(job.outcome is not None for job in running)  # repeats that wait for the others
    if numbers and len(waiting) + len(diagnoses) == len(trials.attempts) - ended > 0:
        if diagnoses:
            return diagnoses[0].reason, diagnoses[0].message
        first = min(waiting, key=lambda attempt: attempt.trial)
        when = f"{first.not_before:%H:%M:%S} UTC" if first.not_before else "soon"
        return "Retrying", f"Trial {first.trial} is tried again at {when} (attempt {first.attempt}): {first.message}"
    active = [number for number in numbers if number not in {job.trial for job in no_room}]
    waits = f" {_trials([job.trial for job in no_room], 'waits', 'wait')} for room on a node." if no_room else ""
    sentences = [*(f"{_warm_start(each)}." for each in progress.warm_starts), *stopped_estimators(progress)]
    more = "".join(f" {each}" for each in sentences)
    run = f"{_trials(active, 'runs', 'run')}; " if active else ""
    return "Searching", f"{run}{summary(experiment, progress)}.{waits}{more}"


def _has_just_freed_room(progress: Progress, now: datetime) -> bool:
    """Whether a trial ended so lately that the scheduler may not have given its room to the next one."""
    newest = max((trial.finished_at for trial in progress.trials.last if trial.finished_at), default=None)
    return newest is not None and now - newest < ROOM_GRACE_PERIOD


def _trials(numbers: Sequence[int], singular: str, plural: str) -> str:
    """`Trial 3 runs`, `Trials 3, 4 run`."""
    names = ", ".join(str(number) for number in sorted(set(numbers))[:10])
    return f"Trial {names} {singular}" if len(set(numbers)) == 1 else f"Trials {names} {plural}"


def stopped_estimators(progress: Progress) -> list[str]:
    """A sentence for each estimator that failed too often to be tried again, with its last failure."""
    space, tallies = progress.setup.space, tally_branches(progress.trials, progress.setup)
    found = []
    for number in sorted(progress.stopped):
        name, tally = space[number].name, tallies[number]
        if not name:
            continue  # a container is the whole search
        last = next((each for each in progress.trials.last if each.estimator == name and each.reason), None)
        why = f" (trial {last.trial}, {last.reason}: {_finding(last)[:200].rstrip('.')})" if last else ""
        found.append(
            f"{name} is no longer tried, since {tally.failed} of its {tally.failed + tally.succeeded} trials failed{why}."
        )
    return found


def search_is_over(progress: Progress, ending: Ending, best: Trial, version: str | None) -> str:
    """The search is over and found a best trial."""
    counts, metric = progress.trials.counts, progress.setup.metric
    registered = f" It is ModelVersion '{version}'." if version else ""
    failed = f", {counts.failed} of them failed" if counts.failed else ""
    pruned = f", {counts.pruned} were pruned" if counts.pruned else ""
    over = f"{counts.ended} trials ended{failed}{pruned}; the best is trial {best.trial} with {metric} {format_metric(best.value or '0')}."
    early = (
        " The search ended before its budget was spent, since too many trials failed."
        if ending == "SearchStopped"
        else ""
    )
    more = "".join(f" {each}" for each in (*describe_fit(progress, best), *stopped_estimators(progress)))
    return f"{over}{registered}{early}{more}"


def describe_fit(progress: Progress, best: Trial) -> list[str]:
    """A sentence where the best trial is no better than a constant, underfits or overfits, with what helps."""
    found = measure_generalization(best, progress.setup)
    finding = found.finding() if found is not None else None
    if found is None or finding is None or found.baseline is None:
        return []
    constant = f"a constant prediction has {format_metric(str(found.baseline))}"
    train = f"{format_metric(str(found.train))} on its train rows" if found.train is not None else ""
    if finding == "NoBetterThanConstant":
        return [f"It is no better than a constant: {constant}. Look for features that say more about the target."]
    if finding == "Underfitting":
        return [f"It underfits: it has only {train}, and {constant}. Try more flexible estimators or other features."]
    return [f"It overfits: it has {train}, and {constant}. Search stronger regularization, or give it more rows."]


def summary(experiment: Experiment, progress: Progress) -> str:
    """`12/12 trials, best roc_auc 0.742 (trial 9)`."""
    counts, best = progress.trials.counts, progress.trials.best
    ended = counts.ended
    total = max(progress.setup.max_trials(experiment.spec.budget.max_trials), ended)
    failed = f", {counts.failed} failed" if counts.failed else ""
    failed += f", {counts.pruned} pruned" if counts.pruned else ""
    failed += f", {counts.feasible} feasible" if counts.feasible is not None else ""
    if best is None or best.value is None:
        return f"{ended}/{total} trials{failed}"
    best_value = f"{progress.setup.metric} {format_metric(best.value)}"
    return f"{ended}/{total} trials{failed}, best {best_value} (trial {best.trial})"


def format_metric(value: str) -> str:
    """A metric with three decimals where they are significant, else with four digits."""
    number = float(value)
    return f"{number:.3f}" if number == 0 or 0.01 <= abs(number) < 1000 else f"{number:.4g}"


def _warm_start(found: WarmStart) -> str:
    """`17 trials of Experiment 'a' inform the search, 3 do not fit`."""
    fits = f"{len(found.trials)} trials of Experiment '{found.experiment}' inform the search"
    return f"{fits}, {found.left_out} do not fit" if found.left_out else fits


def _finding(trial: Trial) -> str:
    text = (trial.message or trial.reason or "it gave no reason").strip()
    return text if text.endswith((".", "!", "?")) else f"{text}."


def _logs(trial: Trial) -> str:
    # A fault of ours may be that of a container beside main.
    container = "--all-containers" if trial.reason == INTERNAL_ERROR else "-c main"
    return f" See 'kubectl logs job/{trial.job} {container}'." if trial.job else ""


def _correction(experiment: Experiment, progress: Progress, trial: Trial) -> str:
    if progress.trials.best is not None or _owning_run(experiment) is not None:
        return ""
    if trial.reason == INTERNAL_ERROR:
        return " With another release of Flywheel, change the spec or create the Experiment anew to search again."
    return " Correct the spec, and the search starts again."
