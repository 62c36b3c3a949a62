"""What a user or a trigger writes into a TrainingRun, and what is read from it."""

from flywheel.core.resource.kind import Resource
from flywheel.kinds.trainingrun.schema.spec import TrainingRunSpec
from flywheel.kinds.trainingrun.schema.status import TrainingRunStatus

TrainingRun = Resource[TrainingRunSpec, TrainingRunStatus]

__all__ = ["TrainingRun", "TrainingRunSpec", "TrainingRunStatus"]
