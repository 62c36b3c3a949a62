"""What all steps of a run share from its start to its end."""

from collections.abc import Mapping
from dataclasses import dataclass

from flywheel.core.settings import Settings
from flywheel.kinds.trainingpipeline.schema import Template
from flywheel.kinds.trainingrun.parameters import Values
from flywheel.kinds.trainingrun.schema import TrainingRun, TrainingRunStatus
from flywheel.kinds.trainingrun.schema.status import InputUsed


@dataclass(frozen=True)
class RunContext:
    """A run with its template, parameters and data.

    `original`: the status of the run that this one reproduces. `sample`: the share of rows that a test run takes.
    """

    run: TrainingRun
    template: Template
    values: Values
    inputs: Mapping[str, InputUsed]
    settings: Settings
    original: TrainingRunStatus | None = None
    sample: str | None = None
