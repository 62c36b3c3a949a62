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

    The same for every trial, since curves are compared step by step; further and further apart, since each look asks all the trees so far.
    """
    found, step = list[int](), FIRST
    while step < rounds:
        found += [step, step * 3 // 2] if step * 3 // 2 < rounds else [step]
        step *= 2
    return [*found, rounds]


def _histogram(model: Any, x: Array, y: Array, look: Look) -> None:
    """Each round begins by asking the loss for its gradient. Fitting round by round (warm_start) would sort all rows into bins each time:
    three times as long for 230,000 rows (measured)."""
    due, get_loss = set(looks(model.max_iter)), model._get_loss

    def watched(*arguments: Any, **more: Any) -> _Loss:
        return _Loss(get_loss(*arguments, **more), before_round)

    def before_round() -> None:
        rounds = len(model._predictors)
        if rounds in due:
            due.remove(rounds)
            model._in_fit = False  # what is looked at are values, not the bins that a fit works on
            try:
                look(rounds, model)
            finally:
                model._in_fit = True

    model._get_loss = watched
    try:
        model.fit(x, y)
    finally:
        del model._get_loss
        if isinstance(getattr(model, "_loss", None), _Loss):
            model._loss = model._loss.real
    look(model.n_iter_, model)


class _Loss:
    """A loss that tells when it is asked for gradients."""

    def __init__(self, real: Any, asked: Callable[[], None]) -> None:
        self.real = real
        self._asked = asked

    def __getattr__(self, name: str) -> Any:
        return getattr(self.real, name)

    def __call__(self, *arguments: Any, **more: Any) -> Any:
        return self.real(*arguments, **more)

    def gradient(self, *arguments: Any, **more: Any) -> Any:
        self._asked()
        return self.real.gradient(*arguments, **more)

    def gradient_hessian(self, *arguments: Any, **more: Any) -> Any:
        self._asked()
        return self.real.gradient_hessian(*arguments, **more)


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
