"""Fills an MLflow server, at the URI in the first argument, with runs and models; run in the environment of requirements/mlflow.txt."""

import sys

import mlflow
import mlflow.onnx
import mlflow.sklearn
import numpy as np
import onnx
from skl2onnx import to_onnx
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression

mlflow.set_tracking_uri(sys.argv[1])
features, target = load_iris(return_X_y=True)
model = LogisticRegression(max_iter=300).fit(features, target)
classifier = to_onnx(model, features[:1].astype(np.float32), options={"zipmap": False})

node = onnx.helper.make_node("MatMul", ["x", "weights"], ["y"])
weights = onnx.numpy_helper.from_array(np.ones((64, 64), np.float32), "weights")
ends = [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, ["rows", 64]) for name in "xy"]
graph = onnx.helper.make_graph([node], "product", ends[:1], ends[1:], [weights])
product = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8)

mlflow.set_experiment("flowers")
with mlflow.start_run(run_name="regression", tags={"team": "garden", "mlflow.source.git.commit": "9f8e7d6c"}):
    mlflow.log_params({"max_iter": 300, "note": "x" * 300})
    mlflow.log_metrics({"roc_auc": 0.97, "loss of a fold": 0.1, "diverged": float("nan")})
    mlflow.onnx.log_model(classifier, name="model", registered_model_name="Iris Flowers", pip_requirements=[])
    mlflow.sklearn.log_model(model, name="pickle", registered_model_name="pickled", pip_requirements=[])
mlflow.set_experiment("products")
with mlflow.start_run():
    mlflow.onnx.log_model(product, name="model", registered_model_name="product", pip_requirements=[])
