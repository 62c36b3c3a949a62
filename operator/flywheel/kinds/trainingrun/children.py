"""The children of a run that already exist and stay; the objects of steps that start are in `steps.execution`."""

from collections.abc import Iterable

from flywheel.core.pods.indexed_job import service_name
from flywheel.core.resource.api import EXPERIMENT, JOB, SERVICE
from flywheel.core.resource.plan import Child, ExistingChild
from flywheel.kinds.trainingrun.schema import TrainingRun, TrainingRunStatus
from flywheel.kinds.trainingrun.steps.step_states import StepState

MAX_FAILED_JOBS = 3  # failed steps whose Jobs stay for their logs


def existing_jobs(names: Iterable[str]) -> tuple[ExistingChild, ...]:
    """Jobs of steps that run or have just ended."""
    return tuple(ExistingChild(JOB, name) for name in names)


def failed_jobs(status: TrainingRunStatus, exclude: Iterable[str] = ()) -> tuple[ExistingChild, ...]:
    """Jobs of failed steps, which stay so that users can read their logs."""
    failed = [step.job for step in status.steps if step.state == "Failed" and step.job and step.job not in exclude]
    return existing_jobs(failed[-MAX_FAILED_JOBS:])


def experiments(status: TrainingRunStatus) -> tuple[ExistingChild, ...]:
    """Experiments, which stay as long as the run, so that users can read their trials."""
    ended = {
        step.job
        for step in status.steps
        if step.job and step.state != "Cancelled" and step.facts.get("experiment") == step.job
    }
    running = {step.job for step in status.steps if step.job and step.state in ("Running", "Failed")}
    return tuple(ExistingChild(EXPERIMENT, name) for name in sorted(ended | running))


def rank_service(run: TrainingRun, running: Iterable[StepState], starts: Iterable[Child]) -> tuple[ExistingChild, ...]:
    """The Service of distributed steps, which stays while one runs; a step that starts now applies it."""
    distributed = any(state.step.container and state.step.container.distributed for state in running)
    applied = any(child.api == SERVICE for child in starts)
    return (ExistingChild(SERVICE, service_name(run)),) if distributed and not applied else ()
