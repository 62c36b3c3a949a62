"""Story: labels of the few rows that say most give the right answer, and a narrower one than as many labels of any rows."""

import csv
import json
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from e2e import kube, replay
from e2e.artifacts import classifier_signature, read_artifact, store_artifact
from e2e.flywheel_command import Flywheel
from e2e.manifests import LOGGED_SERVICE, MONITOR
from e2e.namespace import Namespace
from e2e.onnx_models import classifier
from e2e.reader_access import MOUNT_SECONDS, bind, give_reader_a_key
from e2e.waiting import wait_until
from flywheel_runtime.statistics.intervals import wilson
from flywheel_serving.prediction_log.config import parse_log_config

pytestmark = pytest.mark.long

GROUND_TRUTH = """  groundTruth: {delay: {max: 1d}}
  performance: {metric: accuracy, maxDrop: "0.05"}
"""
WEIGHT, BIAS = 0.3, -18.0  # of a column from 0 to 100: the model is sure of most rows
ROWS, MINUTES, LABELS = 6_000, 20, 300
BOOT = "0123456789ab"
EDGES = np.linspace(0, 100, 21).tolist()
EVALUATION = {"v": 1, "test": {"digest": None, "rows": 5_000, "metrics": {"accuracy": 0.9}}}
LABEL_SECONDS = 100  # until posted labels are in the store
random = np.random.default_rng(29)


@pytest.fixture(autouse=True)
def analyst(monkeypatch: pytest.MonkeyPatch) -> None:
    """The command asks the reader as this ServiceAccount."""
    monkeypatch.setenv("FLYWHEEL_SERVICE_ACCOUNT", "analyst")


def write_artifact(folder: Path) -> None:
    bins = [ROWS // 20] * 20
    features = {"distance": {"type": "Float", "edges": EDGES, "counts": {"missing": 0, "invalid": 0, "under": 0, "over": 0, "bins": bins}}}  # fmt: skip
    predictions = {"edges": np.linspace(0, 1, 21).tolist(), "counts": {"test": bins}}
    documents = {
        "signature": classifier_signature("late", ["distance"]),
        "evaluation": EVALUATION,
        "baseline": {"v": 1, "rows": ROWS, "features": features, "predictions": predictions},
    }
    for name, document in documents.items():
        (folder / f"{name}.json").write_text(json.dumps(document))
    (folder / "model.onnx").write_bytes(classifier({"distance": WEIGHT}, BIAS))


@dataclass(frozen=True)
class Logged:
    """What is true of each logged row, by the id of its request and its index, and the share of rows that the model predicts right."""

    truths: dict[tuple[str, int], int]
    accuracy: float


@pytest.fixture(scope="module")
def logged(namespace: Namespace, tmp_path_factory: pytest.TempPathFactory) -> Logged:
    """A service that has logged 6,000 rows of the last minutes."""
    folder = tmp_path_factory.mktemp("artifact")
    write_artifact(folder)
    digest = store_artifact(namespace, folder)
    give_reader_a_key()
    bind(namespace, "analyst", "flywheel-data-reader")
    namespace.apply(LOGGED_SERVICE % {"digest": digest, "logging": '{sample: "100%"}'} + MONITOR + GROUND_TRUTH)

    end = datetime.now(UTC).replace(second=0, microsecond=0) - timedelta(minutes=3)
    times = np.sort(end.timestamp() - 60 * MINUTES * (1 - random.random(ROWS)))
    distance = random.uniform(0, 100, ROWS)
    traffic = replay.Traffic(pd.DataFrame({"distance": distance.astype(np.float32)}), times, None)
    log = {"sample": 1.0, "service": "delay", "namespace": namespace.name, "pod": "delay-before", "digest": digest}
    server = replay.ReplayedServer(folder, "delay-1", parse_log_config(json.dumps(log)), BOOT)
    replay.upload(server.replay(traffic))
    namespace.wait("fwsvc", "delay")

    late = (random.random(ROWS) < 1 / (1 + np.exp(-(WEIGHT * distance + BIAS)))).astype(int)
    requests = [place for _, places in traffic.minutes() for place in places]
    truths = {
        (f"{BOOT}-{number}", row): int(late[place.start + row])
        for number, place in enumerate(requests, start=1)
        for row in range(place.stop - place.start)
    }
    return Logged(truths, float(np.mean((WEIGHT * distance + BIAS > 0) == late)))


def count_labels(namespace: Namespace) -> int:
    """Files of posted labels in the store."""
    prefix = f"{namespace.name}/predictions/delay/labels/"
    return int(kube.store().list_objects_v2(Bucket=kube.bucket(), Prefix=prefix).get("KeyCount", 0))


def monitored(namespace: Namespace) -> dict[str, Any]:
    """report.json of a run that is requested now."""
    namespace.kubectl("annotate", "fwmon", "delay", "--overwrite", f"flywheel.ml/run-requested={time.time()}")

    def report() -> dict[str, Any] | None:
        status = (namespace.get("fwmon", "delay") or {}).get("status", {})
        digest = status.get("report", {}).get("digest")
        return dict(json.loads(read_artifact(namespace, digest)["report.json"])) if digest else None

    return wait_until(report, 120, lambda: str((namespace.get("fwmon", "delay") or {}).get("status")))


def test_few_labels_of_drawn_rows_give_a_right_and_narrow_answer(
    flywheel: Flywheel, namespace: Namespace, logged: Logged, tmp_path: Path
) -> None:
    queue = tmp_path / "queue.csv"

    def offer() -> str | None:
        """The kubelet brings the reader its key of this namespace within about a minute."""
        try:
            return flywheel("label", "delay", "--rows", str(LABELS), "--output", queue)
        except AssertionError:
            return None

    said = wait_until(offer, MOUNT_SECONDS, "the reader does not have the rows")
    assert "rows to know the error rate of version delay-1 on 6,000 logged rows to ±" in said

    with queue.open(newline="") as file:
        rows = [*csv.DictReader(file)]
    labels = [logged.truths[each["id"], int(each["row"])] for each in rows]
    with queue.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0].keys())
        writer.writeheader()
        writer.writerows({**row, "label": label} for row, label in zip(rows, labels, strict=True))
    assert f"{len(rows)} labels are posted" in flywheel("label", "delay", "--submit", queue)
    wait_until(lambda: count_labels(namespace) > 0, LABEL_SECONDS, "the labels are not in the store")

    report = monitored(namespace)

    [estimate] = report["performance"]["estimates"]
    predicted = [int(each["outputs.label"]) for each in rows]
    unweighted = float(np.mean(np.array(predicted) == np.array(labels)))
    half_width = (estimate["high"] - estimate["low"]) / 2
    fair = wilson(logged.accuracy, len(rows))
    uniform, promised = (fair.high - fair.low) / 2, float(said.rpartition("±")[2].partition(" %")[0]) / 100
    print(f"{estimate}; promised ±{promised}, ±{half_width:.4f}; unweighted {unweighted:.3f}, all rows {logged.accuracy:.3f}, uniform ±{uniform:.4f}")  # fmt: skip
    assert (estimate["drawn"], estimate["labelled"], estimate["rows"]) == (len(rows), len(rows), ROWS)
    # Which rows are drawn differs from run to run, and with it the width.
    assert promised < 0.75 * uniform
    assert half_width < 1.2 * uniform
    assert abs(estimate["value"] - logged.accuracy) < 2.5 * half_width
    assert unweighted < logged.accuracy - half_width, "the drawn rows are more difficult than the others"
    assert estimate["message"] in report["signals"]["performance"]["message"]
