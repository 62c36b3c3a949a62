"""The messages of a TrainingRun's conditions, and its summary."""

from collections.abc import Sequence

from flywheel.core.resource.api import Manifest
from flywheel.core.resource.conditions import find_condition
from flywheel.kinds.trainingrun.observe import Seen
from flywheel.kinds.trainingrun.progress import Progress
from flywheel.kinds.trainingrun.schema import TrainingRun, TrainingRunStatus
from flywheel.kinds.trainingrun.schema.status import InputUsed, StepStatus
from flywheel.kinds.trainingrun.steps.step_states import StepState

STEP_RESOURCES = {"train": "fwexp", "register": "fwver"}  # of steps that are no Job


def original_not_found(run: TrainingRun) -> str:
    """The run that this one reproduces does not exist."""
    return f"Waiting for TrainingRun '{run.spec.reproduce_of}' in namespace '{run.namespace}', which this one repeats; correct spec.reproduceOf in a new run."


def no_revision(run: TrainingRun, pipeline: Manifest | None) -> tuple[str, str]:
    """Reason and message: there is no pipeline, none of its revisions is live, or it does not have the wanted one."""
    name = run.spec.pipeline
    if pipeline is None:
        message = f"Waiting for TrainingPipeline '{name}' in namespace '{run.namespace}'; create it or correct spec.pipeline in a new run."
        return "PipelineNotFound", message
    revision = run.status.revision or run.spec.revision
    if revision is not None:
        message = (
            f"TrainingPipeline '{name}' has no revision '{revision}'; see its status.revisions, and start a new run."
        )
        return "RevisionNotFound", message
    finding = find_condition(pipeline).get("message", "")
    return "PipelineNotReady", f"Waiting for TrainingPipeline '{name}' to have a live revision. {finding}".strip()


def no_data(run: TrainingRun, used: InputUsed, dataset: Manifest | None) -> tuple[str, str]:
    """Reason and message: the Dataset does not exist, is not Ready, or does not have the wanted version."""
    where = f"Dataset '{used.dataset}' in namespace '{run.namespace}'"
    if dataset is None:
        return "DatasetNotFound", f"Waiting for {where}; create it or correct input '{used.name}' of the pipeline."
    if used.version is not None:
        message = f"{where} has no version '{used.version}'; correct input '{used.name}' of the pipeline."
        return "DatasetVersionNotFound", message
    ready = find_condition(dataset)
    finding = f"({ready.get('reason', 'Pending')}): {ready.get('message', '')}"
    return "DatasetNotReady", f"Waiting for {where} to be Ready {finding}"


def no_success(run: TrainingRun, used: InputUsed) -> tuple[str, str]:
    """Reason and message: no run of the pipeline whose output is an input has succeeded."""
    message = f"Waiting for a run of TrainingPipeline '{used.pipeline}' in namespace '{run.namespace}' to succeed, whose output is input '{used.name}'; start one, or correct the input of the pipeline."
    return "NoSuccessfulRun", message


def suspension(run: TrainingRun) -> str:
    """No step starts."""
    return f"TrainingRun '{run.name}' is suspended; set spec.suspend to false to go on."


def progress(run: TrainingRun, seen: Seen, current: Progress) -> tuple[str, str]:
    """Reason and message of a run that goes on: its steps run, or why none does."""
    running = current.running
    attempts = [seen.attempts[state.name] for state in running if state.name in seen.attempts]
    diagnoses = [attempt.diagnosis for attempt in attempts if attempt.diagnosis is not None]
    if running and len(diagnoses) == len(running):
        return diagnoses[0].reason, f"Step '{running[0].name}': {diagnoses[0].message}"
    if not running and run.spec.suspend:
        return "Suspended", suspension(run)
    retried = [
        (state.status.not_before, state)
        for state in current.states.values()
        if state.status.not_before and state.status.state == "Waiting"
    ]
    if not running and retried:
        when, state = min(retried, key=lambda each: each[0])
        return "Retrying", f"Step '{state.name}' is tried again at {when:%H:%M:%S} UTC: {state.status.message}"
    names = ", ".join(f"'{state.name}'" for state in running[:5])
    steps = f"Step {names} runs" if len(running) == 1 else f"Steps {names} run"
    notes = [attempt.note for attempt in attempts if attempt.note]
    note = f" ({notes[0]})" if len(notes) == 1 else ""
    return "Running", f"{steps}{note}; {_counts(current.steps)}."


def result(current: Progress, stopped: str | None) -> tuple[str, str, str]:
    """Result, reason and message of a run that has ended."""
    counts, failed = _counts(current.steps), current.failed
    if stopped is not None:
        outcome, reason = ("Failed", "TimedOut") if "timeout" in stopped else ("Cancelled", "Cancelled")
        return outcome, reason, f"{stopped} {counts}."
    if failed is not None:
        job = f" See '{_details_command(failed)}'." if failed.status.job else ""
        finding = (failed.status.message or failed.status.reason or "it gave no reason").rstrip(".")
        message = f"Step '{failed.name}' failed: {finding}.{job} {counts}."
        return "Failed", failed.status.reason or "StepFailed", message
    return "Succeeded", "Succeeded", f"All steps ended well: {counts}.{_registered(current)}"


def _details_command(failed: StepState) -> str:
    """The command that shows more of the object of a failed step, which is a Job for most kinds of steps."""
    name = failed.status.job
    if failed.step.kind in STEP_RESOURCES:
        return f"kubectl describe {STEP_RESOURCES[failed.step.kind]} {name}"
    return f"kubectl logs job/{name} -c main"


def summary(status: TrainingRunStatus) -> str:
    """`4/5 steps, 2 from the cache`."""
    return _counts(status.steps) if status.steps else (status.reason or "waiting")


def _registered(current: Progress) -> str:
    for state in current.states.values():
        facts = state.status.facts
        if state.step.register_ and facts.get("version"):
            found = f" ModelVersion '{facts['version']}': {facts.get('verdict')}"
            return f"{found} ({facts['message'].rstrip('.')})." if facts.get("message") else f"{found}."
    return ""


def _counts(steps: Sequence[StepStatus]) -> str:
    states, cached = [step.state for step in steps], sum(step.cache == "Hit" for step in steps)
    items = [f"{states.count('Succeeded')}/{len(states)} steps"]
    items += [f"{cached} from the cache"] if cached else []
    for state in ("Failed", "Skipped", "Cancelled"):
        items += [f"{states.count(state)} {state.lower()}"] if state in states else []
    return ", ".join(items)
