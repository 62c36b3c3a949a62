"""Batch scoring gives, row for row, what online serving gives; also after a shard's pod was killed, and beside rows that cannot be scored."""

import hashlib
import json
import struct
import time
import urllib.request
from typing import Any

import pytest

from e2e import kube
from e2e.namespace import Namespace
from e2e.onnx_models import linear
from e2e.waiting import wait_until

WEIGHTS = [0.25, -1.5, 3.0]
MODEL = """
apiVersion: flywheel.ml/v1alpha1
kind: ModelVersion
metadata: {name: fraud-1}
spec:
  model: fraud
  source: {s3: {uri: "%(uri)s"}, sha256: "%(sha256)s"}
---
apiVersion: flywheel.ml/v1alpha1
kind: Model
metadata: {name: fraud}
spec: {description: "Is this payment a fraud?"}
---
apiVersion: flywheel.ml/v1alpha1
kind: InferenceService
metadata: {name: fraud}
spec:
  version: fraud-1
  auth: {none: {}}
"""
ROWS = 20_000
ASKED = 1_000  # rows in one request to the server


@pytest.fixture(scope="module")
def served(namespace: Namespace) -> Namespace:
    model = linear(WEIGHTS, bias=0.5)
    namespace.apply(MODEL % {"uri": namespace.upload("fraud.onnx", model), "sha256": hashlib.sha256(model).hexdigest()})
    namespace.wait("fwver", "fraud-1")
    namespace.wait("fwsvc", "fraud")
    namespace.wait("fwmodel", "fraud")
    return namespace


def row(number: int) -> list[float]:
    return [number / 7, number % 13 / 3, -number / 1000]


def csv(rows: int, bad: frozenset[int] = frozenset()) -> str:
    """`id,a,b,c`; the bad rows, by number from 1, have text where a number should be."""
    lines = [
        f"id-{number},{'many' if number in bad else repr(a)},{b!r},{c!r}"
        for number, (a, b, c) in ((n, row(n)) for n in range(1, rows + 1))
    ]
    return "\n".join(["id,a,b,c", *lines, ""])


def batch(namespace: Namespace, name: str, uri: str, **more: Any) -> dict[str, Any]:
    spec = {
        "model": "fraud",
        "input": {"s3": {"uri": uri}, "features": ["a", "b", "c"]},
        "output": {
            "s3": {"uri": f"s3://{kube.bucket()}/{namespace.name}/{name}/"},
            "format": "JSONL",
            "include": ["id"],
        },
        **more,
    }
    return {"apiVersion": "flywheel.ml/v1alpha1", "kind": "BatchInference", "metadata": {"name": name}, "spec": spec}


def read(namespace: Namespace, key: str) -> bytes:
    content: bytes = kube.store().get_object(Bucket=kube.bucket(), Key=f"{namespace.name}/{key}")["Body"].read()
    return content


def output(namespace: Namespace, name: str) -> dict[str, float]:
    """The score of each id, from the parts that the manifest names, whose SHA-256 are checked."""
    found: dict[str, float] = {}
    for file in json.loads(read(namespace, f"{name}/_manifest.json"))["files"]:
        content = read(namespace, f"{name}/{file['path']}")
        assert hashlib.sha256(content).hexdigest() == file["sha256"]
        for line in content.decode().splitlines():
            record = json.loads(line)
            assert record["id"] not in found, "a row came out twice"
            found[record["id"]] = record["score"]
    return found


def online(namespace: Namespace, numbers: list[int]) -> dict[str, float]:
    """The same rows, asked over the Service."""
    found: dict[str, float] = {}
    with kube.port_forward("service/fraud", 8080, namespace.name) as port:
        for start in range(0, len(numbers), ASKED):
            some = numbers[start : start + ASKED]
            data = [value for number in some for value in row(number)]
            body = {"inputs": [{"name": "x", "datatype": "FP32", "shape": [len(some), 3], "data": data}]}
            url = f"http://127.0.0.1:{port}/v2/models/fraud/infer"
            with urllib.request.urlopen(urllib.request.Request(url, json.dumps(body).encode()), timeout=30) as answer:
                scores = json.load(answer)["outputs"][0]["data"]
            found |= {f"id-{number}": score for number, score in zip(some, scores, strict=True)}
    return found


def bits(scores: dict[str, float]) -> dict[str, bytes]:
    """As the model gave them: FP32."""
    return {name: struct.pack("<f", score) for name, score in scores.items()}


def test_every_row_scores_as_it_does_online(served: Namespace) -> None:
    served.apply(batch(served, "plain", served.upload("plain/rows.csv", csv(ROWS)), shards=3, parallelism=2))

    condition = served.wait("fwbatch", "plain", reason="Scored", seconds=180)

    assert f"{ROWS:,} rows" in condition["message"]
    assert bits(output(served, "plain")) == bits(online(served, list(range(1, ROWS + 1))))


def test_a_killed_pod_changes_nothing(served: Namespace) -> None:
    rows = 100 * ROWS  # so that a shard takes seconds longer than to kill its pod
    served.apply(batch(served, "killed", served.upload("killed/rows.csv", csv(rows)), shards=2))
    victim, index = wait_until(
        lambda: scoring(served, "killed"), 120, "no pod of the score Job has started its main", 0.1
    )

    served.kubectl("delete", "pod", victim, "--grace-period=1", "--wait=false")
    again = wait_until(lambda: scoring(served, "killed", but=victim), 120, "no pod came in its place", 0.1)
    assert again[1] == index, "the killed index runs again before the other one"
    served.wait("fwbatch", "killed", reason="Scored", seconds=240)

    scores = output(served, "killed")
    some = list(range(1, rows + 1, 100))
    assert len(scores) == rows
    assert bits({f"id-{number}": scores[f"id-{number}"] for number in some}) == bits(online(served, some))


def scoring(namespace: Namespace, name: str, but: str = "") -> tuple[str, str] | None:
    """A pod of the score Job whose main runs, and its index."""
    for pod in kube.list_objects("pods", namespace.name, f"flywheel.ml/name={name},flywheel.ml/step=score"):
        for container in pod["status"].get("containerStatuses") or []:
            if container["name"] == "main" and "running" in container["state"] and pod["metadata"]["name"] != but:
                labels = pod["metadata"]["labels"]
                return str(pod["metadata"]["name"]), str(labels["batch.kubernetes.io/job-completion-index"])
    return None


def test_bad_rows_fail_alone_and_are_named(served: Namespace) -> None:
    bad = frozenset({3, 500, 999})
    served.apply(batch(served, "bad-rows", served.upload("bad/rows.csv", csv(1000, bad))))

    condition = served.wait("fwbatch", "bad-rows", reason="Scored", seconds=180)

    manifest = json.loads(read(served, "bad-rows/_manifest.json"))
    faults = [json.loads(line) for line in read(served, f"bad-rows/{manifest['errorFiles'][0]['path']}").splitlines()]
    scores = output(served, "bad-rows")
    good = [number for number in range(1, 1001) if number not in bad]
    assert [(fault["file"], fault["row"]) for fault in faults] == [("rows.csv", number) for number in sorted(bad)]
    assert all("'many' is no number" in fault["message"] for fault in faults)
    assert "3 rows could not be scored" in condition["message"]
    assert bits(scores) == bits(online(served, good))


def test_too_many_bad_rows_are_refused_and_nothing_counts(served: Namespace) -> None:
    uri = served.upload("worse/rows.csv", csv(1000, frozenset(range(1, 100))))
    served.apply(batch(served, "worse", uri, maxRowErrors=10))

    condition = served.wait("fwbatch", "worse", ready="False", reason="TooManyRowErrors", stalled=True, seconds=180)

    assert "more than 10 rows" in condition["message"]
    with pytest.raises(kube.store().exceptions.NoSuchKey):
        read(served, "worse/_manifest.json")


def test_an_input_that_comes_later_is_waited_for_and_after_its_ttl_it_goes(served: Namespace) -> None:
    uri = f"s3://{kube.bucket()}/{served.name}/uploads/later/rows.csv"
    kube.store().delete_object(Bucket=kube.bucket(), Key=f"{served.name}/uploads/later/rows.csv")
    served.apply(batch(served, "later", uri))
    condition = served.wait("fwbatch", "later", ready="False", reason="SourceMissing", seconds=120)
    assert uri in condition["message"]

    served.upload("later/rows.csv", csv(100))

    served.wait("fwbatch", "later", reason="Scored", seconds=180)
    assert len(output(served, "later")) == 100

    served.kubectl("patch", "fwbatch", "later", "--type=merge", '--patch={"spec": {"ttl": "1s"}}')
    wait_until(lambda: served.get("fwbatch", "later") is None, 60, "its time is over, and it is still there")
    assert len(output(served, "later")) == 100, "the output stays"


def test_a_tick_is_answered_with_its_day(served: Namespace) -> None:
    manifest = batch(served, "nightly", served.upload("nightly/rows.csv", csv(10)))
    manifest["spec"]["output"]["s3"]["uri"] += "day=$(run.date)/"
    manifest["spec"]["schedule"] = {"cron": "0 3 1 1 *", "timeZone": "America/New_York"}
    served.apply(manifest)
    served.wait("fwbatch", "nightly", reason="Scheduled")
    day = time.strftime("%Y-%m-%d", time.gmtime())

    served.kubectl("create", "job", "by-hand", "--from=cronjob/nightly")

    served.wait("fwbatch", "nightly", reason="Scored", seconds=180)
    assert len(output(served, f"nightly/day={day}")) == 10
    wait_until(lambda: kube.condition(served.get("job", "by-hand"), "Complete").get("status") == "True", 30, "the tick")


def test_user_input_gives_no_access_to_the_credentials(served: Namespace) -> None:
    manifest = batch(served, "curious", served.upload("curious/rows.csv", csv(10)))
    manifest["spec"]["output"]["include"] = ["$(AWS_SECRET_ACCESS_KEY)"]
    served.apply(manifest)

    condition = served.wait("fwbatch", "curious", ready="False", reason="ColumnsMissing", stalled=True, seconds=120)

    assert "'$(AWS_SECRET_ACCESS_KEY)'" in condition["message"]
