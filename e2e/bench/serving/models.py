"""The models that are served: trees on 30 features, a wide one, and one that reads text."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from skl2onnx import to_onnx
from sklearn.datasets import make_classification
from sklearn.ensemble import GradientBoostingClassifier
from sklearn.linear_model import LogisticRegression

from e2e.bench.serving.prediction_case import PredictionCase, asked

SEED = 7


def trees(folder: Path, rows: int = 1) -> PredictionCase:
    """Gradient boosting with 100 trees, 30 float features, trained on 2,000 rows."""
    features, classes = make_classification(2000, 30, n_informative=12, random_state=SEED)
    features = features.astype(np.float32)
    fitted = GradientBoostingClassifier(n_estimators=100, random_state=SEED).fit(features, classes)
    return _written(folder, to_onnx(fitted, features[:1], options={"zipmap": False}), "X", features[:rows].round(4))


def wide(folder: Path) -> PredictionCase:
    """Logistic regression on 1,000 float features."""
    features, classes = make_classification(500, 1000, n_informative=50, random_state=SEED)
    features = features.astype(np.float32)
    fitted = LogisticRegression(max_iter=1000).fit(features, classes)
    return _written(folder, to_onnx(fitted, features[:1], options={"zipmap": False}), "X", features[:1].round(4))


def text(folder: Path) -> PredictionCase:
    """Three categories, each looked up in a table of numbers, and their sum: what an encoder in front of a model does."""
    airports = [f"airport-{number}" for number in range(100)]
    weights = np.linspace(-1, 1, len(airports), dtype=np.float32)
    encode = helper.make_node(
        "LabelEncoder",
        ["X"],
        ["numbers"],
        domain="ai.onnx.ml",
        keys_strings=airports,
        values_floats=weights.tolist(),
        default_float=0.0,
    )
    axes = numpy_helper.from_array(np.array([1], np.int64), "axes")
    total = helper.make_node("ReduceSum", ["numbers", "axes"], ["score"], keepdims=1)
    taken = helper.make_tensor_value_info("X", TensorProto.STRING, ["rows", 3])
    given = helper.make_tensor_value_info("score", TensorProto.FLOAT, ["rows", 1])
    graph = helper.make_graph([encode, total], "text", [taken], [given], [axes])
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 3)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=8)
    return _written(folder, model, "X", np.array([["airport-3", "airport-97", "nowhere"]], object))


def _written(folder: Path, model: onnx.ModelProto, name: str, rows: np.ndarray[Any, Any]) -> PredictionCase:
    folder.mkdir(parents=True, exist_ok=True)
    onnx.save(model, str(folder / "model.onnx"))
    return asked(folder, name, rows)
