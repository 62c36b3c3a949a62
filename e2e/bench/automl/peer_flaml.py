"""FLAML's search, run by .venv/flaml: `python peer_flaml.py FOLDER` reads task.json and the splits, and writes predictions.json."""

import json
import sys
import time
from pathlib import Path

import flaml
import pandas

METRICS = {"roc_auc": ("roc_auc", "roc_auc_ovr"), "rmse": ("rmse", "rmse")}


def main() -> None:
    """Fit within the budget to train and validation, and predict the test split."""
    folder = Path(sys.argv[1])
    task = json.loads((folder / "task.json").read_text())
    train, validation, test = (
        pandas.read_parquet(folder / f"{split}.parquet") for split in ("train", "validation", "test")
    )
    rows = pandas.concat([train, validation], ignore_index=True)
    target = task["target"]
    classes = task["metric"] == "roc_auc"
    began = time.monotonic()
    automl = flaml.AutoML()
    automl.fit(
        X_train=rows.drop(columns=target),
        y_train=rows[target],
        task="classification" if classes else "regression",
        metric=METRICS[task["metric"]][rows[target].nunique() > 2],
        time_budget=task["seconds"],
        seed=0,
        verbose=1,
    )
    seconds = time.monotonic() - began
    features = test.drop(columns=target)
    values = automl.predict_proba(features) if classes else automl.predict(features)
    found = {
        "version": f"FLAML {flaml.__version__}",
        "seconds": seconds,
        "model": automl.best_estimator,
        "classes": [str(each) for each in automl.classes_] if classes else [],
        "values": values.tolist(),
    }
    (folder / "predictions.json").write_text(json.dumps(found))


if __name__ == "__main__":
    main()
