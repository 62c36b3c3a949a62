"""Fitting an estimator that learns in rounds, with a look at it every few of them. What is fitted is the same as without looking."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numpy.typing import NDArray

FIRST = 10  # rounds: of boosting, or over all rows

Array = NDArray[Any]
Look = Callable[[int, Any], None]
"""Gets how many rounds there were, and the estimator as it is then, which takes columns as the pipeline has prepared them."""


def fit(model: Any, x: Array, y: Array, look: Look) -> None:
    """Fit in place. An estimator that learns all at once is never looked at."""
    name = type(model).__name__
    if not is_staged(model):
        model.fit(x, y)
    elif name.startswith("MLP"):
        _network(model, x, y, look)
    elif name.startswith("Hist"):
        _histogram(model, x, y, look)
    else:
        _boosting(model, x, y, look)


def looks(rounds: int) -> list[int]:
    """After 10, 15, 20, 30, 40, 60, 80, 120, … rounds, and after the last.

    The same for every trial, since curves are compared step by step; further and further apart, since boosting that goes on first asks
    all the trees that it has, and a look every ten rounds would make long fits many times as long.
    """
    found, step = list[int](), FIRST
    while step < rounds:
        found += [step, step * 3 // 2] if step * 3 // 2 < rounds else [step]
        step *= 2
    return [*found, rounds]


def _histogram(model: Any, x: Array, y: Array, look: Look) -> None:
    """A fit that goes on where the one before stopped (warm_start) keeps its random numbers and its early stopping."""
    rounds, warm = model.max_iter, model.warm_start
    try:
        for goal in looks(rounds):
            model.set_params(max_iter=goal, warm_start=True)
            model.fit(x, y)
            look(model.n_iter_, model)
            if model.n_iter_ < goal or _stops(model):
                return
    finally:
        model.set_params(max_iter=rounds, warm_start=warm)


def _stops(model: Any) -> bool:
    """Whether early stopping ended the fit in its very last round; it would not know when it goes on."""
    if not model.do_early_stopping_:
        return False
    scores = model.validation_score_ if len(model.validation_score_) else model.train_score_
    return bool(model._should_stop(list(scores)))


def _boosting(model: Any, x: Array, y: Array, look: Look) -> None:
    due = set(looks(model.n_estimators))

    def monitor(number: int, fitting: Any, _: Any) -> bool:
        rounds = number + 1
        if rounds in due and rounds < fitting.n_estimators:
            whole = fitting.estimators_
            fitting.estimators_ = whole[:rounds]  # the rest is empty yet
            try:
                look(rounds, fitting)
            finally:
                fitting.estimators_ = whole
        return False

    model.fit(x, y, monitor=monitor)
    look(model.n_estimators_, model)


def _network(model: Any, x: Array, y: Array, look: Look) -> None:
    """After each round over the rows a network asks itself whether it still improves."""
    asks, due = model._update_no_improvement_count, set(looks(model.max_iter))

    def asked(*arguments: Any) -> None:
        asks(*arguments)
        if model.n_iter_ in due:
            look(model.n_iter_, model)

    model._update_no_improvement_count = asked
    try:
        model.fit(x, y)
    finally:
        del model._update_no_improvement_count
    if model.n_iter_ not in due:
        look(model.n_iter_, model)


def is_staged(model: Any) -> bool:
    """Whether `fit` looks at it while it learns."""
    name = type(model).__name__
    return "GradientBoosting" in name or (name.startswith("MLP") and model.solver != "lbfgs")
