"""What an Experiment says: object, finding, next step."""

from flywheel.kinds.experiment.children import Experiment
from flywheel.kinds.experiment.observe import DatasetSeen
from flywheel.kinds.experiment.progress import Progress
from flywheel.kinds.experiment.schema.status import Trial


def no_dataset(experiment: Experiment) -> str:
    """DatasetNotFound."""
    return (
        f"Waiting for Dataset '{experiment.spec.dataset}' in namespace '{experiment.namespace}'; "
        "create it or correct spec.dataset."
    )


def no_version(experiment: Experiment, dataset: DatasetSeen) -> str:
    """DatasetVersionNotFound."""
    known = ", ".join(f"'{version.version}'" for version in dataset.versions[:5]) or "none"
    return (
        f"Dataset '{experiment.spec.dataset}' has no version '{experiment.spec.dataset_version}' (newest: {known}); "
        "correct spec.datasetVersion, or leave it out to take the current one."
    )


def no_lesson(experiment: Experiment, missing: str) -> str:
    """WarmStartNotFound."""
    return (
        f"Waiting for Experiment '{missing}' in namespace '{experiment.namespace}'; "
        "create it, or remove it from spec.warmStartFrom."
    )


def dataset_not_ready(experiment: Experiment, dataset: DatasetSeen) -> str:
    """DatasetNotReady."""
    return f"Waiting for Dataset '{experiment.spec.dataset}' to be Ready ({dataset.reason}): {dataset.message}"


def no_target(experiment: Experiment) -> str:
    """TargetMissing."""
    return (
        f"Dataset '{experiment.spec.dataset}' has no target, so there is nothing to predict; "
        "set spec.target of the Dataset to the column to predict."
    )


def refused(progress: Progress) -> tuple[str, str]:
    """A trial that can never work: its own reason and sentence."""
    trial = next((trial for trial in progress.memory.last if trial.state == "Invalid"), None)
    if trial is None:
        return "TrialRefused", "A trial can never work; correct the spec."
    return (
        trial.reason or "TrialRefused",
        f"Trial {trial.trial} can never work: {_said(trial)}{_logs(trial)}{_mend(progress)}",
    )


def trials_failed(experiment: Experiment, progress: Progress) -> str:
    """TrialsFailed, with the last of them."""
    failed, allowed = progress.memory.counts.failed, experiment.spec.budget.max_failed_trials
    count = f"{failed} of {allowed} allowed trials failed" if failed >= allowed else f"All {failed} trials failed"
    if failed == 1:
        count = "The only trial failed"
    last = next((trial for trial in progress.memory.last if trial.state == "Failed"), None)
    if last is None:
        return f"{count}. Raise spec.budget.maxFailedTrials to go on."
    named = f"{last.estimator} with " if last.estimator else ""
    tried = ", ".join(f"{name}={value}" for name, value in sorted(last.parameters.items())) or "no searched parameters"
    more = " Or raise spec.budget.maxFailedTrials to go on." if failed >= allowed else ""
    return f"{count}; the last, trial {last.trial} ({named}{tried}): {_said(last)}{_logs(last)}{_mend(progress)}{more}"


def no_time(experiment: Experiment, progress: Progress) -> str:
    """TimeSpent without a trial that could be the best."""
    counts, within = progress.memory.counts, f"within {experiment.spec.budget.duration}"
    found = f"None of {counts.succeeded} trials that succeeded {within} keeps to spec.constraints"
    return f"{found if counts.succeeded else f'No trial succeeded {within}'}; raise spec.budget.duration to go on."


def infeasible(experiment: Experiment, progress: Progress) -> str:
    """Infeasible: with the trial that came last as an example."""
    succeeded, last = progress.memory.counts.succeeded, progress.memory.last
    trial = next((trial for trial in last if trial.reason == "Infeasible"), None)
    example = f" Trial {trial.trial}: {trial.message}" if trial else ""
    return (
        f"None of {succeeded} trials that succeeded keeps to spec.constraints.{example} "
        "Raise spec.budget.maxTrials to go on, or loosen spec.constraints to search again."
    )


def all_pruned(progress: Progress) -> str:
    """AllPruned."""
    return (
        f"All {progress.memory.counts.ended} trials were pruned or failed, so there is no model; "
        "loosen or remove spec.pruner, and raise spec.budget.maxTrials to go on."
    )


def going_on(experiment: Experiment, progress: Progress) -> tuple[str, str]:
    """Searching; or why no trial can run; or suspended."""
    memory, running = progress.memory, progress.running
    numbers = memory.numbers("Running")
    if experiment.spec.suspend and not numbers:
        return "Suspended", f"Experiment '{experiment.name}' is suspended; set spec.suspend to false to go on."
    waiting = [attempt for attempt in memory.attempts.values() if attempt.not_before is not None]
    in_trouble = [job.diagnosis for job in running if job.diagnosis is not None]
    ended = sum(job.outcome is not None for job in running)  # repeats that wait for the others
    if numbers and len(waiting) + len(in_trouble) == len(memory.attempts) - ended > 0:
        if in_trouble:
            return in_trouble[0].reason, in_trouble[0].message
        first = min(waiting, key=lambda attempt: attempt.trial)
        when = f"{first.not_before:%H:%M:%S} UTC" if first.not_before else "soon"
        return "Retrying", f"Trial {first.trial} is tried again at {when} (attempt {first.attempt}): {first.message}"
    names = ", ".join(str(number) for number in numbers[:10])
    run = f"Trial {names} runs" if len(numbers) == 1 else f"Trials {names} run"
    lessons = "".join(f" {each.told}." for each in progress.lessons)
    return "Searching", f"{run}; {_ended(experiment, progress)}.{lessons}"


def over(progress: Progress, registered: str | None) -> str:
    """The search is over."""
    best, metric = progress.memory.best, progress.setup.metric
    assert best is not None, "without a success it would be stalled"
    counts = progress.memory.counts
    ended = counts.ended
    version = f" It is ModelVersion '{registered}'." if registered else ""
    failed = f", {counts.failed} of them failed" if counts.failed else ""
    pruned = f", {counts.pruned} were pruned" if counts.pruned else ""
    return f"{ended} trials ended{failed}{pruned}; the best is trial {best.trial} with {metric} {readable(best.value or '0')}.{version}"


def summary(experiment: Experiment, progress: Progress) -> str:
    """`12/12 trials, best roc_auc 0.742 (trial 9)`."""
    return _ended(experiment, progress)[:256]


def readable(value: str) -> str:
    """Three decimals where they say something, else four digits."""
    number = float(value)
    return f"{number:.3f}" if number == 0 or 0.01 <= abs(number) < 1000 else f"{number:.4g}"


def _ended(experiment: Experiment, progress: Progress) -> str:
    counts, best = progress.memory.counts, progress.memory.best
    ended = counts.ended
    total = max(progress.setup.total(experiment.spec.budget.max_trials), ended)
    failed = f", {counts.failed} failed" if counts.failed else ""
    failed += f", {counts.pruned} pruned" if counts.pruned else ""
    failed += f", {counts.feasible} feasible" if counts.feasible is not None else ""
    if best is None or best.value is None:
        return f"{ended}/{total} trials{failed}"
    return f"{ended}/{total} trials{failed}, best {progress.setup.metric} {readable(best.value)} (trial {best.trial})"


def _said(trial: Trial) -> str:
    text = (trial.message or trial.reason or "it gave no reason").strip()
    return text if text.endswith((".", "!", "?")) else f"{text}."


def _logs(trial: Trial) -> str:
    return f" See 'kubectl logs job/{trial.job} -c main'." if trial.job else ""


def _mend(progress: Progress) -> str:
    if progress.memory.best is None:
        return " Correct the spec, and the search starts again."
    return ""
