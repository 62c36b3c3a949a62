"""Writes the models of this folder with the converters of other frameworks, and what each framework predicts itself.

python tests/serving/converted_models/make.py [TASK …], in an environment with the packages that docs/models.md names. The tests need none of them.
"""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxmltools
from catboost import CatBoostClassifier, CatBoostRegressor
from lightgbm import LGBMClassifier, LGBMRegressor
from onnxmltools.convert.common.data_types import FloatTensorType
from skl2onnx import to_onnx
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor, RandomForestClassifier
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from xgboost import XGBClassifier, XGBRegressor

FOLDER = Path(__file__).parent
FEATURES, ROWS, GOLDEN_ROWS = 4, 300, 5
SMALL: dict[str, Any] = {"n_estimators": 5, "max_depth": 3, "random_state": 7}
ONE_FORM = {"xgboost": False, "catboost": True}  # whether these converters' classifiers end in a ZipMap
TASKS = ("regression", "two_classes", "three_classes", "texts", "native_categories")
CATEGORIES = 8


def data(task: str) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    random = np.random.default_rng(7)
    x = random.normal(size=(ROWS, FEATURES)).astype(np.float32)
    score = x[:, 0] + x[:, 1] * x[:, 2]
    if task == "regression":
        return x, score
    if task == "native_categories":
        x[:, 3] = random.integers(0, CATEGORIES, ROWS)
        return x, np.array([2, -2, 1.5, -1.5, 1, -1, 0.5, -0.5])[x[:, 3].astype(int)] + x[:, 0] / 2
    number = np.digitize(score, [0.0] if task == "two_classes" else [-0.5, 0.5])
    return x, np.array(["late", "on time", "early"])[number] if task == "texts" else number


def skl(model: Any, x: np.ndarray[Any, Any], zipmap: bool) -> Any:
    options = {"zipmap": zipmap} if hasattr(model, "predict_proba") else None
    return to_onnx(model, x[:1], options=options)


def mltools(convert: Callable[..., Any]) -> Callable[[Any, np.ndarray[Any, Any], bool], Any]:
    def written(model: Any, _x: np.ndarray[Any, Any], zipmap: bool) -> Any:
        options = {"zipmap": zipmap} if convert is onnxmltools.convert_lightgbm else {}
        return convert(model, initial_types=[("x", FloatTensorType([None, FEATURES]))], **options)

    return written


def catboost(model: Any, _x: np.ndarray[Any, Any], _zipmap: bool) -> Any:
    import onnx

    path = FOLDER / "catboost.tmp"
    model.save_model(str(path), format="onnx")
    made = onnx.load(path)
    path.unlink()
    return made


def models(task: str) -> dict[str, tuple[Any, Callable[..., Any]]]:
    light, extreme = mltools(onnxmltools.convert_lightgbm), mltools(onnxmltools.convert_xgboost)
    if task == "native_categories":
        kinds: dict[str, Any] = {"enable_categorical": True, "feature_types": ["q", "q", "q", "c"]}
        ordered: dict[str, Any] = {"min_data_per_group": 1, "cat_smooth": 1, "categorical_feature": [3]}
        return {
            "lightgbm": (LGBMRegressor(**SMALL, verbose=-1, max_cat_to_onehot=1, **ordered), light),
            "xgboost": (XGBRegressor(**SMALL, max_cat_to_onehot=1, **kinds), extreme),
        }
    cat = {"iterations": 5, "depth": 3, "random_seed": 7, "verbose": False, "allow_writing_files": False}
    if task == "regression":
        return {
            "ridge": (Ridge(), skl),
            "hist_gradient_boosting": (HistGradientBoostingRegressor(max_iter=5, random_state=7), skl),
            "lightgbm": (LGBMRegressor(**SMALL, verbose=-1), light),
            "xgboost": (XGBRegressor(**SMALL), extreme),
            "catboost": (CatBoostRegressor(**cat), catboost),
        }
    found: dict[str, tuple[Any, Callable[..., Any]]] = {
        "logistic": (make_pipeline(StandardScaler(), LogisticRegression()), skl),
        "random_forest": (RandomForestClassifier(**SMALL), skl),
        "hist_gradient_boosting": (HistGradientBoostingClassifier(max_iter=5, random_state=7), skl),
        "lightgbm": (LGBMClassifier(**SMALL, verbose=-1), light),
        "catboost": (CatBoostClassifier(**cat), catboost),
    }
    return found if task == "texts" else {**found, "xgboost": (XGBClassifier(**SMALL), extreme)}


def main() -> int:
    for task in sys.argv[1:] or TASKS:
        x, y = data(task)
        for name, (model, write) in models(task).items():
            model.fit(x, y)
            is_classifier = hasattr(model, "predict_proba")
            for zipmap in (False, True) if is_classifier else (False,):
                if is_classifier and zipmap != ONE_FORM.get(name, zipmap):
                    continue
                stem = f"{name}-{task}{'-zipmap' if zipmap else ''}"
                content = write(model, x, zipmap).SerializeToString()
                rows = x[:GOLDEN_ROWS]
                expected = {"rows": rows.tolist(), "predict": np.ravel(model.predict(rows)).tolist()}
                if is_classifier:
                    expected["classes"] = [str(each) for each in model.classes_]
                    expected["probabilities"] = np.asarray(model.predict_proba(rows)).tolist()
                (FOLDER / f"{stem}.onnx").write_bytes(content)
                (FOLDER / f"{stem}.json").write_text(json.dumps(expected))
    return 0


if __name__ == "__main__":
    sys.exit(main())
