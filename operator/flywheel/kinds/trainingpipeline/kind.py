"""TrainingPipeline as the engine sees it."""

from flywheel.core.resource.api import CONTROLLER_REVISION, CRON_JOB, TRAINING_PIPELINE, TRAINING_RUN
from flywheel.core.resource.kind import HealthByReason, Kind
from flywheel.kinds.trainingpipeline.decide import decide
from flywheel.kinds.trainingpipeline.observe import Seen, observe, references
from flywheel.kinds.trainingpipeline.preview import preview
from flywheel.kinds.trainingpipeline.schema import TrainingPipelineSpec, TrainingPipelineStatus

KIND: Kind[TrainingPipelineSpec, TrainingPipelineStatus, Seen] = Kind(
    api=TRAINING_PIPELINE,
    short_name="fwpipe",
    spec=TrainingPipelineSpec,
    status=TrainingPipelineStatus,
    observe=observe,
    decide=decide,
    owns=(CONTROLLER_REVISION, TRAINING_RUN, CRON_JOB),
    removes=(TRAINING_RUN,),
    references=references,
    preview=preview,
    normal_reasons=frozenset(("Live", "Testing")),
    health=HealthByReason(degraded=("BreakerOpen", "TestFailed")),
)
