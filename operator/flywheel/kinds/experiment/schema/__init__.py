"""What a user writes into an Experiment, and what is read from it.

`spec` stands on `trainer`, `distributions`, `pruner` and `constraints`; `immutable` says what may not change once the search has started.
"""

from flywheel.kinds.experiment.schema.spec import ExperimentSpec
from flywheel.kinds.experiment.schema.status import ExperimentStatus

__all__ = ["ExperimentSpec", "ExperimentStatus"]
