"""A champion change rolls through the servers under load, and no request is lost.

The load goes to a loopback port that leads to the Service (e2e/loopback.py), each request over a connection of its own.
Bounded: 4 clients, 60 s at most.
"""

import hashlib
import json
import time
import urllib.request

import pytest

from e2e import kube, loopback
from e2e.clients import Clients
from e2e.cluster import cluster
from e2e.manifests import own_model, own_version
from e2e.namespace import Namespace
from e2e.onnx_models import linear
from e2e.waiting import wait_until

BODY = json.dumps({"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 2], "data": [1, 1]}]}).encode()


class Load(Clients):
    """Four clients that send one request after the other; `answers` counts the model's answer."""

    def __init__(self, port: int) -> None:
        super().__init__(clients=4, max_seconds=60)
        self._address = f"http://127.0.0.1:{port}/v2/models/fraud/infer"

    def _send_requests(self) -> None:
        while self._should_go_on():
            try:
                with urllib.request.urlopen(urllib.request.Request(self._address, BODY), timeout=10) as response:
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
    address = (namespace.get("service", "fraud") or {})["spec"]["clusterIP"]

    with loopback.service(address, 8080) as port, Load(port) as load:
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
