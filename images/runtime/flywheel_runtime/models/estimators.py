"""The estimators that a trial may use. Each is here because its ONNX export gives the same predictions (tests/runtime/commands/train)."""

import importlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from flywheel_runtime.contract.errors import Failure
from flywheel_runtime.models.literals import parse_literal

Task = Literal["Classification", "Regression"]


@dataclass(frozen=True)
class Estimator:
    """One allowed estimator.

    encoding: how text columns enter it. OneHot for models that add columns up, Ordinal (a code for each category) for
    trees, which cut codes as they need and are ten times as fast that way (measured).
    scaled: whether numbers are centred and scaled. missing: whether it takes missing numbers as they are.
    lost: settings whose effect is lost in ONNX, which are refused before a fit. members: of an average of other estimators,
    their families by the names that its parameters begin with; encoding and scaling of columns are then those of each member.
    """

    module: str
    encoding: Literal["OneHot", "Ordinal"]
    scaled: bool = False
    missing: bool = False
    seeded: bool = True
    parallel: bool = False
    lost: tuple["LostSetting", ...] = ()
    members: Mapping[str, str] = field(default_factory=dict)


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
    # Three kinds of models that err differently. Of the columns only free text is prepared once for all, as for trees.
    "Voting": Estimator(
        "sklearn.ensemble",
        "Ordinal",
        seeded=False,
        members={"boosting": "HistGradientBoosting", "forest": "ExtraTrees", "network": "MLP"},
    ),
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
    if estimator.members:
        return _build_average(name, estimator, values, seed, cores, classes)
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
    unfitted = _class_of(name, estimator)()
    try:
        unfitted.set_params(**settings | values)
        unfitted._validate_params()
    except (ValueError, TypeError) as error:
        raise _refused(name, str(error)) from error
    return unfitted


def _class_of(name: str, estimator: Estimator) -> Any:
    return getattr(importlib.import_module(estimator.module), name)


def member_estimators(estimator: Estimator, *, classes: int) -> dict[str, str]:
    """The names of the estimators that an average has, by the names of its members; empty for any other estimator."""
    return {
        member: f"{family}{'Classifier' if classes else 'Regressor'}" for member, family in estimator.members.items()
    }


def _build_average(
    name: str, estimator: Estimator, values: Mapping[str, Any], seed: int, cores: int, classes: int
) -> Any:
    """The unfitted members with their parameters, which are named as scikit-learn names them: `boosting__learning_rate`."""
    names = member_estimators(estimator, classes=classes)
    own, of_members = dict[str, Any](), {member: dict[str, Any]() for member in names}
    for key, value in values.items():
        member, separator, parameter = key.partition("__")
        if separator and member in names:
            of_members[member][parameter] = value
        elif key == "weights":
            own[key] = _parse_weights(name, value, len(names))
        else:
            known = ", ".join(names)
            raise _refused(
                name,
                f"it has no parameter '{key}'; set weights, or one of a member ({known}), such as boosting__learning_rate",
            )
    members = [
        (member, _build_member(each, of_members[member], seed, cores, classes)) for member, each in names.items()
    ]
    if classes:
        own |= {"voting": "soft", "flatten_transform": False}  # the mean of the probabilities
    return _class_of(name, estimator)(members, **own)


def _build_member(name: str, values: Mapping[str, Any], seed: int, cores: int, classes: int) -> Any:
    estimator = ESTIMATORS["Classification" if classes else "Regression"][name]
    unfitted = build_estimator(name, estimator, values, seed, cores, classes=classes)
    if name != "MLPRegressor":
        return unfitted
    from flywheel_runtime.models.networks import StandardizedTargetMLPRegressor

    return StandardizedTargetMLPRegressor(**unfitted.get_params())


def _parse_weights(name: str, weights: Any, members: int) -> NDArray[np.float64] | None:
    """The share of each member in the average; None is the same for all."""
    if weights is None:
        return None
    are_numbers = isinstance(weights, tuple | list) and all(
        type(each) in (int, float) and 0 <= each < np.inf for each in weights
    )
    if not are_numbers or len(weights) != members or not sum(weights) > 0:
        finding = f"weights must be {members} numbers of which none is negative and one is above 0, such as [2, 1, 1]; it is {weights!r}"
        raise _refused(name, finding)
    return np.array(weights, np.float64)


def _refused(name: str, finding: str) -> Failure:
    message = f"{name} refused its parameters: {' '.join(finding.split())}"
    return Failure("ParameterRefused", message, retry=True)
