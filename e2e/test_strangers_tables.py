"""Public tables go from `kubectl apply` to a served answer, as good as scikit-learn's default boosting on the same splits.

CI runs a small table with one split; FLYWHEEL_TABLES=all runs eight with three (`make test-long`).
"""

import json
import os
import sys
from dataclasses import dataclass
from typing import Any

import numpy
import pandas
import pytest
import tritonclient.http as triton
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.metrics import roc_auc_score, root_mean_squared_error
from sklearn.preprocessing import OrdinalEncoder

from e2e import kube
from e2e.artifacts import input_tensor, read_artifact, read_parquet
from e2e.namespace import Namespace
from e2e.tables import TABLES, Table

ALL = os.environ.get("FLYWHEEL_TABLES") == "all"
CHOSEN = [each for each in TABLES if ALL or each.name == "penguins"]
SEEDS = range(3 if ALL else 1)
TRIALS = 8 if ALL else 4
WAIT_SECONDS = 1800 if ALL else 300
LEAST = 0.98  # of the quality of the default boosting, as a mean over the splits
BATCH_ROWS = 2000

MANIFESTS = """
apiVersion: flywheel.ml/v1alpha1
kind: Dataset
metadata: {name: %(name)s}
spec:
  source: {s3: {uri: "%(uri)s"}}
  target: %(target)s
  columns: %(columns)s
  split: {by: Random, seed: %(seed)d}
---
apiVersion: flywheel.ml/v1alpha1
kind: Experiment
metadata: {name: %(name)s}
spec:
  dataset: %(name)s
  trainer: {sklearn: {}}
  budget: {maxTrials: %(trials)d}
  register: %(name)s
---
apiVersion: flywheel.ml/v1alpha1
kind: InferenceService
metadata: {name: %(name)s}
spec:
  model: %(name)s
  auth: {none: {}}
"""
MODEL_WITHOUT_DEFAULT_GATES = """
---
apiVersion: flywheel.ml/v1alpha1
kind: Model
metadata: {name: %(name)s}
spec: {defaultGates: Disabled}
"""


@dataclass(frozen=True)
class Quality:
    """The ROC AUC of classes, or the root mean squared error of numbers, on the test split."""

    served: float
    boosting: float
    is_error: bool

    @property
    def ratio(self) -> float:
        """What share of the boosting's quality the served model has."""
        return self.boosting / self.served if self.is_error else self.served / self.boosting


def apply(namespace: Namespace, table: Table) -> None:
    """Apply the manifests of a table, those of each of its splits."""
    uri = namespace.upload(f"{table.name}.csv", table.read())
    for seed in SEEDS:
        values = {
            "name": f"{table.name}-{seed}",
            "uri": uri,
            "target": table.target,
            "columns": json.dumps(table.columns),
        }
        manifests = MANIFESTS if table.beats_constant else MANIFESTS + MODEL_WITHOUT_DEFAULT_GATES
        namespace.apply(manifests % {**values, "seed": seed, "trials": TRIALS})


@pytest.mark.parametrize("table", CHOSEN, ids=lambda table: table.name)
def test_served_answers_are_as_good_as_default_boosting(
    namespace: Namespace, table: Table, capsys: pytest.CaptureFixture[str]
) -> None:
    for each in [table] if ALL else CHOSEN:  # three searches at a time: the splits of one table, or one split of each
        apply(namespace, each)
    found = [quality(namespace, table, f"{table.name}-{seed}") for seed in SEEDS]
    if ALL:
        namespace.kubectl("delete", "fwsvc", "--all")

    mean = sum(each.ratio for each in found) / len(found)
    pairs = ", ".join(f"{each.served:.4f} / {each.boosting:.4f}" for each in found)
    with capsys.disabled():
        sys.stderr.write(f"\n{table.name:12} {mean:.4f} (served / boosting: {pairs})\n")
    assert mean >= LEAST, found


def quality(namespace: Namespace, table: Table, name: str) -> Quality:
    """Wait for the service, send it the test split, and compare with boosting that is fitted on the train split."""
    for kind in ("fwds", "fwexp", "fwmodel", "fwsvc"):
        namespace.wait(kind, name, seconds=WAIT_SECONDS)
    files = read_artifact(namespace, (namespace.get("fwds", name) or {})["status"]["digest"])
    train, test = (read_parquet(files[f"{split}.parquet"]) for split in ("train", "test"))
    features = [name for name in train if name != table.target]
    is_number = table.task == "Regression"
    boosting = (HistGradientBoostingRegressor if is_number else HistGradientBoostingClassifier)(random_state=0)
    encoder = encode(train[features])
    boosting.fit(encoder(train[features]), train[table.target])
    with kube.port_forward(f"service/{name}", 8080, namespace.name) as port:
        served = predict(port, name, test, "prediction" if is_number else "probabilities")
    if is_number:
        expected = boosting.predict(encoder(test[features]))
        served_error, error = (root_mean_squared_error(test[table.target], each.ravel()) for each in (served, expected))
        return Quality(served_error, error, is_error=True)
    expected = boosting.predict_proba(encoder(test[features]))
    return Quality(roc_auc(test[table.target], served), roc_auc(test[table.target], expected), is_error=False)


def roc_auc(truth: "pandas.Series[Any]", probabilities: "numpy.ndarray[Any, Any]") -> float:
    """The area under the curve; the mean over the classes against the rest if there are more than two."""
    if probabilities.shape[1] == 2:
        return float(roc_auc_score(truth, probabilities[:, 1]))
    return float(roc_auc_score(truth, probabilities, multi_class="ovr"))


def encode(train: pandas.DataFrame) -> Any:
    """Return a function that makes numbers of a frame's columns: texts and booleans become their ordinal in `train`."""
    texts = [column for column in train if not pandas.api.types.is_numeric_dtype(train[column])]
    ordinals = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=numpy.nan).fit(train[texts])

    def numbers(frame: pandas.DataFrame) -> "numpy.ndarray[Any, Any]":
        rest = frame.drop(columns=texts).to_numpy(numpy.float64)
        return numpy.hstack([rest, ordinals.transform(frame[texts])]) if texts else rest

    return numbers


def predict(port: int, model: str, frame: pandas.DataFrame, output: str) -> "numpy.ndarray[Any, Any]":
    """The answers of a service for each row of the frame."""
    client = triton.InferenceServerClient(f"127.0.0.1:{port}", network_timeout=60)
    inputs = client.get_model_metadata(model)["inputs"]
    answers = []
    for start in range(0, len(frame), BATCH_ROWS):
        rows = frame.iloc[start : start + BATCH_ROWS]
        tensors = []
        for each in inputs:
            tensor = triton.InferInput(each["name"], [len(rows), 1], each["datatype"])
            tensor.set_data_from_numpy(input_tensor(rows[each["name"]], each["datatype"]))
            tensors.append(tensor)
        answers.append(client.infer(model, tensors).as_numpy(output))
    client.close()
    return numpy.concatenate(answers)
