"""A better version takes over step by step, judged at each, and no user notices; going back to what is kept warm takes a moment."""

import time

import pytest

from e2e import kube, rollouts
from e2e.manifests import CANARY
from e2e.namespace import Namespace
from e2e.onnx_models import linear
from e2e.rollouts import NAME, ROW
from e2e.traffic import Traffic, predict_once
from e2e.waiting import wait_until


@pytest.fixture(scope="module")
def served(namespace: Namespace) -> Namespace:
    rollouts.add_versions(namespace, {"fraud-1": linear([1.0, 0.0]), "fraud-2": linear([2.0, 0.0])})
    rollouts.serve_champion(namespace, "fraud-1", CANARY)
    return namespace


def test_it_is_promoted_by_pointer_and_no_request_fails(served: Namespace) -> None:
    before = rollouts.server_uids(served)
    with kube.port_forward(f"service/{NAME}", 8080, served.name) as port, Traffic(port, NAME, ROW) as traffic:
        rollouts.set_champion(served, "fraud-2")
        status = rollouts.wait_for_phase(served, "Promoted", "fraud-2")
        shares = dict(traffic.answers)
        time.sleep(3)
        settled = traffic.answers.copy()
        time.sleep(3)
        after = traffic.answers - settled

    assert traffic.failures == {}
    assert shares["fraud-1: 100.0"] > shares["fraud-2: 200.0"] > 40
    assert set(after) == {"fraud-2: 200.0"}, (
        "who keeps a connection to an old server gets the new version's answers too"
    )
    assert set(traffic.answers) == {"fraud-1: 100.0", "fraud-2: 200.0"}
    assert (status["verdict"], float(status["numbers"]["errorRate"])) == ("Pass", 0.0)
    assert before.items() <= rollouts.server_uids(served).items(), (
        "the old version's servers are kept warm, and are the same"
    )
    with kube.port_forward(f"service/{NAME}", 8080, served.name) as port:
        assert predict_once(port, NAME, ROW) == ("fraud-2", 200.0)
    assert (served.get("fwsvc", NAME) or {})["status"]["version"] == "fraud-2"


def test_going_back_to_what_is_kept_warm_moves_the_pointer_alone(served: Namespace) -> None:
    before = rollouts.server_uids(served)
    rollouts.set_champion(served, "fraud-1")
    rollouts.wait_for_phase(served, "Promoted", "fraud-1", seconds=20)

    assert rollouts.server_uids(served) == before
    with kube.port_forward(f"service/{NAME}", 8080, served.name) as port:
        # Its servers handed everything to the other version until now; within a second they read that they answer again.
        wait_until(
            lambda: predict_once(port, NAME, ROW) == ("fraud-1", 100.0), 10, "fraud-1 does not answer itself again"
        )
    assert kube.list_objects("jobs", served.name, "flywheel.ml/kind=InferenceService") == []
