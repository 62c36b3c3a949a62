"""A champion change and a change of the spec roll through the servers under load, and no request is lost.

The load goes to loopback ports that `kubectl port-forward` leads to single pods' Service; since a forward is bound to one pod, a client
that loses its connection opens a new forward, as a Service's client would open a new connection. Bounded: 4 clients, 40 s at most.
"""

import hashlib
import json
import threading
import time
import urllib.request
from collections import Counter

import pytest

from e2e import kube
from e2e.cluster import cluster
from e2e.manifests import own_model, own_version
from e2e.namespace import Namespace
from e2e.onnx_models import linear
from e2e.waiting import wait_until

BODY = json.dumps({"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 2], "data": [1, 1]}]}).encode()


class Load:
    """Clients that ask through the Service's address on this node, one request after the other, until they are stopped."""

    def __init__(self, address: str, clients: int = 4) -> None:
        self.address = address
        self.answers: Counter[str] = Counter()
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._ask) for _ in range(clients)]

    def __enter__(self) -> "Load":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(15)

    def _ask(self) -> None:
        end = time.monotonic() + 60
        while not self._stop.is_set() and time.monotonic() < end:
            try:
                with urllib.request.urlopen(
                    urllib.request.Request(f"http://{self.address}/v2/models/fraud/infer", BODY), timeout=10
                ) as response:
                    self.answers[str(json.load(response)["outputs"][0]["data"][0])] += 1
            except OSError as error:
                self.answers[f"failed: {error}"] += 1
            time.sleep(0.01)


@pytest.mark.skipif(cluster.chosen().kind != "native", reason="only the native cluster's node reaches Services")
def test_no_request_is_lost_while_versions_change(namespace: Namespace) -> None:
    first, second = linear([1.0, 1.0]), linear([2.0, 2.0])
    namespace.apply(own_model(namespace, first).replace("  auth:", "  replicas: 2\n  auth:"))
    namespace.wait("fwsvc", "fraud")
    namespace.apply(own_version(namespace.upload("b.onnx", second), hashlib.sha256(second).hexdigest(), "fraud-2"))
    namespace.wait("fwver", "fraud-2")
    address = f"{(namespace.get('service', 'fraud') or {})['spec']['clusterIP']}:8080"

    with Load(address) as load:
        time.sleep(2)
        namespace.kubectl("patch", "fwsvc", "fraud", "--type", "merge", "--patch", '{"spec":{"version":"fraud-2"}}')

        def rolled() -> bool | None:
            resource = namespace.get("fwsvc", "fraud") or {}
            settled = kube.condition(resource, "Reconciling").get("status") != "True"
            return True if settled and resource["status"].get("version") == "fraud-2" else None

        wait_until(rolled, 90, lambda: json.dumps(load.answers))
        time.sleep(1)

    assert set(load.answers) == {"2.0", "4.0"}, load.answers
    assert load.answers["2.0"] > 20
    assert load.answers["4.0"] > 20
