"""The preset Tabular: which estimators are tried on a table where the spec names none, and the space of each.

There are three: boosted trees for nonlinear relations, a linear model, and the average of boosted trees, extremely randomized trees and a
network, which err differently. The first two fit a third of a million rows on one core in seconds, so that a first model is there in
minutes; the average takes about ten times as long as its boosted trees. A new estimator comes last: a search that runs during an upgrade
knows its estimators by their positions.
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


def _average(rounds: int) -> dict[str, Any]:
    """The average with boosted trees of so many rounds, and its space."""
    return {
        # The numbers of trees and of their leaves bound the exported model (9 MB for diamonds), and 40 epochs the time for a large table.
        # The rmse of diamonds is 519 and not 551 (measured). Without early stopping of boosting, for the reason given above.
        "parameters": {
            "boosting__max_iter": rounds,
            "boosting__early_stopping": "false",
            "forest__n_estimators": 50,
            "forest__max_leaf_nodes": 2000,
            "forest__min_samples_split": 5,
            "network__hidden_layer_sizes": "[64, 64]",
            "network__max_iter": 40,
        },
        "search": {
            "boosting__learning_rate": {"float": {"min": "0.03", "max": "0.2", "log": True}},
            "boosting__max_leaf_nodes": {"int": {"min": 15, "max": 63, "log": True}},
            "network__alpha": {"float": {"min": "0.0001", "max": "0.1", "log": True}},
            "weights": {"choice": ["null", "[2, 1, 1]", "[1, 2, 1]", "[1, 1, 2]"]},
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
        {"name": "VotingClassifier", **_average(100)},
    ),
    "Regression": (
        # Low learning rates need more rounds for values: the rmse of diamonds is 556 and not 565. ROC AUC hardly changes, and there each
        # round has a tree for each of several classes.
        {"name": "HistGradientBoostingRegressor", **_boosting(300)},
        {"name": "Ridge", "search": {"alpha": {"float": {"min": "0.001", "max": "100", "log": True}}}},
        {"name": "VotingRegressor", **_average(300)},
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
