"""The preset Tabular: which estimators are tried on a table where the spec names none, and the space of each.

There are two of different kinds: boosted trees for nonlinear relations, and a linear model. Both fit a third of a million rows on one core
in seconds, so that a first model is there in minutes.
"""

from typing import Any, Literal

from flywheel.kinds.experiment.schema.trainer import Estimator

Task = Literal["Classification", "Regression"]


def _boosting(rounds: int) -> dict[str, Any]:
    """Boosted trees of so many rounds, and their space."""
    return {
        # scikit-learn would hold back a tenth of more than 10,000 rows to stop early, though trials are compared on rows of their own.
        # Without it the rmse of diamonds is 565 and not 572 (measured).
        "parameters": {"max_iter": rounds, "early_stopping": "false"},
        "search": {
            "learning_rate": {"float": {"min": "0.02", "max": "0.3", "log": True}},
            "max_leaf_nodes": {"int": {"min": 7, "max": 127, "log": True}},
            "min_samples_leaf": {"int": {"min": 5, "max": 100, "log": True}},
            "l2_regularization": {"float": {"min": "0.001", "max": "10", "log": True}},
        },
    }


_PRESET: dict[Task, tuple[dict[str, Any], ...]] = {
    "Classification": (
        {"name": "HistGradientBoostingClassifier", **_boosting(100)},
        {
            "name": "LogisticRegression",
            "parameters": {"max_iter": 200},
            "search": {"C": {"float": {"min": "0.001", "max": "10", "log": True}}},
        },
    ),
    "Regression": (
        # Low learning rates need more rounds for values: the rmse of diamonds is 556 and not 565. ROC AUC hardly changes, and there each
        # round has a tree for each of several classes.
        {"name": "HistGradientBoostingRegressor", **_boosting(300)},
        {"name": "Ridge", "search": {"alpha": {"float": {"min": "0.001", "max": "100", "log": True}}}},
    ),
}
TABULAR: dict[Task, tuple[Estimator, ...]] = {
    task: tuple(Estimator.model_validate(estimator) for estimator in estimators) for task, estimators in _PRESET.items()
}


def default_metric(task: Task | None, classes: int | None) -> str:
    """The metric of the objective where the spec gives none."""
    if task == "Regression":
        return "rmse"
    return "roc_auc" if classes in (None, 2) else "f1_macro"
