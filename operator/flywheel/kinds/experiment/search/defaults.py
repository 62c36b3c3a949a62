"""What an Experiment leaves open, filled in from its data: task, metric, direction, estimators and space."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from flywheel.core.resource.metric_direction import KNOWN_DIRECTIONS, Direction
from flywheel.kinds.experiment.schema.constraints import Constraint
from flywheel.kinds.experiment.schema.distributions import Distribution
from flywheel.kinds.experiment.schema.spec import ExperimentSpec
from flywheel.kinds.experiment.schema.status import Data
from flywheel.kinds.experiment.schema.trainer import ContainerTrainer, Estimator
from flywheel.kinds.experiment.search.presets import TABULAR, Task, default_metric
from flywheel.kinds.experiment.search.space import (
    Branch,
    CategoricalDimension,
    Dimension,
    IntegerDimension,
    RealDimension,
    Space,
    space_size,
)


@dataclass(frozen=True)
class Setup:
    """A search with every default filled in. `task` is None and `estimators` empty for a container."""

    task: Task | None
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

    def max_trials(self, budget: int) -> int:
        """How many trials there will be at most."""
        return min(budget, space_size(self.space) or budget)


def resolve_setup(spec: ExperimentSpec, data: Data) -> Setup | None:
    """The setup, or None where the Dataset has no target, so that the task is unknown."""
    trainer = spec.trainer.implementation
    task: Task | None = None
    estimators: tuple[Estimator, ...] = ()
    if isinstance(trainer, ContainerTrainer):
        space: Space = (Branch("", _dimensions(trainer.search)),)
    else:
        task = trainer.task or data.task
        if task is None:
            return None
        estimators = trainer.estimators or TABULAR[task]
        space = tuple(Branch(estimator.name, _dimensions(estimator.search)) for estimator in estimators)
    metric = str(spec.objective.metric) if spec.objective else default_metric(task, data.classes)
    given = spec.objective.direction if spec.objective else None
    return Setup(
        task=task,
        metric=metric,
        direction=given or KNOWN_DIRECTIONS.get(metric, "Maximize"),
        estimators=estimators,
        space=space,
        constraints=spec.constraints,
        repeats=spec.repeats or 1,
        seed=spec.search.seed,
    )


def _dimensions(search: Mapping[str, Distribution]) -> dict[str, Dimension]:
    return {name: _dimension(distribution) for name, distribution in search.items()}


def _dimension(distribution: Distribution) -> Dimension:
    real, integer = distribution.float_, distribution.int_
    if real is not None:
        step = Decimal(real.step) if real.step is not None else None
        return RealDimension(Decimal(real.min), Decimal(real.max), bool(real.log), step)
    if integer is not None:
        return IntegerDimension(integer.min, integer.max, bool(integer.log), integer.step or 1)
    return CategoricalDimension(distribution.choice or ())
