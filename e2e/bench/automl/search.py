"""The preset's search on the development cluster: a Dataset and an Experiment with a duration, and the best trial's model."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import onnxruntime
import pandas

from e2e.artifacts import input_tensor, read_artifact, read_parquet
from e2e.bench.automl.scores import METRIC_OF_TASK, Predictions
from e2e.namespace import Namespace
from e2e.tables import Table

API = "flywheel.ml/v1alpha1"
MAX_TRIALS = 500  # more than fit into the duration
CHECK_SECONDS = 300  # for the check of a Dataset
STOP_SECONDS = 180  # for a search to stop after its duration


@dataclass(frozen=True)
class Found:
    """What the search found: predictions for the test split, and the facts of the search."""

    predictions: Predictions
    seconds: float
    trials: int
    estimator: str


def check_table(namespace: Namespace, table: Table) -> dict[str, bytes]:
    """Apply the table's Dataset, wait for it, and return the files of its splits."""
    spec = {
        "source": {"s3": {"uri": namespace.upload(f"{table.name}.csv", table.read())}},
        "target": table.target,
        "columns": table.columns,
        "split": {"by": "Random", "seed": 0},
    }
    namespace.apply({"apiVersion": API, "kind": "Dataset", "metadata": {"name": table.name}, "spec": spec})
    namespace.wait("fwds", table.name, seconds=CHECK_SECONDS)
    files = read_artifact(namespace, (namespace.get("fwds", table.name) or {})["status"]["digest"])
    return {name: files[name] for name in ("train.parquet", "validation.parquet", "test.parquet")}


def run_search(namespace: Namespace, table: Table, test: bytes, seconds: int) -> Found:
    """Apply the Experiment, wait for its end, and predict the test split by the model of its best trial."""
    spec = {
        "dataset": table.name,
        "trainer": {"sklearn": {}},
        "objective": {"metric": METRIC_OF_TASK[table.task]},
        "budget": {"maxTrials": MAX_TRIALS, "duration": f"{seconds}s"},
        # Trials share the processors with what else the cluster runs, as the peers do, and do not wait for free ones.
        "resources": {"requests": {"cpu": "100m", "memory": "256Mi"}},
    }
    namespace.apply({"apiVersion": API, "kind": "Experiment", "metadata": {"name": table.name}, "spec": spec})
    namespace.wait("fwexp", table.name, seconds=seconds + STOP_SECONDS)
    status = (namespace.get("fwexp", table.name) or {})["status"]
    start, end = (datetime.fromisoformat(status[time]) for time in ("startTime", "completionTime"))
    model = read_artifact(namespace, status["best"]["model"])
    predictions = predict(model, read_parquet(test))
    trials = status["trials"]["succeeded"]
    return Found(predictions, (end - start).total_seconds(), trials, status["best"]["estimator"])


def predict(model: Mapping[str, bytes], test: pandas.DataFrame) -> Predictions:
    """The predictions of a model artifact of ours for each row."""
    signature = json.loads(model["signature.json"])
    session = onnxruntime.InferenceSession(model["model.onnx"], providers=["CPUExecutionProvider"])
    tensors = {each["name"]: input_tensor(test[each["name"]], each["datatype"]) for each in signature["inputs"]}
    [values] = session.run([signature["outputs"][-1]["name"]], tensors)
    return Predictions(np.asarray(values, np.float64), tuple(signature["classes"]))
