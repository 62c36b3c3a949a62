"""Story: labels that arrive after their predictions, some of them twice, too late or made up, say when the model became worse."""

import json
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from e2e import kube
from e2e.artifacts import store_artifact
from e2e.manifests import LOGGED_SERVICE, MONITOR
from e2e.monitors import read_report, run_monitor
from e2e.namespace import Namespace
from e2e.onnx_models import columns

pytestmark = pytest.mark.long

LOGGING = '{sample: "100%"}'
GROUND_TRUTH = """  groundTruth: {delay: {max: 1m}}
  performance: {metric: mae, maxDrop: "0.5"}
"""
WEIGHTS = {"distance": 0.2, "month": 1.0}
EVALUATION = {"v": 1, "test": {"digest": None, "rows": 5_000, "metrics": {"mae": 0.8, "rmse": 1.0}}}
ROWS, REQUEST_ROWS = 600, 50
DELAY_SECONDS = 60
random = np.random.default_rng(23)
Label = dict[str, Any]


def post(port: int, path: str, content: Any) -> dict[str, Any]:
    request = urllib.request.Request(f"http://127.0.0.1:{port}/v2/models/delay/{path}", json.dumps(content).encode())
    with urllib.request.urlopen(request, timeout=30) as response:
        found: dict[str, Any] = json.load(response)
    return found


def predict_and_label(port: int, error: float) -> list[Label]:
    """Predictions of 600 rows, and their true values, which are off by a standard deviation of 1 and this much more."""
    labels: list[Label] = []
    for _ in range(ROWS // REQUEST_ROWS):
        rows = [{name: float(value) for name, value in zip(WEIGHTS, random.uniform(0, 100, 2), strict=True)} for _ in range(REQUEST_ROWS)]  # fmt: skip
        found = post(port, "predict", {"rows": rows})
        for at, prediction in enumerate(found["predictions"]):
            truth = prediction["prediction"] + random.normal() + error
            labels.append({"id": found["id"], "row": at, "label": truth})
    return labels


def wait_for_minute(earliest: int, latest: int) -> datetime:
    """The start of the minute in which it is between these seconds, so that all requests fall into its window."""
    while not earliest <= datetime.now(UTC).second <= latest:
        time.sleep(0.5)
    return datetime.now(UTC).replace(second=0, microsecond=0)


@pytest.fixture(scope="module")
def served(namespace: Namespace, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Namespace, int]]:
    folder: Path = tmp_path_factory.mktemp("artifact")
    (folder / "model.onnx").write_bytes(columns(WEIGHTS))
    (folder / "evaluation.json").write_text(json.dumps(EVALUATION))
    digest = store_artifact(namespace, folder)
    namespace.apply(LOGGED_SERVICE % {"digest": digest, "logging": LOGGING} + MONITOR + GROUND_TRUTH)
    namespace.wait("fwsvc", "delay")
    with kube.port_forward("service/delay", 8080, namespace.name) as port:
        yield namespace, port


def test_late_labels_say_when_the_model_became_worse(served: tuple[Namespace, int]) -> None:
    namespace, port = served
    good_minute = wait_for_minute(30, 45)  # late in it, so that its last labels are in time in the next one
    good = predict_and_label(port, error=0.0)
    assert post(port, "feedback", {"labels": good[:400]}) == {"accepted": 400}
    bad_minute = wait_for_minute(0, 10)
    bad = predict_and_label(port, error=5.0)
    # The rest of the first labels, one of them twice, one with two values, and one of a prediction that nobody made.
    odd = [good[0], {**good[1], "label": 1e6}, {"id": "made-up", "row": 0, "label": 1}]
    post(port, "feedback", {"labels": good[400:] + odd})
    post(port, "feedback", {"labels": bad})

    status = run_monitor(namespace, "delay", bad_minute + timedelta(minutes=1, seconds=DELAY_SECONDS))

    condition = next(each for each in status["conditions"] if each["type"] == "Performing")
    assert (condition["status"], "mae of labelled predictions" in condition["message"]) == ("False", True), condition
    found = read_report(namespace, status)["performance"]
    windows = {each["start"]: each for each in found["windows"]}
    first, second = windows[f"{good_minute:%Y-%m-%dT%H:%M:%SZ}"], windows[f"{bad_minute:%Y-%m-%dT%H:%M:%SZ}"]
    assert abs(first["value"] - 0.8) < 0.15
    assert (first["labels"]["labelled"], first["labels"]["duplicates"], first["labels"]["conflicts"]) == (
        ROWS - 1,
        1,
        1,
    )
    assert 4.5 < second["value"] < 5.5
    assert (second["labels"]["labelled"], found["unknown"]) == (ROWS, 1)
    [finding] = [each for each in status["findings"] if each["signal"] == "performance"]
    assert datetime.fromisoformat(finding["since"]) == bad_minute


def test_a_label_of_another_form_is_refused(served: tuple[Namespace, int]) -> None:
    _, port = served
    with pytest.raises(urllib.error.HTTPError) as refusal:
        post(port, "feedback", {"labels": [{"id": "a", "value": 1}]})

    assert refusal.value.code == 400
    assert "unknown 'value'" in json.load(refusal.value)["error"]
