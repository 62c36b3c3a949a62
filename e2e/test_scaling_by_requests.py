"""Servers are counted by what they tell of themselves: requests per second and requests in flight, by the custom metrics API.

Besides, whoever has an autoscaler of another sort (KEDA, say) drives the InferenceService's own scale subresource.
"""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from e2e import custom_metrics, kube, loopback
from e2e.cluster import cluster
from e2e.load import Load, replicas
from e2e.manifests import own_model
from e2e.namespace import Namespace
from e2e.onnx_models import linear
from e2e.waiting import wait_until

SCALING = """
  scaling:
    maxReplicas: 3
    metric: RequestsPerSecond
    target: 20
    behavior: {scaleDown: {stabilizationWindowSeconds: 0}}
  auth:"""
pytestmark = pytest.mark.skipif(
    cluster.chosen().kind != "native", reason="only the native cluster's node reaches pods and Services"
)


@pytest.fixture(scope="module")
def served(namespace: Namespace, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Namespace]:
    model = linear([1.0, 1.0])
    text = own_model(namespace, model)
    folder: Path = tmp_path_factory.mktemp("certificate")
    with custom_metrics.custom_metrics_api(namespace, folder):
        namespace.apply(text.replace("\n  auth:", SCALING))
        namespace.wait("fwsvc", "fraud")
        yield namespace


def measures(namespace: Namespace) -> bool:
    """Whether the autoscaler has the numbers that it needs."""
    found = kube.condition(namespace.get("hpa", "fraud"), "ScalingActive")
    return found.get("status") == "True"


def test_servers_come_with_requests_per_second(served: Namespace) -> None:
    address = (served.get("service", "fraud") or {})["spec"]["clusterIP"]
    with loopback.service(address, 8080) as port, Load(port) as load:
        wait_until(
            lambda: replicas(served)[1] >= 2,
            150,
            lambda: f"never more than one server: {served.kubectl('describe', 'hpa')} {load.answers}",
        )

    assert set(load.answers) == {"right"}, load.answers


def test_requests_in_flight_are_measured_too(served: Namespace) -> None:
    change = {"spec": {"scaling": {"metric": "InFlight", "target": 4}}}
    served.kubectl("patch", "fwsvc", "fraud", "--type=merge", "--patch", json.dumps(change))

    def asks_for_it() -> bool:
        text = json.dumps((served.get("hpa", "fraud") or {}).get("status", {}).get("currentMetrics") or [])
        return "model_infer_in_flight" in text and measures(served)

    wait_until(asks_for_it, 90, lambda: served.kubectl("describe", "hpa"))
    served.wait("fwsvc", "fraud")


def test_another_autoscaler_sets_the_scale_subresource(served: Namespace) -> None:
    change = {"spec": {"scaling": None}}
    served.kubectl("patch", "fwsvc", "fraud", "--type=merge", "--patch", json.dumps(change))
    target = {"apiVersion": "flywheel.ml/v1alpha1", "kind": "InferenceService", "name": "fraud"}
    foreign = {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "foreign"},
        "spec": {"scaleTargetRef": target, "minReplicas": 3, "maxReplicas": 4, "metrics": [
            {"type": "Pods", "pods": {"metric": {"name": "model_infer_in_flight"}, "target": {"type": "AverageValue", "averageValue": "100"}}}
        ]},
    }  # fmt: skip
    served.apply(foreign)

    wait_until(lambda: replicas(served) == (3, 3), 90, lambda: served.kubectl("describe", "hpa"))

    assert (served.get("fwsvc", "fraud") or {})["spec"]["replicas"] == 3
    served.wait("fwsvc", "fraud", reason="Serving")
