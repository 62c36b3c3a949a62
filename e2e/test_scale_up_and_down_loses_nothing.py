"""Load comes and more servers answer it; load goes and they leave; no request fails.

The load goes to a loopback port that leads to the Service. Bounded: 4 clients, one request at a time each, 5 minutes at most.
"""

import hashlib
import json
import threading
import time
import urllib.request
from collections import Counter

import pytest

from e2e import kube, loopback
from e2e.cluster import cluster
from e2e.namespace import Story
from e2e.onnx_models import linear
from e2e.test_own_model import MANIFESTS
from e2e.waiting import wait_until

ROWS = 100
BODY = json.dumps(
    {"inputs": [{"name": "x", "datatype": "FP32", "shape": [ROWS, 2], "data": [1] * (2 * ROWS)}]}
).encode()
SCALING = """
  resources: {requests: {cpu: 100m}}
  scaling:
    maxReplicas: 3
    target: 40%
    behavior: {scaleDown: {stabilizationWindowSeconds: 0}}
  auth:"""
BUSY, QUIET = 0.005, 1.0  # seconds between a client's requests
pytestmark = pytest.mark.skipif(
    cluster.chosen().kind != "native", reason="only the native cluster's node reaches Services"
)


class Load:
    """Four clients, each with a connection for every request, until told to stop."""

    def __init__(self, port: int) -> None:
        self.pause = BUSY
        self.answers: Counter[str] = Counter()
        self._address = f"http://127.0.0.1:{port}/v2/models/fraud/infer"
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._ask) for _ in range(4)]

    def __enter__(self) -> "Load":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(15)

    def _ask(self) -> None:
        end = time.monotonic() + 300
        while not self._stop.is_set() and time.monotonic() < end:
            try:
                with urllib.request.urlopen(urllib.request.Request(self._address, BODY), timeout=10) as response:
                    right = json.load(response)["outputs"][0]["data"] == [2.0] * ROWS
                    self.answers["right" if right else "wrong"] += 1
            except OSError as error:
                self.answers[f"failed: {error!r}"] += 1
            self._stop.wait(self.pause)


@pytest.fixture(scope="module")
def served(story: Story) -> Story:
    model = linear([1.0, 1.0])
    text = MANIFESTS % {"uri": story.put("a.onnx", model), "sha256": hashlib.sha256(model).hexdigest()}
    story.apply(text.replace("\n  auth:", SCALING))
    story.wait("fwsvc", "fraud")
    return story


def servers(story: Story) -> tuple[int, int]:
    """How many are told to run, and how many answer."""
    deployment = story.get("deployment", "fraud") or {}
    return deployment["spec"]["replicas"], deployment.get("status", {}).get("readyReplicas", 0)


def test_no_request_is_lost_while_servers_come_and_go(served: Story) -> None:
    address = (served.get("service", "fraud") or {})["spec"]["clusterIP"]
    with loopback.service(address, 8080) as port, Load(port) as load:

        def more() -> bool:
            told, ready = servers(served)
            return told == ready >= 2

        wait_until(more, 150, lambda: f"never more than one server: {served.kubectl('describe', 'hpa')} {load.answers}")
        time.sleep(5)
        load.pause = QUIET
        wait_until(
            lambda: (
                servers(served) == (1, 1) and len(kube.listed("pods", served.namespace, "flywheel.ml/role=server")) == 1
            ),
            240,
            lambda: f"never one server again: {served.kubectl('describe', 'hpa')} {load.answers}",
        )
        time.sleep(2)

    assert set(load.answers) == {"right"}, load.answers
    assert load.answers["right"] > 500


def test_it_says_so(served: Story) -> None:
    condition = served.wait("fwsvc", "fraud", reason="Serving")

    assert "The server is ready" in condition["message"]


def test_a_number_by_hand_takes_over_from_the_autoscaler(served: Story) -> None:
    served.kubectl("patch", "fwsvc", "fraud", "--type=merge", "--patch", '{"spec": {"scaling": null, "replicas": 2}}')

    served.wait("fwsvc", "fraud", reason="Serving")
    assert servers(served) == (2, 2)
    assert kube.listed("hpa", served.namespace) == []


def test_an_autoscaler_without_its_metrics_says_what_is_missing(served: Story) -> None:
    in_flight = {"spec": {"replicas": None, "scaling": {"maxReplicas": 3, "metric": "InFlight", "target": 4}}}
    served.kubectl("patch", "fwsvc", "fraud", "--type=merge", "--patch", json.dumps(in_flight))

    condition = served.wait("fwsvc", "fraud", reason="MetricsMissing")

    assert "does not serve custom.metrics.k8s.io" in condition["message"]
    assert servers(served) == (2, 2)
