"""Fits an estimator that learns in rounds, with a callback every few rounds. The fitted model is the same as without callbacks."""

from collections.abc import Callable
from typing import Any

from numpy.typing import NDArray

FIRST_ROUND = 10  # of boosting, or of an epoch over all rows

Array = NDArray[Any]
RoundCallback = Callable[[int, Any], None]
"""Takes the number of rounds, and the partly fitted estimator, which takes columns as the pipeline has prepared them."""


def fit_in_rounds(model: Any, x: Array, y: Array, on_round: RoundCallback) -> None:
    """Fit in place. An estimator that learns all at once gets no callback."""
    name = type(model).__name__
    if not is_staged(model):
        model.fit(x, y)
    elif name.startswith("MLP"):
        _network(model, x, y, on_round)
    elif name.startswith("Hist"):
        _histogram(model, x, y, on_round)
    else:
        _boosting(model, x, y, on_round)


def callback_rounds(rounds: int) -> list[int]:
    """After 10, 15, 20, 30, 40, 60, 80, 120, … rounds, and after the last.

    The same for every trial, since curves are compared step by step; further and further apart, since each callback runs all trees so far.
    """
    due, step = list[int](), FIRST_ROUND
    while step < rounds:
        due += [step, step * 3 // 2] if step * 3 // 2 < rounds else [step]
        step *= 2
    return [*due, rounds]


def _histogram(model: Any, x: Array, y: Array, on_round: RoundCallback) -> None:
    """Each round begins with a gradient of the loss. Fitting round by round (warm_start) would sort all rows into bins each time:
    three times as long for 230,000 rows (measured)."""
    due, get_loss = set(callback_rounds(model.max_iter)), model._get_loss

    def loss_with_callback(*arguments: Any, **more: Any) -> _Loss:
        return _Loss(get_loss(*arguments, **more), before_round)

    def before_round() -> None:
        rounds = len(model._predictors)
        if rounds in due:
            due.remove(rounds)
            model._in_fit = False  # the callback predicts values, not the bins that a fit works on
            try:
                on_round(rounds, model)
            finally:
                model._in_fit = True

    model._get_loss = loss_with_callback
    try:
        model.fit(x, y)
    finally:
        del model._get_loss
        if isinstance(getattr(model, "_loss", None), _Loss):
            model._loss = model._loss.real
    on_round(model.n_iter_, model)


class _Loss:
    """A loss that calls back before each gradient."""

    def __init__(self, real: Any, before_gradient: Callable[[], None]) -> None:
        self.real = real
        self._before_gradient = before_gradient

    def __getattr__(self, name: str) -> Any:
        return getattr(self.real, name)

    def __call__(self, *arguments: Any, **more: Any) -> Any:
        return self.real(*arguments, **more)

    def gradient(self, *arguments: Any, **more: Any) -> Any:
        self._before_gradient()
        return self.real.gradient(*arguments, **more)

    def gradient_hessian(self, *arguments: Any, **more: Any) -> Any:
        self._before_gradient()
        return self.real.gradient_hessian(*arguments, **more)


def _boosting(model: Any, x: Array, y: Array, on_round: RoundCallback) -> None:
    due = set(callback_rounds(model.n_estimators))

    def monitor(number: int, fitting: Any, _: Any) -> bool:
        rounds = number + 1
        if rounds in due and rounds < fitting.n_estimators:
            whole = fitting.estimators_
            fitting.estimators_ = whole[:rounds]  # the rest is empty yet
            try:
                on_round(rounds, fitting)
            finally:
                fitting.estimators_ = whole
        return False

    model.fit(x, y, monitor=monitor)
    on_round(model.n_estimators_, model)


def _network(model: Any, x: Array, y: Array, on_round: RoundCallback) -> None:
    """After each epoch a network checks whether it still improves."""
    update, due = model._update_no_improvement_count, set(callback_rounds(model.max_iter))

    def update_with_callback(*arguments: Any) -> None:
        update(*arguments)
        if model.n_iter_ in due:
            on_round(model.n_iter_, model)

    model._update_no_improvement_count = update_with_callback
    try:
        model.fit(x, y)
    finally:
        del model._update_no_improvement_count
    if model.n_iter_ not in due:
        on_round(model.n_iter_, model)


def is_staged(model: Any) -> bool:
    """Whether `fit_in_rounds` calls back while it learns."""
    name = type(model).__name__
    return "GradientBoosting" in name or (name.startswith("MLP") and model.solver != "lbfgs")
