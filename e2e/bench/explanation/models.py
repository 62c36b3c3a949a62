"""Models of 100 trees over 30 columns, and their rows; scikit-learn fits the same trees in each environment."""

from typing import Any

import numpy as np
from sklearn.ensemble import GradientBoostingClassifier, HistGradientBoostingClassifier, RandomForestClassifier

ROWS, COLUMNS, TREES, EXPLAINED_ROWS = 5_000, 30, 100, 100


def make_models() -> dict[str, Any]:
    """Fitted models by name."""
    x, y = make_rows()
    unfitted = {
        "histogram_boosting": HistGradientBoostingClassifier(max_iter=TREES, random_state=0),
        "boosting": GradientBoostingClassifier(n_estimators=TREES, random_state=0),
        "forest_of_depth_8": RandomForestClassifier(TREES, max_depth=8, random_state=0),
    }
    return {name: model.fit(x, y) for name, model in unfitted.items()}


def make_rows() -> tuple[Any, Any]:
    """32-bit rows (rows, columns), and classes (rows,)."""
    random = np.random.default_rng(0)
    x = random.normal(size=(ROWS, COLUMNS)).astype(np.float32)
    y = (x[:, 0] + x[:, 1] * x[:, 2] + 0.3 * random.normal(size=ROWS) > 0).astype(int)
    return x, y
