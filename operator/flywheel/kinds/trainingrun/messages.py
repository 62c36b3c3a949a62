"""What a run says: object, finding, next step."""

from flywheel.core.resource import conditions
from flywheel.core.resource.api import Manifest
from flywheel.kinds.trainingrun.observe import Seen
from flywheel.kinds.trainingrun.progress import Progress
from flywheel.kinds.trainingrun.schema import TrainingRun, TrainingRunStatus
from flywheel.kinds.trainingrun.schema.status import InputUsed


def no_original(run: TrainingRun) -> str:
    """RunNotFound."""
    return f"Waiting for TrainingRun '{run.spec.reproduce_of}' in namespace '{run.namespace}', which this one repeats; correct spec.reproduceOf in a new run."


def no_revision(run: TrainingRun, seen: Seen) -> tuple[str, str]:
    """There is no pipeline, none that is live yet, or not the revision that was asked for."""
    name = run.spec.pipeline
    if seen.pipeline is None:
        words = f"Waiting for TrainingPipeline '{name}' in namespace '{run.namespace}'; create it or correct spec.pipeline in a new run."
        return "PipelineNotFound", words
    revision = run.status.revision or run.spec.revision
    if revision is not None:
        return (
            "RevisionNotFound",
            f"TrainingPipeline '{name}' has no revision '{revision}'; see its status.revisions, and start a new run.",
        )
    return (
        "PipelineNotReady",
        f"Waiting for TrainingPipeline '{name}' to have a live revision. {seen.pipeline.message}".strip(),
    )


def no_data(run: TrainingRun, used: InputUsed, dataset: Manifest | None) -> tuple[str, str]:
    """The Dataset is missing, not Ready, or has not that version."""
    where = f"Dataset '{used.dataset}' in namespace '{run.namespace}'"
    if dataset is None:
        return "DatasetNotFound", f"Waiting for {where}; create it or correct input '{used.name}' of the pipeline."
    if used.version is not None:
        return (
            "DatasetVersionNotFound",
            f"{where} has no version '{used.version}'; correct input '{used.name}' of the pipeline.",
        )
    ready = conditions.find_condition(dataset)
    return (
        "DatasetNotReady",
        f"Waiting for {where} to be Ready ({ready.get('reason', 'Pending')}): {ready.get('message', '')}",
    )


def suspended(run: TrainingRun) -> str:
    """Suspended."""
    return f"TrainingRun '{run.name}' is suspended; set spec.suspend to false to go on."


def going_on(run: TrainingRun, seen: Seen, progress: Progress) -> tuple[str, str]:
    """Running; or what stands in the way of everything that runs."""
    running = progress.running
    stuck = [
        seen.work[row.name].diagnosis for row in running if row.name in seen.work and seen.work[row.name].diagnosis
    ]
    if running and len(stuck) == len(running) and stuck[0] is not None:
        return stuck[0].reason, f"Step '{running[0].name}': {stuck[0].message}"
    if not running and run.spec.suspend:
        return "Suspended", suspended(run)
    waiting = [row for row in progress.rows.values() if row.status.not_before and row.status.state == "Waiting"]
    if not running and waiting:
        first = min(waiting, key=lambda row: str(row.status.not_before))
        when = f"{first.status.not_before:%H:%M:%S} UTC" if first.status.not_before else "soon"
        return "Retrying", f"Step '{first.name}' is tried again at {when}: {first.status.message}"
    names = ", ".join(f"'{row.name}'" for row in running[:5])
    run_ = f"Step {names} runs" if len(running) == 1 else f"Steps {names} run"
    notes = [seen.work[row.name].note for row in running if row.name in seen.work and seen.work[row.name].note]
    note = f" ({notes[0]})" if len(notes) == 1 else ""
    return "Running", f"{run_}{note}; {_counted(progress.steps)}."


def ending(run: TrainingRun, progress: Progress, stopped: str | None) -> tuple[str, str, str]:
    """Result, reason and message."""
    told = _counted(progress.steps)
    if stopped is not None:
        result = "Failed" if "timeout" in stopped else "Cancelled"
        return result, "TimedOut" if result == "Failed" else "Cancelled", f"{stopped} {told}."
    failed = progress.failed
    if failed is not None:
        job = f" See 'kubectl logs job/{failed.status.job} -c main'." if failed.status.job else ""
        words = (failed.status.message or failed.status.reason or "it gave no reason").rstrip(".")
        return "Failed", failed.status.reason or "StepFailed", f"Step '{failed.name}' failed: {words}.{job} {told}."
    return "Succeeded", "Succeeded", f"All steps ended well: {told}.{_registered(progress)}"


def summary(status: TrainingRunStatus) -> str:
    """`4/5 steps, 2 from the cache`."""
    return _counted(status.steps) if status.steps else (status.reason or "waiting")


def _registered(progress: Progress) -> str:
    for row in progress.rows.values():
        facts = row.status.facts
        if row.step.register_ and facts.get("version"):
            found = f" ModelVersion '{facts['version']}': {facts.get('verdict')}"
            return f"{found} ({facts['message'].rstrip('.')})." if facts.get("message") else f"{found}."
    return ""


def _counted(steps: tuple[object, ...]) -> str:
    states = [getattr(step, "state", "") for step in steps]
    done, cached = states.count("Succeeded"), sum(getattr(step, "cache", None) == "Hit" for step in steps)
    parts = [f"{done}/{len(states)} steps"]
    parts += [f"{cached} from the cache"] if cached else []
    for state in ("Failed", "Skipped", "Cancelled"):
        parts += [f"{states.count(state)} {state.lower()}"] if state in states else []
    return ", ".join(parts)
