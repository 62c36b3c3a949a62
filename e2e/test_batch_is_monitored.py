"""Story: a monitor tests the rows of a BatchInference, and names the column that moved among those that the output includes."""

import io
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from e2e import kube
from e2e.artifacts import store_artifact
from e2e.monitors import run_monitor
from e2e.namespace import Namespace
from e2e.onnx_models import columns
from e2e.quiet_traffic import WEIGHTS, Columns, draw, make_baseline

ROWS = 5000
RESOURCES = """
apiVersion: flywheel.ml/v1alpha1
kind: ModelVersion
metadata: {name: delay-1}
spec: {model: delay, source: {artifact: {digest: "%(digest)s"}}}
---
apiVersion: flywheel.ml/v1alpha1
kind: BatchInference
metadata: {name: scores}
spec:
  version: delay-1
  input: {s3: {uri: "%(rows)s"}}
  output: {s3: {uri: "%(output)s"}, include: [distance, month]}
---
apiVersion: flywheel.ml/v1alpha1
kind: ModelMonitor
metadata: {name: delay}
spec:
  batchInference: scores
  window: 1m
  schedule: {cron: "0 0 1 1 *"}
"""

pytestmark = pytest.mark.long


def to_csv(rows: Columns) -> bytes:
    """A CSV file with a header."""
    text = io.StringIO()
    text.write(",".join(rows) + "\n")
    text.writelines(",".join(map(str, row)) + "\n" for row in zip(*rows.values(), strict=True))
    return text.getvalue().encode()


def test_the_shifted_column_of_a_batch_is_named(namespace: Namespace, tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(columns(WEIGHTS))
    (tmp_path / "baseline.json").write_bytes(make_baseline())
    digest = store_artifact(namespace, tmp_path)
    uri = namespace.upload("in.csv", to_csv(draw(ROWS, shifted="distance")))
    output = f"s3://{kube.bucket()}/{namespace.name}/out/"
    namespace.apply(RESOURCES % {"digest": digest, "rows": uri, "output": output})
    namespace.wait("fwbatch", "scores")
    batch = namespace.get("fwbatch", "scores") or {}
    finished = datetime.fromisoformat(batch["status"]["history"][0]["finishedAt"])

    status = run_monitor(namespace, "delay", finished.replace(second=0) + timedelta(minutes=1))

    assert (status["window"]["rows"], {each["name"] for each in status["features"]}) == (ROWS, {"distance", "month"})
    psi = {each["name"]: float(each["psi"]) for each in status["features"]}
    assert psi["distance"] > 0.1 > psi["month"]
    [unnamed] = [each["message"] for each in status["conditions"] if each["type"] == "NoDrift"]
    assert "hour" in unnamed, "the column that the output does not include"
