"""Writes models whose converters change what they predict without a warning, each with golden rows of its framework.

python tests/serving/wrong_conversions/make.py, in an environment with the packages that docs/models.md names. The tests need none of them.
"""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnxmltools
import onnxruntime
from lightgbm import LGBMRegressor
from onnxmltools.convert.common.data_types import FloatTensorType
from skl2onnx import to_onnx
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.naive_bayes import GaussianNB
from xgboost import XGBClassifier, XGBRegressor

FOLDER = Path(__file__).parent
FEATURES, ROWS, GOLDEN_ROWS, CATEGORIES = 4, 300, 20, 8
SMALL: dict[str, Any] = {"n_estimators": 5, "max_depth": 3, "random_state": 7}
LIGHT: dict[str, Any] = SMALL | {"verbose": -1}
ORDERED_CATEGORIES: dict[str, Any] = {"min_data_per_group": 1, "cat_smooth": 1, "max_cat_to_onehot": 1}
Array = np.ndarray[Any, Any]


def convert(model: Any, x: Array) -> bytes:
    """The model as ONNX, by the converter of its framework."""
    types = [("x", FloatTensorType([None, FEATURES]))]
    if type(model).__name__.startswith("LGBM"):
        made = onnxmltools.convert_lightgbm(model, initial_types=types)
    elif type(model).__name__.startswith("XGB"):
        made = onnxmltools.convert_xgboost(model, initial_types=types)
    else:
        made = to_onnx(model, x[:1], options={"zipmap": False} if hasattr(model, "predict_proba") else None)
    content: bytes = made.SerializeToString()
    return content


def cases() -> dict[str, tuple[Any, Array, Array]]:
    """Fitted models with their train rows and the rows to predict."""
    random = np.random.default_rng(7)
    x = random.normal(size=(ROWS, FEATURES)).astype(np.float32)
    category = random.integers(0, CATEGORIES, ROWS)
    with_category = np.column_stack([x[:, :3], category]).astype(np.float32)
    between = with_category + np.array([0, 0, 0, 0.7], np.float32)
    score = x[:, 0] + x[:, 1] * x[:, 2]
    effect = np.array([2, -2, 1.5, -1.5, 1, -1, 0.5, -0.5])[category] + x[:, 0] / 2
    by_sign, by_effect = (score > 0).astype(int), (effect > 0).astype(int)
    boosting: dict[str, Any] = {"max_iter": 5, "random_state": 7}
    native = HistGradientBoostingClassifier(**boosting, categorical_features=[3])
    isotonic = CalibratedClassifierCV(GaussianNB(), method="isotonic", cv=3)
    forest = LGBMRegressor(**LIGHT, boosting_type="rf", bagging_freq=1, bagging_fraction=0.7)
    parallel = XGBClassifier(**SMALL, num_parallel_tree=4, subsample=0.7)
    light = LGBMRegressor(**LIGHT, **ORDERED_CATEGORIES).fit(with_category, effect, categorical_feature=[3])
    return {
        "scikit-learn-native_categories": (native.fit(with_category, by_effect), with_category, with_category),
        "scikit-learn-isotonic_calibration": (isotonic.fit(x, by_sign), x, x),
        "scikit-learn-poisson": (
            HistGradientBoostingRegressor(**boosting, loss="poisson").fit(x, np.exp(score / 3)), x, x
        ),
        "lightgbm-linear_tree": (LGBMRegressor(**LIGHT, linear_tree=True).fit(x, score), x, x),
        "lightgbm-random_forest": (forest.fit(x, score), x, x),
        "lightgbm-category_between_numbers": (light, with_category, between),
        "xgboost-parallel_trees": (parallel.fit(x, np.digitize(score, [-0.5, 0.5])), x, x),
        "xgboost-logistic_regression": (XGBRegressor(**SMALL, objective="reg:logistic").fit(x, by_sign), x, x),
    }  # fmt: skip


def main() -> int:
    for name, (model, x, rows) in cases().items():
        content = convert(model, x)
        output = onnxruntime.InferenceSession(content).get_outputs()[-1]
        known = rows[:GOLDEN_ROWS]
        values = model.predict_proba(known) if hasattr(model, "predict_proba") else model.predict(known).reshape(-1, 1)
        [read] = [each.name for each in onnxruntime.InferenceSession(content).get_inputs()]
        golden = {"inputs": {read: known.tolist()}, "outputs": {output.name: np.asarray(values).tolist()}}
        (FOLDER / f"{name}.onnx").write_bytes(content)
        (FOLDER / f"{name}.json").write_text(json.dumps(golden))
    return 0


if __name__ == "__main__":
    sys.exit(main())
