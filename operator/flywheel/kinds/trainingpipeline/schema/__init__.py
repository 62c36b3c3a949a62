"""What a user writes into a TrainingPipeline, and what is read from it.

`template` (the content of a revision) builds on `steps` and `parameters`; `triggers` says what starts a run.
"""

from flywheel.core.resource.kind import Resource
from flywheel.kinds.trainingpipeline.schema.spec import TrainingPipelineSpec
from flywheel.kinds.trainingpipeline.schema.status import TrainingPipelineStatus
from flywheel.kinds.trainingpipeline.schema.template import Template

TrainingPipeline = Resource[TrainingPipelineSpec, TrainingPipelineStatus]

__all__ = ["Template", "TrainingPipeline", "TrainingPipelineSpec", "TrainingPipelineStatus"]
