"""Requests that compute for longer than they may are ended; other clients go on being served, and the service's condition tells it."""

import http.client
import json
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from e2e import kube, loopback
from e2e.manifests import own_model
from e2e.namespace import Namespace
from e2e.onnx_models import counting
from e2e.waiting import wait_until

LIMIT_SECONDS = 4
# Steps of the loop: some twenty seconds. It would end by itself before the test does, whatever becomes of the limit.
LONG = 10_000_000


@pytest.fixture(scope="module")
def served(namespace: Namespace) -> Namespace:
    namespace.apply(own_model(namespace, counting()))
    namespace.kubectl(
        "patch", "fwsvc/fraud", "--type=merge", "-p", json.dumps({"spec": {"requestTimeout": f"{LIMIT_SECONDS}s"}})
    )
    namespace.wait("fwver", "fraud-1")
    namespace.wait("fwsvc", "fraud", reason="Serving")
    return namespace


def count(port: int, steps: int) -> tuple[int, dict[str, Any]]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    body = {"inputs": [{"name": "n", "datatype": "INT64", "shape": [1], "data": [steps]}]}
    connection.request("POST", "/v2/models/fraud/infer", json.dumps(body))
    response = connection.getresponse()
    answer = json.loads(response.read())
    connection.close()
    return response.status, answer


def test_the_version_says_that_it_is_computed_in_workers(served: Namespace) -> None:
    assert (served.get("fwver", "fraud-1") or {})["status"]["isolated"] == "Loop"


def test_stuck_requests_end_and_others_are_served_meanwhile_and_the_condition_tells_it(served: Namespace) -> None:
    """The stuck requests come from inside the pod (port-forward), the others from the node: two clients, as the server sees it."""
    restarts = restart_counts(served)
    address = (served.get("service", "fraud") or {})["spec"]["clusterIP"]
    with (
        kube.port_forward("service/fraud", 8080, served.name) as inside,
        loopback.service(address, 8080) as outside,
        ThreadPoolExecutor(2) as pool,
    ):
        stuck = [pool.submit(count, inside, LONG) for _ in range(2)]
        time.sleep(LIMIT_SECONDS / 4)
        assert not any(each.done() for each in stuck)

        assert [count(outside, steps)[0] for steps in range(1, 20)] == [200] * 19

        ended = [each.result() for each in stuck]
        assert ended[0][0] == 504
        assert ended[0][1]["error"].startswith(f"the model did not finish in {LIMIT_SECONDS} s")
        condition = wait_until(lambda: condition_of(served, "ModelStuck"), 120)
        assert condition["status"] == "True", "the servers go on"
        assert "Raise spec.requestTimeout" in condition["message"]
        assert count(outside, 5)[1]["outputs"][0]["data"] == [5]
    assert restart_counts(served) == restarts


def condition_of(served: Namespace, reason: str) -> dict[str, Any] | None:
    condition = kube.condition(served.get("fwsvc", "fraud"))
    return condition if condition.get("reason") == reason else None


def restart_counts(served: Namespace) -> dict[str, int]:
    pods = kube.list_objects("pods", served.name, "serving.kserve.io/inferenceservice=fraud")
    return {
        pod["metadata"]["name"]: sum(each["restartCount"] for each in pod["status"]["containerStatuses"])
        for pod in pods
    }
