"""What a user writes into a TrainingPipeline, and what is read from it.

`template` (what a revision freezes) stands on `steps` and `parameters`; `triggers` says what starts a run.
"""

from flywheel.kinds.trainingpipeline.schema.pipeline import TrainingPipelineSpec, TrainingPipelineStatus
from flywheel.kinds.trainingpipeline.schema.template import Template

__all__ = ["Template", "TrainingPipelineSpec", "TrainingPipelineStatus"]
