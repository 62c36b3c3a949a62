"""Two GPUs and two servers that have them: a new version cannot come beside the old one, so it comes in its place, one by one, and its status says so.
No hardware is needed: the node says that it has them."""

import json
from collections.abc import Iterator

import pytest

from e2e import kube, rollouts
from e2e.manifests import CANARY
from e2e.namespace import Namespace
from e2e.onnx_models import linear
from e2e.rollouts import NAME
from e2e.waiting import wait_until

GPU = "amd.com/gpu"


@pytest.fixture(scope="module")
def served(namespace: Namespace) -> Iterator[Namespace]:
    """Two servers with a GPU each, on a node that has two."""
    with kube.extended_resource(GPU, 2):
        rollouts.add_versions(namespace, {f"fraud-{each}": linear([float(each), 0.0]) for each in (1, 2, 3)})
        limits = {"resources": {"limits": {GPU: 1}}}
        rollouts.serve_champion(namespace, "fraud-1", None, replicas=2, **limits)
        yield namespace


def is_served(namespace: Namespace, version: str) -> bool | None:
    """Whether that version is served by everybody."""
    resource = namespace.get("fwsvc", NAME) or {}
    settled = kube.condition(resource, "Reconciling").get("status") != "True"
    return True if settled and resource["status"].get("version") == version else None


def test_a_surge_that_does_not_fit_goes_one_by_one_and_says_so(served: Namespace) -> None:
    rollouts.set_champion(served, "fraud-2")
    message = wait_until(
        lambda: (
            "replaced one by one" in (said := kube.condition(served.get("fwsvc", NAME)).get("message", "")) and said
        ),
        90,
        lambda: str(kube.condition(served.get("fwsvc", NAME))),
        max_pause=0.2,
    )
    wait_until(lambda: is_served(served, "fraud-2"), 120, lambda: str(kube.condition(served.get("fwsvc", NAME))))

    assert "does not fit beside the old ones" in message
    strategy = (served.get("deployment", NAME) or {})["spec"]["strategy"]["rollingUpdate"]
    assert strategy["maxSurge"] == 1, "the next one surges again, if it can"


def test_a_challenger_that_does_not_fit_waits_and_says_what_else_can_be_done(served: Namespace) -> None:
    before = rollouts.server_uids(served)
    patch = json.dumps({"spec": {"rollout": CANARY}})
    served.kubectl("patch", "fwsvc", NAME, "--type", "merge", "--patch", patch)
    rollouts.set_champion(served, "fraud-3")
    condition = served.wait("fwsvc", NAME, reason="ChallengerDoesNotFit")
    assert GPU in condition["message"]
    assert rollouts.server_uids(served) == before, "the champion's servers answer meanwhile"

    served.kubectl("patch", "fwsvc", NAME, "--type", "json", "--patch", '[{"op": "remove", "path": "/spec/rollout"}]')
    wait_until(lambda: is_served(served, "fraud-3"), 120, lambda: str(kube.condition(served.get("fwsvc", NAME))))
