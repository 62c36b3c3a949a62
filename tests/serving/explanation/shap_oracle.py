"""Writes the golden models and what shap's TreeExplainer says of them, in the environment of `python3 -m e2e.setup shap`.

    PYTHONPATH=images/runtime:. .venv/shap/bin/python tests/serving/explanation/shap_oracle.py

shap is not in the environment of tests: numba and llvmlite are larger than all that they are compared with.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType
from sklearn.ensemble import (
    ExtraTreesRegressor,
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
)
from sklearn.tree import DecisionTreeClassifier

from flywheel_runtime.models.explanation.tree_covers import write_covers

GOLDEN = Path(__file__).parent / "golden"
COLUMNS, ROWS, EXPLAINED_ROWS = 5, 400, 12


def make_models() -> dict[str, tuple[Any, Any, Any]]:
    """Unfitted models with their rows and targets; boosting has missing values."""
    random = np.random.default_rng(0)
    x = random.normal(size=(ROWS, COLUMNS)).astype(np.float32)
    gaps = x.copy()
    gaps[::7, 0], gaps[::5, 3] = np.nan, np.nan
    late = (x[:, 0] + x[:, 1] * x[:, 2] + 0.3 * random.normal(size=ROWS) > 0).astype(int)
    grade, delay = late + (x[:, 3] > 0.5), 3 * x[:, 0] + x[:, 1] ** 2 + x[:, 4]
    return {
        "boosting_of_two_classes": (HistGradientBoostingClassifier(max_iter=5, random_state=0), gaps, late),
        "boosting_of_three_classes": (HistGradientBoostingClassifier(max_iter=3, random_state=0), gaps, grade),
        "boosting_of_numbers": (HistGradientBoostingRegressor(max_iter=5, random_state=0), gaps, delay),
        "older_boosting_of_numbers": (GradientBoostingRegressor(n_estimators=8, random_state=0), x, delay),
        "forest_of_three_classes": (RandomForestClassifier(3, max_depth=6, random_state=0), x, grade),
        "deep_trees_of_numbers": (ExtraTreesRegressor(2, max_depth=12, random_state=0), x, delay),
        "one_tree": (DecisionTreeClassifier(max_depth=5, random_state=0), x, late),
    }


def main() -> None:
    import shap

    found = {}
    for name, (model, x, y) in make_models().items():
        model.fit(x, y)
        options = {id(model): {"zipmap": False}} if hasattr(model, "classes_") else None
        kind = [("x", FloatTensorType([None, COLUMNS]))]
        exported = to_onnx(model, initial_types=kind, options=options, target_opset={"": 18, "ai.onnx.ml": 3})
        assert write_covers(exported.graph, model)
        (GOLDEN / f"{name}.onnx").write_bytes(exported.SerializeToString())
        explainer = shap.TreeExplainer(model, feature_perturbation="tree_path_dependent")
        rows = x[:EXPLAINED_ROWS].astype(np.float64)
        values = np.asarray(explainer.shap_values(rows)).reshape(EXPLAINED_ROWS, COLUMNS, -1)
        base = np.atleast_1d(explainer.expected_value)
        if values.shape[2] == 2:  # of two classes the second alone
            values, base = values[:, :, 1:], base[1:]
        given = [[None if np.isnan(value) else value for value in row] for row in rows.tolist()]
        found[name] = {"rows": given, "base": base.tolist(), "values": values.transpose(0, 2, 1).round(9).tolist()}
    (GOLDEN / "shap.json").write_text(json.dumps(found) + "\n")


if __name__ == "__main__":
    main()
