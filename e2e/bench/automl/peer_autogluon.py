"""AutoGluon's search, run by .venv/autogluon: `python peer_autogluon.py FOLDER` reads task.json and the splits, and writes predictions.json."""

import json
import sys
import time
from importlib.metadata import version
from pathlib import Path

import pandas
from autogluon.tabular import TabularPredictor

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
    several = rows[target].nunique() > 2
    # Dynamic stacking would spend a quarter of the budget to find out whether stacking overfits.
    began = time.monotonic()
    predictor = TabularPredictor(
        label=target,
        problem_type=("multiclass" if several else "binary") if classes else "regression",
        eval_metric=METRICS[task["metric"]][several],
        path=str(folder / "models"),
        verbosity=1,
    ).fit(rows, presets=task["preset"], time_limit=task["seconds"], dynamic_stacking=False)
    seconds = time.monotonic() - began
    features = test.drop(columns=target)
    values = predictor.predict_proba(features) if classes else predictor.predict(features)
    found = {
        "version": f"AutoGluon {version('autogluon.tabular')} ({task['preset']})",
        "seconds": seconds,
        "model": predictor.model_best,
        "classes": [str(each) for each in values.columns] if classes else [],
        "values": values.to_numpy().tolist(),
    }
    (folder / "predictions.json").write_text(json.dumps(found))


if __name__ == "__main__":
    main()
