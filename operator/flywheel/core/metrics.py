"""Which way is better, for the metrics that everybody knows."""

from typing import Literal

_MORE = (
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
)
_LESS = (
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
)

Direction = Literal["Maximize", "Minimize"]
KNOWN_DIRECTIONS: dict[str, Direction] = {
    **{metric: "Maximize" for metric in _MORE},
    **{metric: "Minimize" for metric in _LESS},
}
