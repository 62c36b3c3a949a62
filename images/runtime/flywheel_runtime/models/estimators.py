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

    encoding: how text columns enter it. OneHot for models that add columns up, Ordinal (a code for each category) for
    trees, which cut codes as they need and are ten times as fast that way (measured).
    scaled: whether numbers are centred and scaled. missing: whether it takes missing numbers as they are.
    lost: settings whose effect is lost in ONNX, which are refused before a fit.
    """

    module: str
    encoding: Literal["OneHot", "Ordinal"]
    scaled: bool = False
    missing: bool = False
    seeded: bool = True
    parallel: bool = False
    lost: tuple["LostSetting", ...] = ()


@dataclass(frozen=True)
class LostSetting:
    """A parameter, or some of its values, whose export to ONNX predicts something else or fails; `finding` says what was seen.

    `values` None: every value. `tasks` None: for both. `min_classes`: only with so many classes.
    """

    parameter: str
    finding: str
    values: tuple[Any, ...] | None = None
    task: "Task | None" = None
    min_classes: int = 0

    def is_met(self, values: Mapping[str, Any], classes: int) -> bool:
        """Whether these parameters have the setting, for a target with so many classes (0 for a number)."""
        if self.parameter not in values or self.task not in (None, "Classification" if classes else "Regression"):
            return False
        return classes >= self.min_classes and (self.values is None or values[self.parameter] in self.values)


_NATIVE_CATEGORIES = LostSetting("categorical_features", "the exported trees take other branches")
_LOG_LINK = LostSetting(
    "loss", "the exported model lacks the exponential of this loss", ("poisson", "gamma"), "Regression"
)
_NO_PRIOR = LostSetting("init", "the exported model cannot be run with three classes or more", ("zero",), min_classes=3)
_POISSON = LostSetting("loss", "the converter does not know this loss", ("poisson",), "Regression")

# Those that scikit-learn has as a classifier and as a regressor.
_FAMILIES = {
    # Exported native categories: probabilities off by 0.96 (measured).
    "HistGradientBoosting": Estimator(
        "sklearn.ensemble", "Ordinal", missing=True, lost=(_NATIVE_CATEGORIES, _LOG_LINK)
    ),
    "RandomForest": Estimator("sklearn.ensemble", "Ordinal", parallel=True),
    "ExtraTrees": Estimator("sklearn.ensemble", "Ordinal", parallel=True),
    "GradientBoosting": Estimator("sklearn.ensemble", "Ordinal", lost=(_NO_PRIOR,)),
    "DecisionTree": Estimator("sklearn.tree", "Ordinal"),
    "MLP": Estimator("sklearn.neural_network", "OneHot", scaled=True, lost=(_POISSON,)),
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


def build_estimator(
    name: str, estimator: Estimator, parameters: Mapping[str, Any], seed: int, cores: int, *, classes: int
) -> Any:
    """An unfitted estimator whose parameters scikit-learn has accepted, for a target with `classes` (0 for a number).

    Raises:
        Failure: ParameterRefused (exit 1) with scikit-learn's message, or with what the export to ONNX would lose.
    """
    values = {key: parse_literal(value) for key, value in parameters.items()}
    lost = next((each for each in estimator.lost if each.is_met(values, classes)), None)
    if lost is not None:
        setting = f"'{lost.parameter}'" if lost.values is None else f"'{lost.parameter}: {values[lost.parameter]}'"
        finding = f"{setting} does not survive the export to ONNX ({lost.finding}); leave it out or set another value"
        raise _refused(name, finding)
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
