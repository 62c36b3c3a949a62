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
    int_or_float: parameters where scikit-learn reads 1 and 1.0 differently, so a manifest must say which.
    refused: parameters whose effect is lost in ONNX.
    """

    module: str
    task: Task
    encoding: Literal["OneHot", "Ordinal"]
    scaled: bool = False
    missing: bool = False
    seeded: bool = True
    parallel: bool = False
    int_or_float: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()


_TREE = ("max_features", "min_samples_leaf", "min_samples_split")
_FOREST = (*_TREE, "max_samples")
# categorical_features: exported trees took other branches (measured: probabilities off by 0.96).
_HISTOGRAM = ("categorical_features",)

ESTIMATORS: dict[str, Estimator] = {
    "HistGradientBoostingClassifier": Estimator(
        "sklearn.ensemble", "Classification", "Ordinal", missing=True, refused=_HISTOGRAM
    ),
    "RandomForestClassifier": Estimator(
        "sklearn.ensemble", "Classification", "Ordinal", parallel=True, int_or_float=_FOREST
    ),
    "ExtraTreesClassifier": Estimator(
        "sklearn.ensemble", "Classification", "Ordinal", parallel=True, int_or_float=_FOREST
    ),
    "GradientBoostingClassifier": Estimator("sklearn.ensemble", "Classification", "Ordinal", int_or_float=_TREE),
    "DecisionTreeClassifier": Estimator("sklearn.tree", "Classification", "Ordinal", int_or_float=_TREE),
    "LogisticRegression": Estimator("sklearn.linear_model", "Classification", "OneHot", scaled=True),
    "GaussianNB": Estimator("sklearn.naive_bayes", "Classification", "Ordinal", scaled=True, seeded=False),
    "MLPClassifier": Estimator("sklearn.neural_network", "Classification", "OneHot", scaled=True),
    "HistGradientBoostingRegressor": Estimator(
        "sklearn.ensemble", "Regression", "Ordinal", missing=True, refused=_HISTOGRAM
    ),
    "RandomForestRegressor": Estimator(
        "sklearn.ensemble", "Regression", "Ordinal", parallel=True, int_or_float=_FOREST
    ),
    "ExtraTreesRegressor": Estimator("sklearn.ensemble", "Regression", "Ordinal", parallel=True, int_or_float=_FOREST),
    "GradientBoostingRegressor": Estimator("sklearn.ensemble", "Regression", "Ordinal", int_or_float=_TREE),
    "DecisionTreeRegressor": Estimator("sklearn.tree", "Regression", "Ordinal", int_or_float=_TREE),
    "LinearRegression": Estimator("sklearn.linear_model", "Regression", "OneHot", scaled=True, seeded=False),
    "Ridge": Estimator("sklearn.linear_model", "Regression", "OneHot", scaled=True),
    "Lasso": Estimator("sklearn.linear_model", "Regression", "OneHot", scaled=True),
    "ElasticNet": Estimator("sklearn.linear_model", "Regression", "OneHot", scaled=True),
    "MLPRegressor": Estimator("sklearn.neural_network", "Regression", "OneHot", scaled=True),
}


def find_estimator(name: str, task: Task) -> Estimator:
    """The allowed estimator `name` for `task`; exit 2 for any other."""
    found = ESTIMATORS.get(name)
    if found is None or found.task != task:
        allowed = ", ".join(sorted(key for key, estimator in ESTIMATORS.items() if estimator.task == task))
        message = f"Estimator '{name}' is not allowed for {task}; choose one of {allowed}."
        raise Failure("EstimatorNotAllowed", message)
    return found


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
