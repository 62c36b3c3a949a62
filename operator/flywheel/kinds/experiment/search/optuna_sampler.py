"""Optuna studies made anew from the history: the next point by TPE, and which parameters mattered."""

import math
import threading
import warnings
from collections.abc import Sequence
from decimal import Decimal
from functools import cache
from typing import Any

import optuna

from flywheel.kinds.experiment.search.space import (
    CategoricalDimension,
    Dimension,
    IntegerDimension,
    PastTrial,
    Point,
    RealDimension,
    Space,
)

# The trials that count as the best ones when the importance of parameters is computed.
BEST_SHARE = 0.1
MIN_BEST_TRIALS = 4
MAX_BEST_SHARE = 0.5

# Optuna is Python code: several threads at once would finish no sooner, and the event loop would wait for each of them in turn.
OPTUNA_LOCK = threading.Lock()

optuna.logging.set_verbosity(optuna.logging.ERROR)
warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)


def suggest_point(space: Space, past: Sequence[PastTrial], seed: int, *, maximize: bool) -> Point:
    """The next point by Optuna's Tree-structured Parzen Estimator; running trials repel it (constant liar)."""
    sampler = optuna.samplers.TPESampler(seed=seed, n_startup_trials=0, constant_liar=True)
    with OPTUNA_LOCK:
        study = _study(space, [each for each in past if each.running or each.has_result], maximize, sampler)
        return _suggested_point(space, study.ask())


def _suggested_point(space: Space, trial: Any) -> Point:
    branch = trial.suggest_categorical("branch", list(range(len(space)))) if len(space) > 1 else 0
    ordered = space[branch].ordered
    return (branch, *(_suggested_coordinate(trial, f"{branch}.{name}", dimension) for name, dimension in ordered))


def _suggested_coordinate(trial: Any, name: str, dimension: Dimension) -> float | int:
    match dimension:
        case CategoricalDimension():
            return int(trial.suggest_categorical(name, list(range(dimension.size))))
        case RealDimension(step=None):
            low, high = float(dimension.low), float(dimension.high)
            return dimension.round_value(trial.suggest_float(name, low, high, log=dimension.log))
        case IntegerDimension(log=True):
            return int(trial.suggest_int(name, dimension.low, dimension.high, log=True))
        case _:
            return dimension.value_at(int(trial.suggest_int(name, 0, (dimension.size or 1) - 1)))


@cache
def _distribution(dimension: Dimension) -> Any:
    distributions = optuna.distributions
    match dimension:
        case CategoricalDimension():
            return distributions.CategoricalDistribution(list(range(dimension.size)))
        case RealDimension(step=None):
            return distributions.FloatDistribution(float(dimension.low), float(dimension.high), log=dimension.log)
        case IntegerDimension(log=True):
            return distributions.IntDistribution(dimension.low, dimension.high, log=True)
        case _:
            return distributions.IntDistribution(0, (dimension.size or 1) - 1)


def _optuna_value(dimension: Dimension, coordinate: float | int) -> float | int:
    """A coordinate as Optuna knows it: steps are counted, so that no sum of floats misses one."""
    if isinstance(dimension, RealDimension) and dimension.step is not None:
        return round((Decimal(repr(coordinate)) - dimension.low) / dimension.step)
    if isinstance(dimension, IntegerDimension) and not dimension.log:
        return (int(coordinate) - dimension.low) // dimension.step
    return coordinate


def _optuna_trial(space: Space, past: PastTrial) -> Any:
    branch = int(past.point[0])
    named = [(f"{branch}.{name}", dimension) for name, dimension in space[branch].ordered]
    distributions = {name: _distribution(dimension) for name, dimension in named}
    params = {
        name: _optuna_value(dimension, value) for (name, dimension), value in zip(named, past.point[1:], strict=True)
    }
    if len(space) > 1:
        distributions["branch"] = optuna.distributions.CategoricalDistribution(list(range(len(space))))
        params["branch"] = branch
    states = optuna.trial.TrialState
    last = math.nan if past.value is None else past.value
    return optuna.trial.create_trial(
        state=states.RUNNING if past.running else states.PRUNED if past.step is not None else states.COMPLETE,
        value=past.value,
        params=params,
        distributions=distributions,
        intermediate_values={} if past.step is None else {past.step: last},
        constraints={"all": past.violation} if past.violation else None,
    )


def importance(space: Space, succeeded: Sequence[PastTrial], *, maximize: bool) -> dict[str, float]:
    """The share of each parameter by PED-ANOVA (https://arxiv.org/abs/2304.10255), which needs no scikit-learn; they add up to 1.

    A parameter of one estimator among several is named `Estimator.parameter`, and their choice `estimator`. Empty where all trials are as
    good as the best ones.
    """
    share = min(max(BEST_SHARE, MIN_BEST_TRIALS / len(succeeded)), MAX_BEST_SHARE)
    ranked = sorted((each.value for each in succeeded if each.value is not None), reverse=maximize)
    if ranked[math.ceil(share * len(ranked)) - 1] == ranked[-1]:
        return {}
    evaluator = optuna.importance.PedAnovaImportanceEvaluator(target_quantile=share)
    with OPTUNA_LOCK, warnings.catch_warnings():
        # Of an estimator with a single trial, Optuna says that the importance of its parameters is uncertain.
        warnings.filterwarnings("ignore", message="Some regimes for parameter", category=UserWarning)
        shares = optuna.importance.get_param_importances(_study(space, succeeded, maximize), evaluator=evaluator)
    return {_parameter_name(space, name): float(value) for name, value in shares.items() if value > 0}


def _parameter_name(space: Space, name: str) -> str:
    if name == "branch":
        return "estimator"
    branch, _, parameter = name.partition(".")
    return f"{space[int(branch)].name}.{parameter}" if len(space) > 1 else parameter


def _study(space: Space, past: Sequence[PastTrial], maximize: bool, sampler: Any = None) -> Any:
    study = optuna.create_study(sampler=sampler, direction="maximize" if maximize else "minimize")
    study.add_trials([_optuna_trial(space, each) for each in past])
    return study
