"""Which way is better, for the metrics that everybody knows."""

from typing import Literal

Direction = Literal["Maximize", "Minimize"]

_METRICS: dict[Direction, tuple[str, ...]] = {
    "Maximize": (
        "accuracy",
        "average_precision",
        "balanced_accuracy",
        "explained_variance",
        "f1",
        "f1_macro",
        "f1_micro",
        "f1_weighted",
        "jaccard",
        "matthews_corrcoef",
        "pr_auc",
        "precision",
        "r2",
        "recall",
        "roc_auc",
        "roc_auc_ovr",
    ),
    "Minimize": (
        "brier",
        "brier_score",
        "log_loss",
        "loss",
        "mae",
        "mape",
        "max_error",
        "mean_absolute_error",
        "mean_squared_error",
        "median_absolute_error",
        "mse",
        "rmse",
        "root_mean_squared_error",
    ),
}

KNOWN_DIRECTIONS: dict[str, Direction] = {
    metric: direction for direction, metrics in _METRICS.items() for metric in metrics
}
