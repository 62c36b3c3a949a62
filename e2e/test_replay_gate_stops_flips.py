"""Story: two versions are better by their tests. One decides yesterday's requests otherwise at one airport, and is stopped before it gets a
single request; the other one decides them as the champion did, and takes over."""

import json
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from e2e import replay
from e2e.artifacts import baseline_document, read_artifact, store_artifact, write_tested_model
from e2e.manifests import DELAY_VERSION
from e2e.namespace import Namespace
from e2e.onnx_models import classifier
from e2e.waiting import wait_until
from flywheel_serving.model.onnx_model import OnnxModel
from flywheel_serving.prediction_log.config import LogConfig

pytestmark = [pytest.mark.long, pytest.mark.timeout(300)]

CHAMPION, FLIPPING, ALIKE = "delay-1", "delay-2", "delay-3"
# Late from a distance of 50 on; the second one is late the sooner the higher the number of the airport.
MODELS = {
    CHAMPION: classifier({"distance": 0.2, "airport": 0.0}, -10.0),
    FLIPPING: classifier({"distance": 0.2, "airport": 3.0}, -10.0),
    ALIKE: classifier({"distance": 0.201, "airport": 0.0}, -10.05),
}
ACCURACIES = {CHAMPION: 0.80, FLIPPING: 0.90, ALIKE: 0.85}  # on the same test rows, as their trainings say
ROWS, AIRPORTS = 4_000, 4  # the rows of a minute are one request here
MODEL = """
apiVersion: flywheel.ml/v1alpha1
kind: Model
metadata: {name: delay}
spec:
  objective: {metric: accuracy}
  gates:
  - {name: yesterday, replay: {window: 2h, maxFlips: "10%", by: airport}}
  - {name: newest-labels, labelled: {metric: accuracy, minGain: "-0.02", window: 2h}}
---
apiVersion: flywheel.ml/v1alpha1
kind: InferenceService
metadata: {name: delay}
spec:
  model: delay
  auth: {none: {}}
  logging: {sample: "100%"}
---
apiVersion: flywheel.ml/v1alpha1
kind: ModelMonitor
metadata: {name: delay}
spec:
  inferenceService: delay
  schedule: {cron: "0 0 1 1 *"}
  groundTruth: {delay: {max: 1d}}
  performance: {metric: accuracy}
"""


def draw() -> pd.DataFrame:
    random = np.random.default_rng(31)
    rows = {"distance": random.uniform(0, 100, ROWS), "airport": random.integers(0, AIRPORTS, ROWS)}
    return pd.DataFrame({name: values.astype(np.float32) for name, values in rows.items()})


def make_baseline() -> bytes:
    """baseline.json of the training rows, by which servers count."""
    edges = {
        "distance": np.linspace(0, 100, 21).tolist(),
        "airport": np.linspace(0, AIRPORTS, AIRPORTS + 1).tolist(),
    }
    predictions = {"edges": np.linspace(0, 1, 51).tolist(), "counts": {"test": [1] * 50}}
    return baseline_document(draw(), edges, predictions)


def store_version(namespace: Namespace, folder: Path, name: str) -> str:
    """The digest of the version's artifact, whose files are left in the folder."""
    write_tested_model(folder, MODELS[name], make_baseline(), {"accuracy": ACCURACIES[name]})
    return store_artifact(namespace, folder)


def replay_traffic(namespace: Namespace, folder: Path, digest: str) -> None:
    """An hour of traffic of the champion with labels, logged by the server's own code."""
    rows, end = draw(), datetime.now(UTC) - timedelta(minutes=5)
    times = end.timestamp() - 3600 + np.arange(ROWS) * 3600 / ROWS
    feeds = {name: rows[name].to_numpy()[:, None] for name in rows}
    [labels] = OnnxModel(folder / "model.onnx").run(feeds, ["label"])
    config = LogConfig(sample=1.0, service="delay", namespace=namespace.name, pod="delay-before", digest=digest)
    server = replay.ReplayedServer(folder, CHAMPION, config, "0123456789ab")
    replay.upload(server.replay(replay.Traffic(rows, times, labels.tolist())))


def entries(namespace: Namespace, version: str) -> dict[str, Any]:
    """The results of a version's gates, by their names."""
    return {each["name"]: each for each in namespace.status("fwver", version).get("gates", {}).get("entries", ())}


@pytest.fixture(scope="module")
def challenged(namespace: Namespace, tmp_path_factory: pytest.TempPathFactory) -> Namespace:
    """The champion has served for an hour, and both other versions have been measured."""
    folder = tmp_path_factory.mktemp("versions")
    digests = {name: store_version(namespace, folder / name, name) for name in MODELS}
    namespace.apply(MODEL + DELAY_VERSION % (CHAMPION, digests[CHAMPION]))
    replay_traffic(namespace, folder / CHAMPION, digests[CHAMPION])
    namespace.wait("fwsvc", "delay")
    for name in (FLIPPING, ALIKE):
        namespace.apply(DELAY_VERSION % (name, digests[name]))
        wait_until(partial(entries, namespace, name), 120, lambda: str(namespace.status("fwmodel", "delay")))
    return namespace


def test_a_version_that_flips_decisions_gets_no_request(challenged: Namespace) -> None:
    found = entries(challenged, FLIPPING)
    status = challenged.status("fwver", FLIPPING)

    assert (found["yesterday"]["passed"], found["newest-labels"]["passed"]) == (False, False), found
    assert "of 4,000 decisions flip" in found["yesterday"]["message"]
    assert status.get("servedBy") in (None, [])
    history = [each["version"] for each in challenged.status("fwmodel", "delay")["history"]]
    assert FLIPPING not in history


def test_its_document_names_the_group_and_the_rows(challenged: Namespace) -> None:
    files = read_artifact(challenged, challenged.status("fwver", FLIPPING)["gates"]["artifact"])
    document = json.loads(files["replay-yesterday.json"])

    assert document["groups"][0]["group"] == "3"
    assert document["groups"][-1] == {**document["groups"][-1], "group": "0", "flips": 0}
    assert len(document["differences"]) == 20
    assert {each["features"]["airport"] for each in document["differences"]} <= {1.0, 2.0, 3.0}
    assert document["answers"] == {"logged": ROWS, "byChampion": 0}
    print(f"latency of the real mix: {document['latency']}")


def test_a_version_that_decides_alike_takes_over(challenged: Namespace) -> None:
    wait_until(
        lambda: challenged.status("fwsvc", "delay").get("version") == ALIKE,
        120,
        lambda: str(challenged.status("fwmodel", "delay")),
    )

    assert all(each["passed"] for each in entries(challenged, ALIKE).values()), entries(challenged, ALIKE)
