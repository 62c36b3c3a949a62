"""A model learns from a timestamp, and its answers are the same however a client or a file writes the time."""

import csv
import io
import json
import random
import urllib.request
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from e2e import kube
from e2e.artifacts import read_object
from e2e.namespace import Namespace

MANIFESTS = """
apiVersion: flywheel.ml/v1alpha1
kind: Dataset
metadata: {name: accounts}
spec:
  source: {s3: {uri: "%(uri)s"}}
  target: left
  keys: [account]
---
apiVersion: flywheel.ml/v1alpha1
kind: Experiment
metadata: {name: accounts}
spec:
  dataset: accounts
  objective: {metric: roc_auc}
  trainer: {sklearn: {estimators: [{name: HistGradientBoostingClassifier}]}}
  budget: {maxTrials: 1}
  register: accounts
---
apiVersion: flywheel.ml/v1alpha1
kind: InferenceService
metadata: {name: accounts}
spec: {model: accounts, auth: {none: {}}}
---
apiVersion: flywheel.ml/v1alpha1
kind: BatchInference
metadata: {name: accounts}
spec:
  model: accounts
  input: {s3: {uri: "%(uri)s"}}
  output: {s3: {uri: "%(output)s"}, format: JSONL, include: [account], prediction: Probability}
"""
FIRST = datetime(2024, 1, 1, tzinfo=UTC)
ROWS, ASKED = 600, 25
Row = dict[str, str]


def accounts() -> list[Row]:
    """Nine in ten accounts of the first half of the year have left, and one in ten of the second."""
    chance = random.Random(11)
    found = []
    for number in range(ROWS):
        signup = FIRST + timedelta(seconds=chance.randrange(366 * 86_400))
        left = (signup.month <= 6) == (chance.random() < 0.9)
        row = {
            "account": f"a-{number}",
            "signup": f"{signup:%Y-%m-%dT%H:%M:%SZ}",
            "plan": ("pro", "free", "")[number % 3],
        }
        found.append(row | {"left": str(int(left))})
    return found


def as_csv(rows: list[Row]) -> str:
    written = io.StringIO()
    writer = csv.DictWriter(written, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return written.getvalue()


@pytest.fixture(scope="module")
def served(namespace: Namespace) -> Namespace:
    output = f"s3://{kube.bucket()}/{namespace.name}/scored/"
    namespace.apply(MANIFESTS % {"uri": namespace.upload("accounts/rows.csv", as_csv(accounts())), "output": output})
    for kind in ("fwds", "fwexp", "fwmodel", "fwsvc"):
        namespace.wait(kind, "accounts", seconds=240)
    return namespace


def post(port: int, path: str, body: bytes, content_type: str = "application/json") -> Any:
    url = f"http://127.0.0.1:{port}/v2/models/accounts/{path}"
    request = urllib.request.Request(url, body, {"Content-Type": content_type})
    with urllib.request.urlopen(request, timeout=30) as response:
        return json.load(response)


def predicted(answer: Any) -> list[float]:
    return [row["probabilities"]["1"] for row in answer["predictions"]]


def inferred(port: int, rows: list[Row], datatype: str, times: list[Any]) -> list[float]:
    shape = [len(rows), 1]
    inputs = [
        {"name": "signup", "datatype": datatype, "shape": shape, "data": times},
        {"name": "plan", "datatype": "BYTES", "shape": shape, "data": [row["plan"] for row in rows]},
    ]
    answer = post(port, "infer", json.dumps({"inputs": inputs, "outputs": [{"name": "probabilities"}]}).encode())
    values: list[float] = answer["outputs"][0]["data"]
    return values[1::2]


def test_a_model_learns_from_a_timestamp(served: Namespace) -> None:
    best = (served.get("fwexp", "accounts") or {})["status"]["best"]

    assert float(best["metrics"]["roc_auc"]) > 0.8


def test_every_form_of_a_time_has_one_answer(served: Namespace) -> None:
    served.wait("fwbatch", "accounts", reason="Scored", seconds=180)
    [part] = json.loads(read_object(served, "scored/_manifest.json"))["files"]
    batch = {row["account"]: row for row in map(json.loads, read_object(served, f"scored/{part['path']}").splitlines())}
    rows = accounts()[:ASKED]
    times = [datetime.fromisoformat(row["signup"]) for row in rows]
    features = [{"signup": row["signup"], "plan": row["plan"]} for row in rows]
    later = [
        {**row, "signup": (time + timedelta(hours=2)).strftime("%Y-%m-%dT%H:%M:%S+02:00")}
        for row, time in zip(features, times, strict=True)
    ]

    with kube.port_forward("service/accounts", 8080, served.name) as port:
        found = {
            "rows": predicted(post(port, "predict", json.dumps({"rows": features}).encode())),
            "rows with another offset": predicted(post(port, "predict", json.dumps({"rows": later}).encode())),
            "CSV": predicted(post(port, "predict", as_csv(features).encode(), "text/csv")),
            "microseconds": inferred(port, rows, "FP64", [time.timestamp() * 1e6 for time in times]),
            "text": inferred(port, rows, "BYTES", [row["signup"] for row in rows]),
        }

    expected = [batch[row["account"]]["probability_1"] for row in rows]
    assert len(batch) == ROWS
    assert len(set(expected)) > 2
    assert {form: answers == pytest.approx(expected, abs=1e-6) for form, answers in found.items()} == dict.fromkeys(
        found, True
    )
