"""The estimators that a trial may use. Each is here because its ONNX export gives the same predictions (tests/runtime/commands/train)."""

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from flywheel_runtime.contract.errors import Failure
from flywheel_runtime.models.literals import parse_literal

Task = Literal["Classification", "Regression"]


@dataclass(frozen=True)
class Estimator:
    """One allowed estimator.

    encoding: how text columns enter it. OneHot for models that add columns up, Ordinal (a code for each category, the
    most frequent first) for trees, which cut codes as they need and are ten times as fast that way (measured).
    scaled: whether numbers are centred and scaled. missing: whether it takes missing numbers as they are.
    refused: parameters whose effect is lost in ONNX.
    """

    module: str
    encoding: Literal["OneHot", "Ordinal"]
    scaled: bool = False
    missing: bool = False
    seeded: bool = True
    parallel: bool = False
    refused: tuple[str, ...] = ()


# Those that scikit-learn has as a classifier and as a regressor.
_FAMILIES = {
    # categorical_features: exported trees took other branches (measured: probabilities off by 0.96).
    "HistGradientBoosting": Estimator("sklearn.ensemble", "Ordinal", missing=True, refused=("categorical_features",)),
    "RandomForest": Estimator("sklearn.ensemble", "Ordinal", parallel=True),
    "ExtraTrees": Estimator("sklearn.ensemble", "Ordinal", parallel=True),
    "GradientBoosting": Estimator("sklearn.ensemble", "Ordinal"),
    "DecisionTree": Estimator("sklearn.tree", "Ordinal"),
    "MLP": Estimator("sklearn.neural_network", "OneHot", scaled=True),
}
ESTIMATORS: dict[Task, dict[str, Estimator]] = {
    "Classification": {
        **{f"{family}Classifier": estimator for family, estimator in _FAMILIES.items()},
        "LogisticRegression": Estimator("sklearn.linear_model", "OneHot", scaled=True),
        "GaussianNB": Estimator("sklearn.naive_bayes", "Ordinal", scaled=True, seeded=False),
    },
    "Regression": {
        **{f"{family}Regressor": estimator for family, estimator in _FAMILIES.items()},
        "LinearRegression": Estimator("sklearn.linear_model", "OneHot", scaled=True, seeded=False),
        "Ridge": Estimator("sklearn.linear_model", "OneHot", scaled=True),
        "Lasso": Estimator("sklearn.linear_model", "OneHot", scaled=True),
        "ElasticNet": Estimator("sklearn.linear_model", "OneHot", scaled=True),
    },
}


def find_estimator(name: str, task: Task) -> Estimator:
    """The allowed estimator `name` for `task`; exit 2 for any other."""
    allowed = ESTIMATORS[task]
    if name not in allowed:
        message = f"Estimator '{name}' is not allowed for {task}; choose one of {', '.join(sorted(allowed))}."
        raise Failure("EstimatorNotAllowed", message)
    return allowed[name]


def build_estimator(name: str, estimator: Estimator, parameters: Mapping[str, Any], seed: int, cores: int) -> Any:
    """An unfitted estimator whose parameters scikit-learn has accepted; exit 1 with scikit-learn's message if it has not."""
    values = {key: parse_literal(value) for key, value in parameters.items()}
    lost = next((key for key in values if key in estimator.refused), None)
    if lost is not None:
        raise _refused(name, f"parameter '{lost}' does not survive the export to ONNX")
    settings: dict[str, Any] = {}
    if estimator.seeded:
        settings["random_state"] = seed
    if estimator.parallel:
        settings["n_jobs"] = cores
    unfitted = getattr(importlib.import_module(estimator.module), name)()
    try:
        unfitted.set_params(**settings | values)
        unfitted._validate_params()
    except (ValueError, TypeError) as error:
        raise _refused(name, str(error)) from error
    return unfitted


def _refused(name: str, finding: str) -> Failure:
    message = f"{name} refused its parameters: {' '.join(finding.split())}"
    return Failure("ParameterRefused", message, retry=True)
