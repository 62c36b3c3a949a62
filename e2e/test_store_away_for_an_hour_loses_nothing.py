"""The store goes away while a training runs: its outputs are kept, the condition says what they wait for, and nothing is trained twice.

The hour is shortened to what is longer than the pod's grace period, after which outputs were lost before; FLYWHEEL_AWAY_SECONDS=3600 takes
the whole of it.
"""

import json
import os
import time
from typing import Any

import pytest

from e2e import kube
from e2e.bad_input import dataset, slow_trainer, trial
from e2e.manifests import CONTAINER_SECURITY, GOOD_ROWS, POD_SECURITY
from e2e.namespace import STORE_SECRET, Namespace
from e2e.waiting import wait_until

AWAY_SECONDS = float(os.environ.get("FLYWHEEL_AWAY_SECONDS", "150"))
GATE = "gate"
FORWARD = """
import socket, sys, threading
def copy(source, target):
    try:
        while data := source.recv(65536):
            target.sendall(data)
    except OSError:
        pass
    for each in (source, target):
        try: each.shutdown(socket.SHUT_RDWR)
        except OSError: pass
with socket.create_server(("0.0.0.0", 7070)) as server:
    while True:
        client, _ = server.accept()
        store = socket.create_connection((sys.argv[1], 7070))
        for pair in ((client, store), (store, client)):
            threading.Thread(target=copy, args=pair, daemon=True).start()
"""


@pytest.fixture(scope="module")
def gate(namespace: Namespace, image: str) -> None:
    """All of the namespace reaches the store through a Deployment of its own, so that the store can go away for it alone."""
    pod = {
        "securityContext": POD_SECURITY,
        "terminationGracePeriodSeconds": 1,
        "containers": [
            {
                "name": GATE,
                "image": image,
                "command": ["python3", "-c", FORWARD, "flywheel-store.flywheel-system.svc"],
                "securityContext": CONTAINER_SECURITY,
                "readinessProbe": {"tcpSocket": {"port": 7070}, "periodSeconds": 1},
            }
        ],
    }
    labels = {"app": GATE}
    spec = {
        "selector": {"matchLabels": labels},
        "template": {"metadata": {"labels": labels}, "spec": pod},
    }
    namespace.apply({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": GATE}, "spec": spec})
    ports = [{"port": 7070}]
    service = {"selector": labels, "ports": ports}
    namespace.apply({"apiVersion": "v1", "kind": "Service", "metadata": {"name": GATE}, "spec": service})
    namespace.apply(namespace.store_secret(AWS_ENDPOINT_URL=f"http://{GATE}.{namespace.name}.svc:7070"))
    namespace.kubectl("rollout", "status", f"deployment/{GATE}", "--timeout=60s")


def trial_pods(namespace: Namespace) -> list[dict[str, Any]]:
    return kube.list_objects("pods", namespace.name, "flywheel.ml/name=away")


def main_runs(namespace: Namespace) -> bool:
    statuses = [each for pod in trial_pods(namespace) for each in pod["status"].get("containerStatuses", [])]
    return any(each["name"] == "main" and "running" in each["state"] for each in statuses)


def test_outputs_wait_for_the_store(namespace: Namespace, gate: None, image: str) -> None:
    assert kube.secret_values(STORE_SECRET, namespace.name)["AWS_ENDPOINT_URL"].startswith("http://gate.")
    namespace.apply(dataset("rows", namespace.upload("rows.csv", GOOD_ROWS)))
    namespace.wait("fwds", "rows")
    namespace.apply(trial("away", image, slow_trainer(12)))
    wait_until(lambda: main_runs(namespace), 90, "main does not run")
    [before] = trial_pods(namespace)

    namespace.kubectl("scale", f"deployment/{GATE}", "--replicas=0")
    gone = time.monotonic()
    condition = namespace.wait("fwexp", "away", ready="False", reason="WaitingForStore", seconds=120)
    time.sleep(max(0.0, AWAY_SECONDS - (time.monotonic() - gone)))
    still = kube.condition(namespace.get("fwexp", "away"))
    namespace.kubectl("scale", f"deployment/{GATE}", "--replicas=1")

    assert "'trial-1' has finished; its outputs wait for the store: the store at http://gate." in condition["message"]
    assert "they are kept and tried until" in condition["message"]
    assert (still["reason"], still["message"]) == ("WaitingForStore", condition["message"])
    # The kubelet starts collect again after pauses of at most five minutes.
    namespace.wait("fwexp", "away", seconds=420)
    status = (namespace.get("fwexp", "away") or {})["status"]
    assert [pod["metadata"]["uid"] for pod in trial_pods(namespace)] in ([before["metadata"]["uid"]], [])
    assert json.dumps(status).count('"attempt": 2') == 0
    assert status["best"]["trial"] == 1
