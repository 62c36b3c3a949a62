"""What a pipeline and a run of it will create: for `flywheel test`."""

from collections.abc import Iterable

from flywheel.core.resource.names import truncate
from flywheel.core.resource.plan import Child
from flywheel.core.settings import Settings
from flywheel.kinds.trainingpipeline import children
from flywheel.kinds.trainingpipeline.schema import TrainingPipeline
from flywheel.kinds.trainingrun.preview import preview_steps


def preview(pipeline: TrainingPipeline, settings: Settings) -> Iterable[Child]:
    """The revision, the CronJobs of triggers, and the children of a run, whose kind knows what its steps become.

    Raises:
        ValueError: a step takes what no step leaves; the message says which.
    """
    yield children.revision(pipeline)
    yield from children.cron_jobs(pipeline)
    run = truncate(f"{pipeline.name}-run", children.MAX_RUN_NAME_LENGTH)
    yield from preview_steps(pipeline, run, settings)
