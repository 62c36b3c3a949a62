"""Inputs that are outputs of another pipeline's run."""

from typing import Any

from flywheel.core.resource.api import Manifest
from flywheel.kinds.trainingpipeline.schema.inputs import RunOutput
from flywheel.kinds.trainingrun.schema import TrainingRun
from flywheel.kinds.trainingrun.schema.status import InputUsed, StepStatus, TrainingRunStatus


def resolve_output(name: str, wanted: RunOutput, source: Manifest | None) -> InputUsed:
    """The output of that run; without a digest where there is no run, or the run has no such output."""
    known = {"name": name, "pipeline": str(wanted.pipeline), "step": str(wanted.step), "output": wanted.name}
    if source is None:
        return InputUsed.model_validate(known)
    status = TrainingRunStatus.model_validate(source.get("status") or {})
    step = _find_step(status, str(wanted.step))
    digest = step.outputs.get(wanted.name) if step is not None else None
    fields: dict[str, Any] = {**known, "run": source["metadata"]["name"], "digest": digest}
    if step is None or digest is None:
        return InputUsed.model_validate(fields)
    return InputUsed.model_validate({**fields, **_dataset_behind(status), "facts": step.facts})


def output_problem(run: TrainingRun, used: InputUsed, source: Manifest | None) -> tuple[str, str] | None:
    """Reason and message, where an input will never be there: its run was deleted, is no success of that pipeline, or left no such output."""
    if used.pipeline is None or used.digest is not None:
        return None
    cause = run.spec.cause
    if source is None and cause is not None and cause.run is not None and cause.pipeline == used.pipeline:
        message = f"TrainingRun '{cause.run}', whose output is input '{used.name}', was deleted before this run started, or is no run of TrainingPipeline '{used.pipeline}' that succeeded; start a new run, which takes the newest."
        return "RunNotFound", message
    if source is None:
        return None
    step = _find_step(TrainingRunStatus.model_validate(source.get("status") or {}), used.step or "")
    left = f"left {', '.join(sorted(step.outputs)) or 'no output'}" if step is not None else "does not exist"
    message = f"Input '{used.name}' is output '{used.output}' of step '{used.step}' of TrainingRun '{used.run}', and that step {left}; correct the input of TrainingPipeline '{run.spec.pipeline}', and start a new run."
    return "OutputNotFound", message


def _find_step(status: TrainingRunStatus, name: str) -> StepStatus | None:
    return next((each for each in status.steps if each.name == name), None)


def _dataset_behind(status: TrainingRunStatus) -> dict[str, str]:
    """The version of a Dataset, if the run had no other data."""
    found = {(each.dataset, each.version) for each in status.inputs}
    dataset, version = found.pop() if len(found) == 1 else (None, None)
    return {"dataset": dataset, "version": version} if dataset and version else {}
