"""The messages of an Experiment's conditions: object, finding, next step; and its summary."""

from flywheel.kinds.experiment.children import Experiment
from flywheel.kinds.experiment.observe import DatasetState
from flywheel.kinds.experiment.progress import Ending, Progress
from flywheel.kinds.experiment.schema.status import Trial
from flywheel.kinds.experiment.search.warm_start import WarmStart


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
    match ending:
        case "Refused":
            return _refused(progress)
        case "TrialsFailed":
            return ending, _trials_failed(experiment, progress)
        case "Infeasible":
            return ending, _infeasible(progress)
        case "AllPruned":
            return ending, _all_pruned(progress)
        case _:
            return ending, _time_spent(experiment, progress)


def _refused(progress: Progress) -> tuple[str, str]:
    trial = next((trial for trial in progress.trials.last if trial.state == "Invalid"), None)
    if trial is None:
        return "TrialRefused", "A trial can never work; correct the spec."
    message = f"Trial {trial.trial} can never work: {_finding(trial)}{_logs(trial)}{_correction(progress)}"
    return trial.reason or "TrialRefused", message


def _trials_failed(experiment: Experiment, progress: Progress) -> str:
    failed, allowed = progress.trials.counts.failed, experiment.spec.budget.max_failed_trials
    count = f"{failed} of {allowed} allowed trials failed" if failed >= allowed else f"All {failed} trials failed"
    if failed == 1:
        count = "The only trial failed"
    last = next((trial for trial in progress.trials.last if trial.state == "Failed"), None)
    if last is None:
        return f"{count}. Raise spec.budget.maxFailedTrials to go on."
    named = f"{last.estimator} with " if last.estimator else ""
    tried = ", ".join(f"{name}={value}" for name, value in sorted(last.parameters.items())) or "no searched parameters"
    more = " Or raise spec.budget.maxFailedTrials to go on." if failed >= allowed else ""
    return f"{count}; the last, trial {last.trial} ({named}{tried}): {_finding(last)}{_logs(last)}{_correction(progress)}{more}"


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


def search_goes_on(experiment: Experiment, progress: Progress) -> tuple[str, str]:
    """Searching; or why no trial can run; or suspended."""
    trials, running = progress.trials, progress.running
    numbers = trials.numbers("Running")
    if experiment.spec.suspend and not numbers:
        return "Suspended", f"Experiment '{experiment.name}' is suspended; set spec.suspend to false to go on."
    waiting = [attempt for attempt in trials.attempts.values() if attempt.not_before is not None]
    diagnoses = [job.diagnosis for job in running if job.diagnosis is not None]
    ended = sum(job.outcome is not None for job in running)  # repeats that wait for the others
    if numbers and len(waiting) + len(diagnoses) == len(trials.attempts) - ended > 0:
        if diagnoses:
            return diagnoses[0].reason, diagnoses[0].message
        first = min(waiting, key=lambda attempt: attempt.trial)
        when = f"{first.not_before:%H:%M:%S} UTC" if first.not_before else "soon"
        return "Retrying", f"Trial {first.trial} is tried again at {when} (attempt {first.attempt}): {first.message}"
    names = ", ".join(str(number) for number in numbers[:10])
    run = f"Trial {names} runs" if len(numbers) == 1 else f"Trials {names} run"
    warm_starts = "".join(f" {_warm_start(each)}." for each in progress.warm_starts)
    return "Searching", f"{run}; {summary(experiment, progress)}.{warm_starts}"


def search_is_over(progress: Progress, best: Trial, version: str | None) -> str:
    """The search is over and found a best trial."""
    counts, metric = progress.trials.counts, progress.setup.metric
    registered = f" It is ModelVersion '{version}'." if version else ""
    failed = f", {counts.failed} of them failed" if counts.failed else ""
    pruned = f", {counts.pruned} were pruned" if counts.pruned else ""
    return f"{counts.ended} trials ended{failed}{pruned}; the best is trial {best.trial} with {metric} {format_metric(best.value or '0')}.{registered}"


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
    return f" See 'kubectl logs job/{trial.job} -c main'." if trial.job else ""


def _correction(progress: Progress) -> str:
    return " Correct the spec, and the search starts again." if progress.trials.best is None else ""
