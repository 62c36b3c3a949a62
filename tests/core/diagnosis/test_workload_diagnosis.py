"""Why something that should run does not: each cause is found wherever it hides, and told with a next step."""

import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from flywheel.core.diagnosis import workload_diagnosis
from tests.core.toy import KIND
from tests.simulation import (
    NOON,
    State,
    job,
    oom_killed_state,
    pod,
    resource,
    running_state,
    terminated_state,
    unschedulable_pod,
    waiting_state,
)

CONTRACTS = Path(__file__).parents[2] / "contracts"
TOY = resource(KIND, "flights", {"source": {"s3": {"uri": "s3://bucket/"}}})
JOB = job(TOY, "flights-check-1-5e0c2a9b")
NO_SECRET = waiting_state("CreateContainerConfigError", 'secret "s3-read" not found')
NO_KEY = waiting_state("CreateContainerConfigError", "couldn't find key token in Secret default/hf")
NO_IMAGE = waiting_state("ImagePullBackOff", 'Back-off pulling image "flywheel.local/any:1"')
CRASHED = waiting_state("CrashLoopBackOff", restarts=4, last=terminated_state(3, "cannot open /model"))
OUT_OF_MEMORY = waiting_state("CrashLoopBackOff", restarts=2, last=oom_killed_state())
FULL = unschedulable_pod(TOY, "p", "0/3 nodes are available: 1 Insufficient nvidia.com/gpu.")
REPLICAS_REFUSED = {
    "kind": "Deployment",
    "metadata": {"name": "flights", "uid": "d"},
    "status": {
        "conditions": [
            {"type": "ReplicaFailure", "status": "True", "message": 'pods "x" is forbidden: exceeded quota: small'}
        ]
    },
}


def event(reason: str, words: str) -> dict[str, Any]:
    return {"reason": reason, "note": words}


@pytest.mark.parametrize(
    ("pods", "reason", "words"),
    [
        pytest.param(
            [pod(TOY, "p", init={"fetch": NO_SECRET})],
            "SecretNotFound",
            "Secret 's3-read' in namespace",
            id="a missing secret of an init container",
        ),
        pytest.param(
            [pod(TOY, "p", main=NO_KEY)], "SecretKeyNotFound", "no key 'token'", id="a missing key of a secret"
        ),
        pytest.param(
            [pod(TOY, "p", main=NO_IMAGE)], "ImagePullFailed", "spec.imagePullSecrets", id="an image that is not there"
        ),
        pytest.param(
            [pod(TOY, "p", main=CRASHED)], "CrashLoop", "cannot open /model", id="a crash loop, with its last words"
        ),
        pytest.param(
            [pod(TOY, "p", main=OUT_OF_MEMORY, limits={"memory": "1Gi"})],
            "OOMKilled",
            "limit of 1Gi",
            id="a crash loop for memory, with the limit",
        ),
        pytest.param([FULL], "Unschedulable", "Insufficient nvidia.com/gpu", id="no node has room"),
        pytest.param(
            [pod(TOY, "a", main=running_state()), pod(TOY, "b", main=NO_IMAGE)],
            "ImagePullFailed",
            "pod 'b'",
            id="the second pod's diagnosis is seen as well",
        ),
    ],
)
def test_diagnose(pods: list[dict[str, Any]], reason: str, words: str) -> None:
    found = workload_diagnosis.diagnose(JOB, pods, lambda _uid: (), NOON)

    assert found is not None
    assert found.reason == reason
    assert words in found.message


def test_a_running_pod_has_no_diagnosis() -> None:
    assert workload_diagnosis.diagnose(JOB, [pod(TOY, "p", main=running_state())], lambda _uid: (), NOON) is None


def test_a_quota_on_a_deployment_is_read_from_its_condition() -> None:
    found = workload_diagnosis.diagnose(REPLICAS_REFUSED, [], lambda _uid: (), NOON)

    assert found is not None
    assert found.reason == "QuotaExceeded"


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        pytest.param('pods "x" is forbidden: exceeded quota: licenses', "QuotaExceeded", id="a quota"),
        pytest.param(
            'error looking up service account shop/flywheel-runner: serviceaccount "flywheel-runner" not found',
            "RunnerNotFound",
            id="a namespace that the chart does not know",
        ),
        pytest.param("admission webhook said no", "PodsRefused", id="anything else, in the server's words"),
    ],
)
def test_a_job_without_pods_is_explained_by_its_events(words: str, reason: str) -> None:
    job = {**JOB, "status": {}}

    found = workload_diagnosis.diagnose(
        job, [], lambda _uid: (event("FailedCreate", words),), NOON + timedelta(seconds=4)
    )

    assert found is not None
    assert found.reason == reason
    assert words in found.message


def test_events_of_a_job_are_read_after_three_seconds() -> None:
    def asked(_uid: str) -> tuple[()]:
        raise AssertionError("a request for nothing")

    assert workload_diagnosis.diagnose({**JOB, "status": {}}, [], asked, NOON + timedelta(seconds=2)) is None


def test_a_missing_volume_is_found_in_events_after_twenty_seconds() -> None:
    stuck = pod(TOY, "p", init={"collect": waiting_state()}, main=waiting_state(), phase="Pending")
    events = (event("FailedMount", 'persistentvolumeclaim "data" not found'),)

    found = workload_diagnosis.diagnose(JOB, [stuck], lambda _uid: events, NOON + timedelta(seconds=21))

    assert found is not None
    assert 'persistentvolumeclaim "data" not found' in found.message


def test_outputs_that_wait_for_the_store_are_shown_while_collect_runs_again() -> None:
    message = json.loads((CONTRACTS / "collect_waiting.json").read_text())["message"]
    ended = terminated_state(1, message)
    for collect in (
        waiting_state("CrashLoopBackOff", restarts=1, last=ended),
        replace(running_state(), last=ended.state),
    ):
        waiting = pod(TOY, "p", init={"collect": collect}, main=terminated_state(0))

        found = workload_diagnosis.diagnose(JOB, [waiting], lambda _uid: (), NOON)

        assert found is not None
        assert (found.reason, found.message) == ("WaitingForStore", f"{message['message']}.")


def test_a_secret_that_cannot_be_mounted_is_waited_for_like_any_other() -> None:
    stuck = pod(TOY, "p", init={"collect": waiting_state()}, main=waiting_state(), phase="Pending")
    words = 'MountVolume.SetUp failed for volume "store" : secret "flywheel-store" not found'

    found = workload_diagnosis.diagnose(
        JOB, [stuck], lambda _uid: (event("FailedMount", words),), NOON + timedelta(seconds=21)
    )

    assert found is not None
    assert found.reason == "SecretNotFound"
    assert "Waiting for Secret 'flywheel-store' in namespace 'default'" in found.message


def test_the_report_of_fetch_is_passed_on() -> None:
    words = {"v": 1, "reason": "DigestMismatch", "message": "wanted sha256:1, found sha256:2", "retry": False}
    for state in (
        waiting_state("CrashLoopBackOff", restarts=3, last=terminated_state(2, words)),
        terminated_state(2, words),
    ):
        found = workload_diagnosis.diagnose(
            JOB, [pod(TOY, "p", init={"fetch": state}, main=waiting_state())], lambda _uid: (), NOON
        )

        assert found == workload_diagnosis.Diagnosis("DigestMismatch", "wanted sha256:1, found sha256:2")


WORDS = {"v": 1, "reason": "DigestMismatch", "message": "wanted sha256:1, found sha256:2", "retry": False}


@pytest.mark.parametrize(
    ("state", "after", "is_told"),
    [
        pytest.param(
            running_state(ready=False, restarts=2, last=terminated_state(2, WORDS)), 5, True, id="the next try begins"
        ),
        pytest.param(
            running_state(ready=False, restarts=2, last=terminated_state(2, WORDS)), 121, False, id="it lasts longer"
        ),
        pytest.param(
            running_state(ready=False, restarts=1, last=terminated_state(255)), 5, False, id="the first restart"
        ),
        pytest.param(running_state(restarts=9, last=terminated_state(2, WORDS)), 5, False, id="it answers"),
        pytest.param(
            running_state(ready=False, restarts=9, last=terminated_state(0)), 5, False, id="it ended well before"
        ),
    ],
)
def test_the_next_try_of_what_failed_before_does_not_change_the_finding_at_once(
    state: State, after: int, is_told: bool
) -> None:
    starting = pod(TOY, "p", init={"fetch": state}, main=waiting_state())

    found = workload_diagnosis.diagnose(JOB, [starting], lambda _uid: (), NOON + timedelta(seconds=after))

    assert (found is not None) == is_told


def test_a_step_whose_main_has_failed_while_collect_works_has_no_diagnosis() -> None:
    ending = pod(TOY, "p", main=terminated_state(2, {"reason": "NoRows", "message": "no rows"}), phase="Running")
    ending["spec"]["restartPolicy"] = "Never"

    assert workload_diagnosis.diagnose(JOB, [ending], lambda _uid: (), NOON) is None
