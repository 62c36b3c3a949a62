"""A user's training with scikit-learn that logs with MLflow and names no server: nothing of Flywheel is imported."""

import json
from pathlib import Path

import duckdb
import mlflow
import numpy as np
from skl2onnx import to_onnx
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss, roc_auc_score

PARAMETERS = json.loads(Path("/flywheel/params.json").read_text())
train, validation = (
    duckdb.sql(f"SELECT * FROM '/flywheel/inputs/data/{split}.parquet'").df() for split in ("train", "validation")
)
features = train.columns.drop("malignant")

mlflow.sklearn.autolog(log_models=False)
with mlflow.start_run(run_name="logistic regression", tags={"team": "oncology"}):
    model = LogisticRegression(C=float(PARAMETERS["C"]), max_iter=5000)
    model.fit(train[features].to_numpy(np.float32), train["malignant"])
    probability = model.predict_proba(validation[features].to_numpy(np.float32))[:, 1]
    mlflow.log_metric("roc_auc", roc_auc_score(validation["malignant"], probability))
    for step, share in enumerate((0.25, 0.5, 1.0)):
        rows = int(len(validation) * share)
        mlflow.log_metric(
            "loss", log_loss(validation["malignant"][:rows], probability[:rows], labels=[0, 1]), step=step
        )
    mlflow.log_text("\n".join(features), "features.txt")
    onnx = to_onnx(model, train[features][:1].to_numpy(np.float32), options={"zipmap": False})
    mlflow.onnx.log_model(onnx, name="classifier", pip_requirements=[], registered_model_name="patients")
