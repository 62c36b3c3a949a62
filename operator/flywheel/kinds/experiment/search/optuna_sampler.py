"""Optuna studies made anew from the history, and what they say: the next point, and which parameters mattered."""

import math
import threading
import warnings
from collections.abc import Sequence
from decimal import Decimal
from functools import cache
from typing import Any

import optuna

from flywheel.kinds.experiment.search.space import Choice, Dimension, Past, Point, Real, Space, Whole

BEST_SHARE, FEWEST_BEST, MOST_SHARE = 0.1, 4, 0.5  # which trials count as good ones

# Python code by and by: side by side it would be done no sooner, and the event loop would wait for each of them in turn.
ONE_AT_A_TIME = threading.Lock()

optuna.logging.set_verbosity(optuna.logging.ERROR)
warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)


def ask(space: Space, past: Sequence[Past], seed: int, *, maximize: bool) -> Point:
    """Optuna's Tree-structured Parzen Estimator on a study made anew from the history; running trials repel (constant liar)."""
    sampler = optuna.samplers.TPESampler(seed=seed, n_startup_trials=0, constant_liar=True)
    with ONE_AT_A_TIME:
        asked = _study(space, [each for each in past if each.running or each.tells], maximize, sampler).ask()
        return _answers(space, asked)


def _answers(space: Space, asked: Any) -> Point:
    branch = asked.suggest_categorical("branch", list(range(len(space)))) if len(space) > 1 else 0
    found: list[float | int] = [branch]
    for name, dimension in space[branch].ordered:
        found.append(_suggested(asked, f"{branch}.{name}", dimension))
    return tuple(found)


def _told(space: Space, each: Past) -> Any:
    branch = int(each.point[0])
    pairs = [(f"{branch}.{name}", dimension) for name, dimension in space[branch].ordered]
    distributions = {name: _distribution(dimension) for name, dimension in pairs}
    params = {name: _inward(dimension, value) for (name, dimension), value in zip(pairs, each.point[1:], strict=True)}
    if len(space) > 1:
        distributions["branch"] = optuna.distributions.CategoricalDistribution(list(range(len(space))))
        params["branch"] = branch
    states = optuna.trial.TrialState
    last = math.nan if each.value is None else each.value
    return optuna.trial.create_trial(
        state=states.RUNNING if each.running else states.PRUNED if each.step is not None else states.COMPLETE,
        value=each.value,
        params=params,
        distributions=distributions,
        intermediate_values={} if each.step is None else {each.step: last},
        constraints={"all": each.violation} if each.violation else None,
    )


@cache
def _distribution(dimension: Dimension) -> Any:
    kinds = optuna.distributions
    if isinstance(dimension, Choice):
        return kinds.CategoricalDistribution(list(range(dimension.size)))
    if isinstance(dimension, Real) and dimension.size is None:
        return kinds.FloatDistribution(float(dimension.low), float(dimension.high), log=dimension.log)
    if isinstance(dimension, Whole) and dimension.log:
        return kinds.IntDistribution(dimension.low, dimension.high, log=True)
    assert dimension.size is not None
    return kinds.IntDistribution(0, dimension.size - 1)


def _suggested(asked: Any, name: str, dimension: Dimension) -> float | int:
    if isinstance(dimension, Choice):
        return int(asked.suggest_categorical(name, list(range(dimension.size))))
    if isinstance(dimension, Real) and dimension.size is None:
        return dimension.rounded(
            asked.suggest_float(name, float(dimension.low), float(dimension.high), log=dimension.log)
        )
    if isinstance(dimension, Whole) and dimension.log:
        return int(asked.suggest_int(name, dimension.low, dimension.high, log=True))
    assert dimension.size is not None
    return dimension.at(int(asked.suggest_int(name, 0, dimension.size - 1)))


def _inward(dimension: Dimension, value: float | int) -> float | int:
    """A value as Optuna knows it: steps are counted, so that no sum of floats misses one."""
    if isinstance(dimension, Real) and dimension.step is not None:
        return round((Decimal(repr(value)) - dimension.low) / dimension.step)
    if isinstance(dimension, Whole) and not dimension.log:
        return (int(value) - dimension.low) // dimension.step
    return value


def importance(space: Space, done: Sequence[Past], *, maximize: bool) -> dict[str, float]:
    """Shares that add up to 1 by PED-ANOVA (https://arxiv.org/abs/2304.10255), which needs no scikit-learn, of trials that succeeded.

    A parameter of one estimator among several is named `Estimator.parameter`, and their choice `estimator`.
    """
    share = min(max(BEST_SHARE, FEWEST_BEST / len(done)), MOST_SHARE)
    ranked = sorted((each.value for each in done if each.value is not None), reverse=maximize)
    if ranked[math.ceil(share * len(ranked)) - 1] == ranked[-1]:
        return {}  # all are as good as the good ones
    evaluator = optuna.importance.PedAnovaImportanceEvaluator(target_quantile=share)
    with ONE_AT_A_TIME:
        found = optuna.importance.get_param_importances(_study(space, done, maximize), evaluator=evaluator)
    return {_named(space, name): float(value) for name, value in found.items() if value > 0}


def _named(space: Space, name: str) -> str:
    if name == "branch":
        return "estimator"
    branch, _, parameter = name.partition(".")
    return f"{space[int(branch)].name}.{parameter}" if len(space) > 1 else parameter


def _study(space: Space, past: Sequence[Past], maximize: bool, sampler: Any = None) -> Any:
    study = optuna.create_study(sampler=sampler, direction="maximize" if maximize else "minimize")
    study.add_trials([_told(space, each) for each in past])
    return study
