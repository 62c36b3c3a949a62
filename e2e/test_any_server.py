"""A model answered by an image that is not the operator's choice: it is asked whether this model is ready, and gets the path of the artifact.

The image is our own server's, which this cluster has; it listens on ports of its own, as any image would.
"""

import json
import urllib.request
from typing import Any

import pytest

from e2e import kube
from e2e.cluster import images
from e2e.manifests import own_model
from e2e.namespace import Namespace
from e2e.onnx_models import linear
from e2e.waiting import wait_until

BODY = json.dumps({"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 2], "data": [1, 1]}]}).encode()


def custom(*more: str) -> dict[str, Any]:
    """spec.runtime with our server as if it were anybody's."""
    args = ["--model", "$(FLYWHEEL_MODEL_DIR)", "--name", "$(FLYWHEEL_MODEL_NAME)", "--http", "0.0.0.0:9000", *more]
    command = ["python3", "-m", "flywheel_serving"]
    return {
        "custom": {
            "image": images.recorded()["serving"]["image"],
            "command": command,
            "args": args,
            "ports": {"http": 9000},
        }
    }


@pytest.fixture(scope="module")
def served(namespace: Namespace) -> Namespace:
    model = linear([1.0, 2.0])
    text = own_model(namespace, model)
    namespace.apply(text.replace("  auth:", f"  runtime: {json.dumps(custom())}\n  auth:"))
    namespace.wait("fwsvc", "fraud")
    return namespace


def test_predictions_come_from_the_services_port(served: Namespace) -> None:
    with kube.port_forward("service/fraud", 8080, served.name) as port:
        address = f"http://127.0.0.1:{port}/v2/models/fraud/infer"
        with urllib.request.urlopen(urllib.request.Request(address, BODY), timeout=10) as response:
            answer = json.load(response)

    assert answer["outputs"][0]["data"] == [3.0]


def test_a_server_of_another_model_is_never_ready_and_takes_no_traffic(served: Namespace) -> None:
    spec = {"spec": {"runtime": custom("--name", "somebody-else")}}
    served.kubectl("patch", "fwsvc", "fraud", "--type=merge", "--patch", json.dumps(spec))
    served.wait("fwsvc", "fraud", reason="RollingOut")

    def started() -> bool:
        pods = kube.list_objects("pods", served.name, "flywheel.ml/role=server")
        return [kube.condition(pod, "Initialized").get("status") for pod in pods] == ["True", "True"]

    wait_until(started, 60, "the new server never started")

    deployment = served.get("deployment", "fraud") or {}
    assert deployment["status"]["readyReplicas"] == 1
    assert kube.condition(served.get("fwsvc", "fraud"))["status"] == "True"
