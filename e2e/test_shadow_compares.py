"""A challenger gets copies and nobody sees its answers: one that disagrees is refused with its worst examples, one that agrees takes over."""

import json
import time
from typing import Any

import pytest

from e2e import kube, rollouts
from e2e.namespace import Namespace
from e2e.onnx_models import linear
from e2e.rollouts import NAME, ROW
from e2e.traffic import Traffic, predict_once

ROLLOUT = {"shadow": {"percent": 50, "duration": "6s", "maxDisagreement": "5%", "minRequests": 20}, "keepWarm": "30s"}


@pytest.fixture(scope="module")
def served(namespace: Namespace) -> Namespace:
    versions = {
        "fraud-1": linear([1.0, 0.0]),
        "fraud-2": linear([2.0, 0.0]),
        "fraud-3": linear([1.0, 0.0], bias=0.00001),  # within the tolerance: 1e-6 and a thousandth
    }
    rollouts.add_versions(namespace, versions)
    rollouts.serve_champion(namespace, "fraud-1", ROLLOUT)
    return namespace


def artifact(namespace: Namespace, digest: str, path: str) -> Any:
    """A JSON file of an artifact in the store."""
    store, bucket = kube.store(), kube.bucket()

    def read(key: str) -> Any:
        return json.loads(store.get_object(Bucket=bucket, Key=f"{namespace.name}/{key}")["Body"].read())

    manifest = read(f"manifests/sha256/{digest.removeprefix('sha256:')}.json")
    [sha256] = [each["sha256"] for each in manifest["files"] if each["path"] == path]
    return read(f"blobs/sha256/{sha256[:2]}/{sha256}")


def test_a_challenger_that_disagrees_is_rejected_and_no_client_saw_its_answers(served: Namespace) -> None:
    with kube.port_forward(f"service/{NAME}", 8080, served.name) as port, Traffic(port, NAME, ROW) as traffic:
        rollouts.set_champion(served, "fraud-2")
        status = rollouts.wait_for_phase(served, "RolledBack", "fraud-2")
        condition = served.wait("fwsvc", NAME, reason="RolledBack")

    assert traffic.failures == {}
    assert set(traffic.answers) == {"fraud-1: 100.0"}
    assert "disagreed in 100 % (limit 5 %" in condition["message"]
    assert float(status["numbers"]["largestDifference"]) > 0
    worst = artifact(served, status["examples"], "worst.json")
    assert 1 <= len(worst) <= 20
    assert {"inputs", "champion", "challenger", "difference"} <= set(worst[0])


def test_a_challenger_that_agrees_takes_over(served: Namespace) -> None:
    with kube.port_forward(f"service/{NAME}", 8080, served.name) as port, Traffic(port, NAME, ROW) as traffic:
        rollouts.set_champion(served, "fraud-3")
        before: set[str] = set()
        answers, end = set(traffic.answers), time.monotonic() + 150
        while rollouts.rollout_status(served).get("phase") != "Promoted" and time.monotonic() < end:
            before |= answers  # those that came while the pointer had not moved
            time.sleep(0.5)
            answers = set(traffic.answers)
        status = rollouts.wait_for_phase(served, "Promoted", "fraud-3")

    assert traffic.failures == {}
    assert before == {"fraud-1: 100.0"}, "until the pointer moves, nobody sees the challenger's answers"
    assert float(status["numbers"]["disagreement"]) == 0
    with kube.port_forward(f"service/{NAME}", 8080, served.name) as port:
        assert predict_once(port, NAME, ROW)[0] == "fraud-3"
