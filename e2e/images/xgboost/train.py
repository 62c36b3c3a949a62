"""A user's training with XGBoost's own collective: each rank reads its share of the rows, and all of them grow the same trees.

Outside of a group it trains alone. Rank 0 keeps the newest checkpoint, with which all ranks of the next attempt begin.
"""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import duckdb
import numpy as np
import xgboost as xgb
from xgboost import collective

from flywheel_runtime import run

ROUNDS = int(run.params["rounds"])
PAUSE = float(run.params.get("pause", 0))  # seconds after each round, so that a test can interrupt
NODES = int(os.environ.get("FLYWHEEL_NODES", "1"))
RANK = int(os.environ.get("FLYWHEEL_NODE_RANK", "0"))
# Cuts are exact for whole numbers below max_bin, so that the ranks' trees can equal those of one pod.
BOOSTING = {
    "objective": "binary:logistic",
    "tree_method": "hist",
    "max_bin": 512,
    "max_depth": 3,
    "eta": 0.3,
    "nthread": 1,
}


@contextmanager
def group() -> Iterator[None]:
    """All ranks, found by the variables of a group; rank 0 is the tracker too."""
    if NODES == 1:
        yield
        return
    port = int(os.environ["DMLC_TRACKER_PORT"])
    tracker = xgb.RabitTracker(host_ip="0.0.0.0", n_workers=NODES, port=port, sortby="task") if RANK == 0 else None
    if tracker is not None:
        tracker.start()
    with collective.CommunicatorContext(
        dmlc_tracker_uri=os.environ["DMLC_TRACKER_URI"],
        dmlc_tracker_port=port,
        dmlc_task_id=os.environ["DMLC_TASK_ID"],
    ):
        yield
    if tracker is not None:
        tracker.wait_for()


def rows(part: str) -> tuple[Any, Any]:
    table = duckdb.sql(f"SELECT * FROM '{run.input('data')}/{part}.parquet'").fetchnumpy()
    label = np.asarray(table.pop("malignant"), dtype=np.float32)
    return np.column_stack([np.asarray(table[name], dtype=np.float32) for name in sorted(table)]), label


class Kept(xgb.callback.TrainingCallback):  # type: ignore[misc]  # xgboost is in the image alone
    """Rank 0 writes a checkpoint after every round."""

    def __init__(self, before: int) -> None:
        super().__init__()
        self.before = before

    def after_iteration(self, model: Any, epoch: int, evals_log: Any) -> bool:
        if RANK == 0:
            done = self.before + epoch + 1
            with run.new_checkpoint(f"round-{done:04d}") as folder:
                model.save_model(folder / "model.ubj")
        time.sleep(PAUSE)
        return False


def main() -> None:
    before, found = None, run.checkpoint()
    if found is not None:
        before = xgb.Booster(model_file=found / "model.ubj")
    done = before.num_boosted_rounds() if before is not None else 0
    print(f"rank {RANK} of {NODES} begins after round {done}", flush=True)
    with group():
        x, y = rows("train")
        mine = slice(RANK, None, NODES)
        data = xgb.DMatrix(x[mine], y[mine])
        model = xgb.train(BOOSTING, data, ROUNDS - done, xgb_model=before, callbacks=[Kept(done)])
    if RANK != 0:
        return
    test, truth = rows("test")
    probability = model.predict(xgb.DMatrix(test))
    model.save_model(run.output("model") / "model.ubj")
    clipped = np.clip(probability, 1e-7, 1 - 1e-7)
    log_loss = -float(np.mean(truth * np.log(clipped) + (1 - truth) * np.log(1 - clipped)))
    order = probability[truth == 1][:, None] > probability[truth == 0][None, :]
    run.finish(
        {
            "roc_auc": float(order.mean()),
            "log_loss": log_loss,
            "rows": len(y[mine]),
            "began_after": done,
            "mean_probability": float(probability.mean()),
        }
    )


main()
