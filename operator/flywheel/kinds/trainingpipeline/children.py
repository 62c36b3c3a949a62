"""What a TrainingPipeline becomes: revisions, runs, and CronJobs whose Jobs start no pod."""

from collections.abc import Mapping
from typing import Any

from flywheel.core.pods import cron_job
from flywheel.core.resource import names
from flywheel.core.resource.api import CONTROLLER_REVISION, TRAINING_RUN
from flywheel.core.resource.plan import Child
from flywheel.kinds.trainingpipeline.schema import TrainingPipeline
from flywheel.kinds.trainingpipeline.schema.revision import content, digest, revision_name

MAX_RUN_NAME_LENGTH = 52
RESUME_ANNOTATION = "flywheel.ml/resume-triggers"


def revision(pipeline: TrainingPipeline) -> Child:
    """The ControllerRevision of the current spec; `data` also has spec.test, so that a test run needs nothing else."""
    spec = pipeline.spec
    test = spec.test.model_dump(mode="json", by_alias=True, exclude_none=True) if spec.test else {}
    manifest = CONTROLLER_REVISION.manifest(
        revision_name(pipeline.name, digest(spec)),
        data={"template": content(spec), "test": test},
        revision=pipeline.generation,
    )
    return Child(CONTROLLER_REVISION, manifest, create_only=True)


def cron_jobs(pipeline: TrainingPipeline) -> tuple[Child, ...]:
    """A CronJob for each trigger with a schedule."""
    return tuple(
        child
        for trigger in pipeline.spec.triggers
        for child in cron_job.cron_jobs(
            pipeline, trigger.schedule, suspend=pipeline.spec.suspend, trigger=str(trigger.name)
        )
    )


def run_name(pipeline: TrainingPipeline, trigger: str, key: str) -> str:
    """The run's name: the same cause gives the same name, so that it cannot start two runs."""
    suffix = f"-{names.digest(f'{pipeline.uid} {trigger} {key}')[:8]}"
    return names.truncate(f"{pipeline.name}-{trigger}", MAX_RUN_NAME_LENGTH - len(suffix)) + suffix


def run(
    pipeline: TrainingPipeline, name: str, revision: str, parameters: Mapping[str, Any], cause: Mapping[str, Any]
) -> Child:
    """The run that a trigger starts."""
    given = {"parameters": dict(parameters)} if parameters else {}
    return _run(pipeline, name, revision, cause=dict(cause), **given)


def test_run_name(pipeline: TrainingPipeline, revision: str) -> str:
    """The name of a revision's only test run."""
    return run_name(pipeline, "test", revision)


def test_run(pipeline: TrainingPipeline, revision: str) -> Child:
    """The run on a sample that decides whether a revision becomes live."""
    return _run(pipeline, test_run_name(pipeline, revision), revision, test=True)


def _run(pipeline: TrainingPipeline, name: str, revision: str, **more: Any) -> Child:
    spec = {"pipeline": pipeline.name, "revision": revision, **more}
    return Child(TRAINING_RUN, TRAINING_RUN.manifest(name, spec=spec), create_only=True)
