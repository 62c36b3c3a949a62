"""TrainingRun as the engine sees it."""

from flywheel.core.resource.api import EXPERIMENT, JOB, MODEL, MODEL_VERSION, SERVICE, TRAINING_RUN
from flywheel.core.resource.kind import Kind
from flywheel.kinds.trainingrun.decide import decide
from flywheel.kinds.trainingrun.observe import Seen, observe, references
from flywheel.kinds.trainingrun.schema import TrainingRunSpec, TrainingRunStatus
from flywheel.kinds.trainingrun.schema.spec import IMMUTABLE_FIELDS

KIND: Kind[TrainingRunSpec, TrainingRunStatus, Seen] = Kind(
    api=TRAINING_RUN,
    short_name="fwrun",
    spec=TrainingRunSpec,
    status=TrainingRunStatus,
    observe=observe,
    decide=decide,
    owns=(JOB, EXPERIMENT, SERVICE),
    makes=(MODEL, MODEL_VERSION),
    references=references,
    bounded=True,
    rules=IMMUTABLE_FIELDS,
    normal_reasons=frozenset(
        ("DatasetNotReady", "NoSuccessfulRun", "PipelineNotReady", "Running", "Succeeded", "Cancelled")
    ),
)
