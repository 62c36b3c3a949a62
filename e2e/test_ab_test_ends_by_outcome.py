"""Story: users are divided between two versions, and labels of what came of the answers promote the better one, with its proof in the audit."""

import http.client
import json
import random
import time
from typing import Any

import pytest

from e2e import kube, rollouts
from e2e.namespace import Namespace
from e2e.onnx_models import linear
from e2e.rollouts import NAME, ROW
from flywheel_runtime.audit.chain import check_chain
from flywheel_runtime.store.artifacts import Store
from flywheel_runtime.store.retry import Retry

pytestmark = pytest.mark.long

CHAMPION, CHALLENGER = "fraud-1", "fraud-2"
SALES = {CHAMPION: 0.2, CHALLENGER: 0.8}  # the share of users whose answer was worth something
USERS, ANONYMOUS = 160, 5
AB_TEST = {
    "abTest": {
        "metric": "label",
        "minEffect": "0.2",
        "maxDuration": "10m",
        "sticky": {"header": "x-user-id"},
        "labelDelay": "20s",
        "interval": "30s",
    },
    "keepWarm": "10s",
}
luck = random.Random(7)


def post(port: int, path: str, body: dict[str, Any], **headers: str) -> dict[str, Any]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("POST", f"/v2/models/{NAME}/{path}", json.dumps(body), headers)
    response = connection.getresponse()
    found: dict[str, Any] = json.loads(response.read())
    connection.close()
    assert response.status in (200, 202), found
    return found


def predict(port: int, user: int | None) -> dict[str, Any]:
    tensor = {"name": "x", "datatype": "FP32", "shape": [1, len(ROW)], "data": ROW}
    headers = {} if user is None else {"x-user-id": f"user-{user}"}
    return post(port, "infer", {"inputs": [tensor]}, **headers)


def send_users(port: int) -> dict[int, set[str]]:
    """Two requests of each user with a label for each; the versions that answered each user."""
    answered: dict[int, set[str]] = {}
    labels = []
    for user in [*range(USERS), *range(USERS)]:
        answer = predict(port, user)
        version = answer["model_version"]
        answered.setdefault(user, set()).add(version)
        labels.append({"id": answer["id"], "label": int(luck.random() < SALES[version])})
    for _ in range(ANONYMOUS):
        assert predict(port, None)["model_version"] == CHAMPION
    post(port, "feedback", {"labels": [*labels, {"id": "made-up", "label": 1}]})
    return answered


def test_the_version_with_the_better_outcome_is_promoted_with_its_proof(namespace: Namespace) -> None:
    rollouts.add_versions(namespace, {CHAMPION: linear([1.0, 0.0]), CHALLENGER: linear([2.0, 0.0])})
    rollouts.serve_champion(namespace, CHAMPION, AB_TEST, logging={"sample": "100%"})
    rollouts.set_champion(namespace, CHALLENGER)
    rollouts.wait_for_phase(namespace, "Judging", CHALLENGER)
    with kube.port_forward(f"service/{NAME}", 8080, namespace.name) as port:
        time.sleep(2)  # servers read their route within a second
        answered = send_users(port)
        status = rollouts.wait_for_phase(namespace, "Promoted", CHALLENGER, seconds=300)

    assert all(len(versions) == 1 for versions in answered.values()), "a user meets one version"
    assert min(sum(version in each for each in answered.values()) for version in SALES) > USERS / 4
    numbers = {name: float(value) for name, value in status["numbers"].items()}
    assert (status["verdict"], numbers["effectLow"] > 0, numbers["log10Better"] > 1.3) == ("Better", True, True)
    assert numbers["championUnits"] + numbers["challengerUnits"] <= USERS, "one outcome of each user"
    assert f"{ANONYMOUS} rows without a unit" in status["message"]
    store = Store.from_env(kube.store_environment(), namespace.name, Retry())
    chain = check_chain(store, NAME)
    [entry] = [each.body for each in chain.records if each.body["event"] == "ABTested"]
    assert (chain.findings, entry["version"], entry["champion"]) == ((), CHALLENGER, CHAMPION)
    assert entry["found"]["facts"]["verdict"] == "Better"
    assert entry["found"]["facts"]["numbers"]["log10Better"] > 1.3
    assert entry["test"] == status["test"]
