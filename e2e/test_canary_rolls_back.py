"""Three bad challengers, one after the other under traffic: one that errs, one that is slow, one that answers NaN. Users notice nothing;
the service says what was found, the version carries a mark, the Model goes back, and only a cleared mark offers it again."""

import json
from collections.abc import Iterator

import pytest

from e2e import kube, rollouts
from e2e.namespace import Namespace
from e2e.onnx_models import faulty, linear, not_a_number, slow
from e2e.rollouts import NAME, ROW
from e2e.traffic import Traffic
from e2e.waiting import wait_until

ROLLOUT = {
    "canary": {
        "steps": [{"percent": 25, "duration": "8s"}, {"percent": 50, "duration": "8s"}],
        # A quiet server answers within a millisecond, the slow one never does; what a shared machine adds is less than 4 times.
        "analysis": {"maxErrorRate": "2%", "maxP99Ratio": "4", "minRequests": 20},
    },
    "keepWarm": "30s",
}
BAD = {"fraud-errs": faulty([2.0, 0.0]), "fraud-slow": slow([2.0, 0.0]), "fraud-nan": not_a_number([2.0, 0.0])}
# On a busy machine the slow one is so slow that it is late, which is an error.
FOUND = {"fraud-errs": "errors (limit 2 %", "fraud-slow": "p99 latency of|late", "fraud-nan": "errors (limit 2 %"}


@pytest.fixture(scope="module")
def traffic(namespace: Namespace) -> Iterator[Traffic]:
    rollouts.add_versions(namespace, {"fraud-1": linear([1.0, 0.0]), **BAD})
    rollouts.serve_champion(namespace, "fraud-1", ROLLOUT)
    with kube.port_forward(f"service/{NAME}", 8080, namespace.name) as port, Traffic(port, NAME, ROW) as traffic:
        yield traffic


@pytest.mark.parametrize("version", list(BAD))
def test_it_is_rolled_back_and_no_request_fails(namespace: Namespace, traffic: Traffic, version: str) -> None:
    # Each challenger for itself: the one before has gone, with whatever still leads to it.
    gone = lambda: not any("slot-b" in name for name in rollouts.server_uids(namespace, ready=False)) or None  # noqa: E731
    wait_until(gone, 90, lambda: str(rollouts.server_uids(namespace, ready=False)))
    before = rollouts.server_uids(namespace)
    answered = sum(traffic.answers.values())
    rollouts.set_champion(namespace, version)
    rollouts.wait_for_phase(namespace, "RolledBack", version)
    condition = namespace.wait("fwsvc", NAME, reason="RolledBack")

    assert traffic.failures == {}
    assert sum(traffic.answers.values()) > answered + 40, "traffic went on all the while"
    assert any(words in condition["message"] for words in FOUND[version].split("|"))
    assert "champion 'fraud-1' answers all traffic" in condition["message"]
    assert before.items() <= rollouts.server_uids(namespace).items(), "no server of the champion was touched"


@pytest.mark.parametrize("version", list(BAD))
def test_its_mark_has_the_numbers_and_the_model_went_back(namespace: Namespace, traffic: Traffic, version: str) -> None:
    mark = ((namespace.get("fwver", version) or {}).get("status") or {})["rejection"]
    model = namespace.get("fwmodel", NAME) or {}
    verdicts = {each["version"]: each["verdict"] for each in model["status"]["candidates"]}

    assert (mark["service"], verdicts[version]) == (NAME, "RolledBack")
    assert any(words in mark["message"] for words in FOUND[version].split("|"))
    assert float(mark["numbers"]["requests"]) > 0
    assert model["status"]["champion"] == "fraud-1"


def test_only_when_its_mark_is_cleared_it_is_offered_again(namespace: Namespace, traffic: Traffic) -> None:
    version = list(BAD)[-1]
    annotations = {"metadata": {"annotations": {"flywheel.ml/clear-rejection": "looked at"}}}
    namespace.kubectl("patch", "fwver", version, "--type", "merge", "--patch", json.dumps(annotations))
    rollouts.wait_for_phase(namespace, "Judging", version, seconds=60)
    rollouts.wait_for_phase(namespace, "RolledBack", version)

    assert traffic.failures == {}
