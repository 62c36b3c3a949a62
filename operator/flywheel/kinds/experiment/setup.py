"""What an Experiment's short form leaves open, settled from its data: task, metric, direction, space."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Literal

from flywheel.core.resource import names
from flywheel.core.resource.kind import Resource
from flywheel.core.resource.metric_direction import KNOWN_DIRECTIONS, Direction
from flywheel.kinds.experiment.constraints import Constraint
from flywheel.kinds.experiment.presets import TABULAR, default_metric
from flywheel.kinds.experiment.record import Data, ExperimentStatus
from flywheel.kinds.experiment.schema import ExperimentSpec
from flywheel.kinds.experiment.search import Branch, Choice, Dimension, Point, Real, Space, Whole, size, values
from flywheel.kinds.experiment.space import Distribution
from flywheel.kinds.experiment.trainer import Estimator

Experiment = Resource[ExperimentSpec, ExperimentStatus]

# What the rules of the schema hold still once the search has started: with another value of these it is another search.
FIXED = {
    "dataset",
    "dataset_version",
    "artifact",
    "trainer",
    "search",
    "validation",
    "objective",
    "constraints",
    "repeats",
    "distributed",
}


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


def fingerprint(spec: ExperimentSpec) -> str:
    """8 digits that change when the spec asks for another search."""
    # Without defaults: an operator that knows one more field still sees the same search.
    told = spec.model_dump(
        mode="json", by_alias=True, include=FIXED, exclude={"objective": {"goal"}}, exclude_defaults=True
    )
    return names.digest(told)[:8]


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


def params(experiment: Experiment, setup: Setup, point: Point, repeat: int = 1) -> dict[str, Any]:
    """`params.json` of a trial: the step train's (images/README.md), or the container's own parameters, all flat."""
    seed = setup.seed + repeat - 1
    spec, (name, searched) = experiment.spec, values(setup.space, point)
    if spec.trainer.container is not None:
        told = {**spec.trainer.container.parameters, **searched}
        given = {parameter: literal(value) for parameter, value in told.items()}
        return {**given, "seed": seed} if spec.repeats else given
    features = spec.trainer.sklearn.features if spec.trainer.sklearn else None
    return {
        "estimator": name,
        "parameters": {**setup.estimators[int(point[0])].parameters, **searched},
        "task": setup.task,
        "features": features.model_dump(mode="json") if features else None,
        "objective": {"metric": setup.metric},
        "validation": spec.validation.model_dump(exclude_none=True) if spec.validation else {"holdout": "Validation"},
        "seed": seed,
        **({"curve": True} if spec.pruner else {}),
    }


def literal(value: float | int | str) -> Any:
    """A string that reads as a JSON number, boolean, null or string is that; any other is itself."""
    if not isinstance(value, str):
        return value
    try:
        read = json.loads(value)
    except ValueError:
        return value
    no_json = isinstance(read, float) and not math.isfinite(read)
    return value if no_json or isinstance(read, dict | list) else read


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
