"""Scikit-learn's default of each parameter that a search is likely to vary, by estimator.

The operator has no scikit-learn: tests/kinds/experiment/search/test_scikit_learn.py holds this table to the real one.
"""

from collections.abc import Mapping
from typing import Any

from flywheel.kinds.experiment.search.literals import parse_literal
from flywheel.kinds.experiment.search.space import CategoricalDimension, Coordinate, Dimension

_TREE: dict[str, Any] = {
    "max_depth": None,
    "min_samples_split": 2,
    "min_samples_leaf": 1,
    "min_weight_fraction_leaf": 0.0,
    "max_leaf_nodes": None,
    "min_impurity_decrease": 0.0,
    "ccp_alpha": 0.0,
}
_FOREST: dict[str, Any] = _TREE | {"n_estimators": 100, "max_samples": None}
_LINEAR: dict[str, Any] = {"fit_intercept": True, "tol": 0.0001, "positive": False}
_COORDINATE_DESCENT: dict[str, Any] = _LINEAR | {"alpha": 1.0, "max_iter": 1000, "selection": "cyclic"}
_FAMILIES: dict[str, dict[str, Any]] = {
    "HistGradientBoosting": {
        "learning_rate": 0.1,
        "max_iter": 100,
        "max_leaf_nodes": 31,
        "max_depth": None,
        "min_samples_leaf": 20,
        "l2_regularization": 0.0,
        "max_features": 1.0,
        "max_bins": 255,
        "early_stopping": "auto",
        "n_iter_no_change": 10,
        "validation_fraction": 0.1,
        "tol": 1e-07,
    },
    "RandomForest": _FOREST | {"bootstrap": True},
    "ExtraTrees": _FOREST | {"bootstrap": False},
    "GradientBoosting": _TREE
    | {
        "n_estimators": 100,
        "learning_rate": 0.1,
        "max_depth": 3,
        "subsample": 1.0,
        "max_features": None,
        "n_iter_no_change": None,
        "validation_fraction": 0.1,
        "tol": 0.0001,
    },
    "DecisionTree": _TREE | {"splitter": "best", "max_features": None},
    "MLP": {
        "hidden_layer_sizes": [100],
        "activation": "relu",
        "solver": "adam",
        "alpha": 0.0001,
        "batch_size": "auto",
        "learning_rate": "constant",
        "learning_rate_init": 0.001,
        "power_t": 0.5,
        "max_iter": 200,
        "tol": 0.0001,
        "momentum": 0.9,
        "nesterovs_momentum": True,
        "early_stopping": False,
        "validation_fraction": 0.1,
        "beta_1": 0.9,
        "beta_2": 0.999,
        "n_iter_no_change": 10,
    },
}
_OF_TASK: dict[str, dict[str, Any]] = {
    "RandomForestClassifier": {"max_features": "sqrt", "criterion": "gini", "class_weight": None},
    "RandomForestRegressor": {"max_features": 1.0, "criterion": "squared_error"},
    "ExtraTreesClassifier": {"max_features": "sqrt", "criterion": "gini", "class_weight": None},
    "ExtraTreesRegressor": {"max_features": 1.0, "criterion": "squared_error"},
    "GradientBoostingClassifier": {"loss": "log_loss"},
    "GradientBoostingRegressor": {"loss": "squared_error", "alpha": 0.9},
    "DecisionTreeClassifier": {"criterion": "gini", "class_weight": None},
    "DecisionTreeRegressor": {"criterion": "squared_error"},
    "HistGradientBoostingClassifier": {"class_weight": None},
    "HistGradientBoostingRegressor": {"loss": "squared_error"},
    "MLPRegressor": {"loss": "squared_error"},
}
_OF_BOTH_TASKS: dict[str, dict[str, Any]] = {
    f"{family}{task}": defaults | _OF_TASK.get(f"{family}{task}", {})
    for family, defaults in _FAMILIES.items()
    for task in ("Classifier", "Regressor")
}
# The members of an average, as models/estimators.py of the runtime image has them.
_MEMBERS = {"boosting": "HistGradientBoosting", "forest": "ExtraTrees", "network": "MLP"}
DEFAULTS: Mapping[str, Mapping[str, Any]] = {
    **_OF_BOTH_TASKS,
    **{
        f"Voting{task}": {
            "weights": None,
            **{
                f"{member}__{parameter}": default
                for member, family in _MEMBERS.items()
                for parameter, default in _OF_BOTH_TASKS[f"{family}{task}"].items()
            },
        }
        for task in ("Classifier", "Regressor")
    },
    "LogisticRegression": {
        "C": 1.0,
        "l1_ratio": 0.0,
        "solver": "lbfgs",
        "fit_intercept": True,
        "max_iter": 100,
        "tol": 0.0001,
        "class_weight": None,
    },
    "GaussianNB": {"var_smoothing": 1e-09},
    "LinearRegression": {"fit_intercept": True, "positive": False, "tol": 1e-06},
    "Ridge": _LINEAR | {"alpha": 1.0, "solver": "auto", "max_iter": None},
    "Lasso": _COORDINATE_DESCENT,
    "ElasticNet": _COORDINATE_DESCENT | {"l1_ratio": 0.5},
}


def default_coordinate(estimator: str, parameter: str, dimension: Dimension) -> Coordinate | None:
    """The coordinate of scikit-learn's default of a parameter, or the nearest one where the default lies outside of the range.

    None as a default means no limit, so its nearest number is the greatest. The result is None where the default is not known, or is no
    choice of the dimension.
    """
    defaults = DEFAULTS.get(estimator, {})
    if parameter not in defaults:
        return None
    default = defaults[parameter]
    if isinstance(dimension, CategoricalDimension):
        choices = [parse_literal(value) for value in dimension.values]
        return next((number for number, each in enumerate(choices) if _is_same(each, default)), None)
    if default is None:
        return dimension.nearest(float(dimension.high))
    return dimension.nearest(float(default)) if isinstance(default, int | float) else None


def _is_same(first: Any, second: Any) -> bool:
    """Whether two values are equal and no Boolean is taken for a number."""
    return first == second and isinstance(first, bool) == isinstance(second, bool)
