"""Metrics by scikit-learn's definitions. For two classes the positive one is the second."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flywheel_runtime.contract.errors import Failure
from flywheel_runtime.statistics.metric_names import KNOWN

Array = NDArray[Any]


def _classification() -> dict[str, Callable[[Array, Array, Array], float]]:
    """Functions of (class numbers, predicted class numbers, probabilities (rows, classes))."""
    from sklearn import metrics as m

    def area(y: Array, _: Array, p: Array) -> float:
        binary = p.shape[1] == 2
        return float(
            m.roc_auc_score(y, p[:, 1])
            if binary
            else m.roc_auc_score(y, p, multi_class="ovr", average="macro", labels=np.arange(p.shape[1]))
        )

    def precision(y: Array, _: Array, p: Array) -> float:
        if p.shape[1] == 2:
            return float(m.average_precision_score(y, p[:, 1]))
        return float(m.average_precision_score(y[:, None] == np.arange(p.shape[1]), p, average="macro"))

    def brier(y: Array, _: Array, p: Array) -> float:
        if p.shape[1] == 2:
            return float(np.mean((p[:, 1] - y) ** 2))
        return float(np.mean(np.sum((p - (y[:, None] == np.arange(p.shape[1]))) ** 2, axis=1)))

    def f1(y: Array, label: Array, p: Array) -> float:
        return float(m.f1_score(y, label, average="binary" if p.shape[1] == 2 else "weighted", zero_division=0))

    return {
        "roc_auc": area,
        "average_precision": precision,
        "accuracy": lambda y, label, _: float(m.accuracy_score(y, label)),
        "balanced_accuracy": lambda y, label, _: float(m.balanced_accuracy_score(y, label)),
        "f1": f1,
        "f1_macro": lambda y, label, _: float(m.f1_score(y, label, average="macro", zero_division=0)),
        "log_loss": lambda y, _, p: float(m.log_loss(y, p, labels=np.arange(p.shape[1]))),
        "brier": brier,
    }


def _regression() -> dict[str, Callable[[Array, Array, Array], float]]:
    from sklearn import metrics as m

    return {
        "rmse": lambda y, value, _: float(m.root_mean_squared_error(y, value)),
        "mae": lambda y, value, _: float(m.mean_absolute_error(y, value)),
        "r2": lambda y, value, _: float(m.r2_score(y, value)) if len(y) > 1 else float("nan"),
        "mape": lambda y, value, _: float(m.mean_absolute_percentage_error(y, value)),
    }


def order(task: str, objective: str) -> list[str]:
    """The names of all metrics of the task, the objective's first; exit 2 if it is none of them."""
    known = KNOWN[task]
    if objective not in known:
        message = f"Metric '{objective}' is not known for {task}; choose one of {', '.join(known)}."
        raise Failure("MetricUnknown", message)
    return [objective, *(name for name in known if name != objective)]


def score(names: list[str], task: str, y: Array, label: Array, probabilities: Array) -> dict[str, float]:
    """Each metric that has a value; one without (ROC AUC where only one class occurs) is left out."""
    functions = _classification() if task == "Classification" else _regression()
    found: dict[str, float] = {}
    for name in names:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                value = functions[name](y, label, probabilities)
            except ValueError:
                continue
        if np.isfinite(value):
            found[name] = value
    return found


def predict(pipeline: Any, x: Array, classes: int) -> tuple[Array, Array]:
    """Predicted labels (or values) and probabilities for all `classes`, also those that the fit did not see."""
    label = pipeline.predict(x)
    if not classes:
        return label, np.empty((len(x), 0))
    seen = pipeline.predict_proba(x)
    full = np.zeros((len(x), classes))
    full[:, pipeline.classes_.astype(int)] = seen
    return label, full
