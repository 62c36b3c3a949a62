"""Load comes and more servers answer it; load goes and they leave; no request fails.

The load goes to a loopback port that leads to the Service. Bounded: 4 clients, one request at a time each, 5 minutes at most.
"""

import json
import time

import pytest

from e2e import kube, loopback
from e2e.cluster import cluster
from e2e.load import QUIET, Load, replicas
from e2e.manifests import own_model
from e2e.namespace import Namespace
from e2e.onnx_models import linear
from e2e.waiting import wait_until

SCALING = """
  resources: {requests: {cpu: 100m}}
  scaling:
    maxReplicas: 3
    target: 40%
    behavior: {scaleDown: {stabilizationWindowSeconds: 0}}
  auth:"""
pytestmark = pytest.mark.skipif(
    cluster.chosen().kind != "native", reason="only the native cluster's node reaches Services"
)


@pytest.fixture(scope="module")
def served(namespace: Namespace) -> Namespace:
    model = linear([1.0, 1.0])
    text = own_model(namespace, model)
    namespace.apply(text.replace("\n  auth:", SCALING))
    namespace.wait("fwsvc", "fraud")
    return namespace


def test_no_request_is_lost_while_servers_come_and_go(served: Namespace) -> None:
    address = (served.get("service", "fraud") or {})["spec"]["clusterIP"]
    with loopback.service(address, 8080) as port, Load(port) as load:

        def more() -> bool:
            wanted, ready = replicas(served)
            return wanted == ready >= 2

        wait_until(more, 150, lambda: f"never more than one server: {served.kubectl('describe', 'hpa')} {load.answers}")
        time.sleep(5)
        load.pause = QUIET
        wait_until(
            lambda: (
                replicas(served) == (1, 1)
                and len(kube.list_objects("pods", served.name, "flywheel.ml/role=server")) == 1
            ),
            240,
            lambda: f"never one server again: {served.kubectl('describe', 'hpa')} {load.answers}",
        )
        time.sleep(2)

    assert set(load.answers) == {"right"}, load.answers
    assert load.answers["right"] > 500


def test_it_says_so(served: Namespace) -> None:
    condition = served.wait("fwsvc", "fraud", reason="Serving")

    assert "The server is ready" in condition["message"]


def test_a_number_by_hand_takes_over_from_the_autoscaler(served: Namespace) -> None:
    served.kubectl("patch", "fwsvc", "fraud", "--type=merge", "--patch", '{"spec": {"scaling": null, "replicas": 2}}')

    served.wait("fwsvc", "fraud", reason="Serving")
    assert replicas(served) == (2, 2)
    assert kube.list_objects("hpa", served.name) == []


def test_an_autoscaler_without_its_metrics_says_what_is_missing(served: Namespace) -> None:
    in_flight = {"spec": {"replicas": None, "scaling": {"maxReplicas": 3, "metric": "InFlight", "target": 4}}}
    served.kubectl("patch", "fwsvc", "fraud", "--type=merge", "--patch", json.dumps(in_flight))

    condition = served.wait("fwsvc", "fraud", reason="MetricsMissing")

    assert "does not serve custom.metrics.k8s.io" in condition["message"]
    assert replicas(served) == (2, 2)
