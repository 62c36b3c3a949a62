"""The metrics that are known without being told, by their names in scikit-learn's sense."""

CLASSIFICATION = (
    "roc_auc",
    "average_precision",
    "accuracy",
    "balanced_accuracy",
    "f1",
    "f1_macro",
    "log_loss",
    "brier",
)
REGRESSION = ("rmse", "mae", "r2", "mape")
KNOWN = {"Classification": CLASSIFICATION, "Regression": REGRESSION}
LESS_IS_BETTER = frozenset(("log_loss", "brier", "rmse", "mae", "mape"))
