"""The configuration of a trial, in params.json."""

from typing import Any, Literal

from pydantic import Field

from flywheel_runtime.datasets.features import ChosenFeatures
from flywheel_runtime.models.estimators import Task
from flywheel_runtime.params import Params


class ValidationConfig(Params):
    """A number of folds, or the validation split of the Dataset."""

    folds: int | None = None
    holdout: Literal["Validation"] | None = None


class TrainConfig(Params):
    """One trial; `task` None: that of the target. `features` None: every usable column. `curve`: log the objective while it learns.

    `rowwise` maps features to expressions over columns of one row, in DuckDB's SQL.
    """

    estimator: str
    parameters: dict[str, Any] = Field(default_factory=dict)
    task: Task | None = None
    features: ChosenFeatures | None = None
    objective: dict[Literal["metric"], str]
    validation: ValidationConfig
    seed: int = 0
    curve: bool = False
    rowwise: dict[str, str] = Field(default_factory=dict)

    @property
    def chosen_names(self) -> frozenset[str] | None:
        """The names of the chosen features; None: none are chosen."""
        chosen = self.features
        return frozenset((*chosen.numeric, *chosen.categorical, *chosen.text)) if chosen else None
