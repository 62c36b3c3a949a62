"""What an Experiment's short form leaves open, settled from its data: task, metric, direction, space."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

from flywheel.core.resource.metric_direction import KNOWN_DIRECTIONS, Direction
from flywheel.kinds.experiment.schema.constraints import Constraint
from flywheel.kinds.experiment.schema.distributions import Distribution
from flywheel.kinds.experiment.schema.spec import ExperimentSpec
from flywheel.kinds.experiment.schema.status import Data
from flywheel.kinds.experiment.schema.trainer import Estimator
from flywheel.kinds.experiment.search.presets import TABULAR, default_metric
from flywheel.kinds.experiment.search.space import Branch, Choice, Dimension, Real, Space, Whole, size


@dataclass(frozen=True)
class Setup:
    """All that is settled. `estimators` is empty for a container."""

    task: Literal["Classification", "Regression"] | None
    metric: str
    direction: Direction
    estimators: tuple[Estimator, ...]
    space: Space
    constraints: tuple[Constraint, ...] = ()
    repeats: int = 1
    seed: int = 0  # of the first repeat; the others have the next ones

    @property
    def maximize(self) -> bool:
        """Whether more is better."""
        return self.direction == "Maximize"

    def total(self, budget: int) -> int:
        """How many trials there will be at most."""
        return min(budget, size(self.space) or budget)


def settle(spec: ExperimentSpec, data: Data) -> Setup | None:
    """The setup, or None where the Dataset has no target and so says no task."""
    if spec.trainer.container is not None:
        assert spec.objective is not None, "a rule of the schema"
        branch = Branch("", _dimensions(spec.trainer.container.search))
        metric = str(spec.objective.metric)
        return Setup(None, metric, _direction(spec, metric), (), (branch,), spec.constraints, **_repeated(spec))
    assert spec.trainer.sklearn is not None, "a rule of the schema"
    task = spec.trainer.sklearn.task or data.task
    if task is None:
        return None
    estimators = spec.trainer.sklearn.estimators or TABULAR[task]
    metric = str(spec.objective.metric) if spec.objective else default_metric(task, data.classes)
    space = tuple(Branch(estimator.name, _dimensions(estimator.search)) for estimator in estimators)
    return Setup(task, metric, _direction(spec, metric), estimators, space, spec.constraints, **_repeated(spec))


def _repeated(spec: ExperimentSpec) -> dict[str, int]:
    return {"repeats": spec.repeats or 1, "seed": spec.search.seed}


def _direction(spec: ExperimentSpec, metric: str) -> Direction:
    said = spec.objective.direction if spec.objective else None
    return said or KNOWN_DIRECTIONS.get(metric, "Maximize")


def _dimensions(search: Mapping[str, Distribution]) -> dict[str, Dimension]:
    return {name: _dimension(distribution) for name, distribution in search.items()}


def _dimension(distribution: Distribution) -> Dimension:
    real, whole = distribution.float_, distribution.int_
    if real is not None:
        step = Decimal(real.step) if real.step is not None else None
        return Real(Decimal(real.min), Decimal(real.max), bool(real.log), step)
    if whole is not None:
        return Whole(whole.min, whole.max, bool(whole.log), whole.step or 1)
    return Choice(distribution.choice or ())
