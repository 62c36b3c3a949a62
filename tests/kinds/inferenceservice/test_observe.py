"""What an InferenceService sees, and that what it makes becomes what it sees."""

from datetime import timedelta
from typing import Any

import pytest

from flywheel.core.resource.api import DEPLOYMENT, MODEL, MODEL_VERSION, Manifest, Reference
from flywheel.core.resource.model_reference import ResolvedVersion, UnresolvedReference
from flywheel.core.resource.names import INPUTS_ANNOTATION
from flywheel.kinds.inferenceservice.decide import decide
from flywheel.kinds.inferenceservice.kind import KIND
from flywheel.kinds.inferenceservice.model_health import (
    CHECK_INTERVAL,
    IN_PROCESS_CHECK_INTERVAL,
    PROBE_FAILURE,
    RECENT,
    diagnose_model,
)
from flywheel.kinds.inferenceservice.observe import observe
from flywheel.kinds.inferenceservice.schema import InferenceService
from flywheel.kinds.inferenceservice.servers import NO_SERVERS, read_servers
from tests.simulation import (
    NOON,
    FakeCluster,
    pod,
    resource,
    running_state,
    terminated_state,
    unschedulable_pod,
    waiting_state,
)
from tests.simulation.resources import custom
from tests.simulation.simulator import Simulator

DIGEST = "sha256:" + "a" * 64
READY = {
    "type": "Ready",
    "status": "True",
    "reason": "Verified",
    "message": "",
    "lastTransitionTime": "2026-01-01T00:00:00Z",
}
BAD = {**READY, "status": "False", "reason": "DigestMismatch", "message": "The bytes differ."}
MODEL_1 = custom(MODEL, "delay", {}, status={"champion": "delay-1", "championDigest": DIGEST})
VERSION_1 = custom(MODEL_VERSION, "delay-1", {"model": "delay"}, status={"digest": DIGEST, "conditions": [READY]})


def service(**spec: Any) -> InferenceService:
    chosen = spec if "version" in spec else {"model": "delay", **spec}
    found: InferenceService = resource(KIND, "delay", {"auth": {"none": {}}, **chosen})
    return found


def made(asked: InferenceService, **status: int) -> tuple[FakeCluster, Manifest]:
    """The cluster after the first pass of the operator, and the Deployment, which has that status."""
    simulator = Simulator(KIND, asked, MODEL_1)
    simulator.reconcile()
    live = simulator.manifest(Reference(DEPLOYMENT, "default", "delay"))
    live = {**live, "status": {"observedGeneration": 1, **status}}
    simulator.put(live)
    return simulator.cluster, live


@pytest.mark.parametrize(
    ("spec", "manifests", "reason", "words"),
    [
        pytest.param({}, (), "ModelNotFound", "Model 'delay' does not exist in namespace 'default'; create it", id="no Model"),
        pytest.param({}, (custom(MODEL, "delay", {}, status={"conditions": [BAD]}),), "NoChampion", "The bytes differ.", id="no champion"),
        pytest.param({"version": "delay-1"}, (), "VersionNotFound", "ModelVersion 'delay-1' does not exist", id="no version"),
        pytest.param(
            {"version": "delay-1"},
            (custom(MODEL_VERSION, "delay-1", {}, status={"digest": DIGEST, "conditions": [BAD]}),),
            "VersionNotReady",
            "is not verified. The bytes differ.",
            id="a version that was found bad",
        ),
    ],
)  # fmt: skip
def test_what_is_missing(spec: dict[str, Any], manifests: tuple[Manifest, ...], reason: str, words: str) -> None:
    seen = observe(service(**spec), FakeCluster(*manifests, kinds=(KIND,)))

    assert isinstance(seen.missing, UnresolvedReference)
    assert (seen.wanted, seen.missing.reason) == (None, reason)
    assert words in seen.missing.message


@pytest.mark.parametrize("spec", [{}, {"version": "delay-1"}], ids=["the champion", "a version"])
def test_what_is_wanted(spec: dict[str, Any]) -> None:
    seen = observe(service(**spec), FakeCluster(MODEL_1, VERSION_1, kinds=(KIND,)))

    assert (seen.wanted, seen.missing) == (ResolvedVersion("delay-1", DIGEST), None)


NAMED, APPROVED = (
    service(version="delay-2"),
    {"by": "jane", "digest": DIGEST, "reason": "ticket 214", "at": READY["lastTransitionTime"]},
)
DELAY_2 = {"digest": DIGEST, "conditions": [READY]}


@pytest.mark.parametrize(
    ("promotion", "champion", "status", "served"),
    [
        pytest.param("Approval", "delay-1", DELAY_2, False, id="it is not approved"),
        pytest.param("Approval", "delay-1", {**DELAY_2, "approval": APPROVED}, True, id="it is approved"),
        pytest.param("Approval", "delay-2", DELAY_2, True, id="it is champion already"),
        pytest.param("Approval", "delay-2", {**DELAY_2, "digest": "sha256:" + "f" * 64}, False, id="only its name is the champion's"),
        pytest.param("Auto", "delay-1", DELAY_2, True, id="the Model asks for no approval"),
    ],
)  # fmt: skip
def test_a_version_that_is_named_needs_the_approval_that_its_model_asks_for(
    promotion: str, champion: str, status: dict[str, Any], served: bool
) -> None:
    model = custom(MODEL, "delay", {"promotion": promotion}, status={"champion": champion, "championDigest": DIGEST})
    version = custom(MODEL_VERSION, "delay-2", {"model": "delay"}, status=status)

    seen = observe(NAMED, FakeCluster(model, version, kinds=(KIND,)))

    assert (seen.wanted is not None) is served
    assert served or (seen.missing is not None and seen.missing.reason == "NotApproved")


def test_a_deployment_as_it_was_made_is_rolled_out_when_all_its_servers_answer() -> None:
    cluster, _ = made(service(), replicas=1, updatedReplicas=1, readyReplicas=1)

    assert decide(service(), observe(service(), cluster)).reason == "Serving"


@pytest.mark.parametrize(
    ("change", "field"),
    [
        pytest.param({"generation": 2}, "metadata", id="its controller has not seen the newest"),
        pytest.param({"annotations": {INPUTS_ANNOTATION: "0" * 16}}, "metadata", id="it was made from other inputs"),
    ],
)
def test_it_is_not_where(change: dict[str, Any], field: str) -> None:
    cluster, live = made(service(), replicas=1, updatedReplicas=1, readyReplicas=1)
    cluster.put({**live, field: {**live[field], **change}})

    assert decide(service(), observe(service(), cluster)).reason == "RollingOut"


def test_somebody_elses_deployment_is_not_looked_at() -> None:
    theirs = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "delay", "namespace": "default", "labels": {}, "uid": "theirs"},
        "spec": {"replicas": 1},
        "status": {"replicas": 1, "readyReplicas": 1},
    }

    assert observe(service(), FakeCluster(MODEL_1, theirs, kinds=(KIND,))).servers is NO_SERVERS


def fetch_failed(reason: str, message: str) -> dict[str, Any]:
    ended = terminated_state(2, {"v": 1, "reason": reason, "message": message, "retry": False})
    return pod(
        service(),
        "new",
        main=waiting_state(),
        init={"fetch": waiting_state("CrashLoopBackOff", restarts=2, last=ended)},
        phase="Pending",
    )


@pytest.mark.parametrize(
    ("troubled", "reason", "words"),
    [
        pytest.param(fetch_failed("DigestMismatch", "has sha256 1 and should have 2"), "DigestMismatch", "1 and should have 2", id="flipped bytes"),
        pytest.param(
            unschedulable_pod(service(), "new", "0/1 nodes are available: 1 Insufficient nvidia.com/gpu."), "Unschedulable", "Insufficient nvidia.com/gpu", id="no GPU"
        ),
        pytest.param(
            pod(service(), "new", containers={"server": waiting_state("CreateContainerConfigError", 'secret "hf" not found')}, phase="Pending"),
            "SecretNotFound",
            "Secret 'hf'",
            id="no Secret",
        ),
    ],
)  # fmt: skip
def test_trouble_of_one_pod_among_all_is_found(troubled: dict[str, Any], reason: str, words: str) -> None:
    cluster, _ = made(service(replicas=2), replicas=2, updatedReplicas=2, readyReplicas=1)
    cluster.put(pod(service(), "a-good-one", containers={"server": running_state()}), troubled)

    plan = decide(service(replicas=2), observe(service(replicas=2), cluster))

    assert (plan.ready, plan.reason) == (False, reason)
    assert words in plan.message


def test_a_pod_that_is_on_its_way_out_troubles_nobody() -> None:
    cluster, _ = made(service(), replicas=1, updatedReplicas=1, readyReplicas=0)
    leaving = fetch_failed("DigestMismatch", "no matter")
    cluster.put({**leaving, "metadata": {**leaving["metadata"], "deletionTimestamp": "2026-01-01T00:00:00Z"}})

    assert observe(service(), cluster).diagnosis is None


def test_a_deployment_whose_controller_has_not_looked_yet_has_no_servers() -> None:
    metadata = {"name": "delay", "namespace": "default", "generation": 1}
    found = read_servers({"metadata": metadata, "spec": {"replicas": 2}})

    assert (found.settled, found.replicas) == (False, 2)
    assert (found.existing, found.updated, found.ready) == (0, 0, 0)


@pytest.mark.parametrize(
    ("batching", "note"),
    [
        pytest.param({"maxBatchSize": 8}, " Batching is off: operator Loop has a graph of its own, so that", id="told"),
        pytest.param({"maxBatchSize": 1}, "", id="no batching was wanted"),
    ],
)
def test_batching_that_verification_found_unsafe_is_told(batching: dict[str, Any], note: str) -> None:
    status = {**VERSION_1["status"], "rowMixing": "operator Loop has a graph of its own"}
    cluster = FakeCluster(MODEL_1, custom(MODEL_VERSION, "delay-1", {"model": "delay"}, status=status))

    found = observe(service(batching=batching), cluster).batching_note

    assert found.startswith(note) if note else found == ""


def unhealthy(name: str, status: int, at: str = "2026-01-01T11:58:00Z") -> Manifest:
    """The kubelet's event about a failed readiness probe of that pod, at two minutes before noon."""
    return {
        "reason": "Unhealthy",
        "type": "Warning",
        "message": f"{PROBE_FAILURE}{status}",
        "lastTimestamp": at,
        "involvedObject": {"kind": "Pod", "name": name, "uid": f"uid-{name}"},
    }


MODEL_POD = {"metadata": {"name": "delay-x", "uid": "uid-delay-x"}}


@pytest.mark.parametrize(
    ("events", "reason"),
    [
        pytest.param([], None, id="nothing"),
        pytest.param([unhealthy("delay-x", 503)], None, id="a server that starts"),
        pytest.param([unhealthy("delay-x", 504)], "ModelStuck", id="stuck"),
        pytest.param([unhealthy("delay-x", 500)], "ModelCrashed", id="crashed"),
        pytest.param([unhealthy("delay-x", 504), unhealthy("delay-x", 500), unhealthy("delay-x", 503)], "ModelCrashed", id="the latest counts"),
        pytest.param([unhealthy("delay-x", 504, "2026-01-01T11:54:00Z")], None, id="long ago"),
        pytest.param([{**unhealthy("delay-x", 504), "reason": "Killing"}], None, id="another event"),
        pytest.param([{**unhealthy("delay-x", 504), "lastTimestamp": None}], None, id="without a time"),
    ],
)  # fmt: skip
def test_failed_probes_tell_what_became_of_the_model(events: list[Manifest], reason: str | None) -> None:
    found = diagnose_model([MODEL_POD], lambda _uid: events, NOON)

    assert (found.reason if found else None) == reason
    if found:
        assert "In pod 'delay-x'" in found.message
        assert "(last seen at 11:58 UTC)" in found.message


@pytest.mark.parametrize(
    ("isolated", "status", "runtime", "reason"),
    [
        pytest.param("Loop", {"replicas": 1, "readyReplicas": 1}, None, "ModelStuck", id="isolated and ready"),
        pytest.param(None, {"replicas": 1, "readyReplicas": 1}, None, "ModelStuck", id="ready, and verified by an earlier build"),
        pytest.param("", {"replicas": 1, "readyReplicas": 1}, None, "ModelStuck", id="in the server's own process and ready"),
        pytest.param("", {"replicas": 1}, None, "ModelStuck", id="not ready"),
        pytest.param("Loop", {"replicas": 1}, {"triton": {"image": "triton"}}, None, id="another server's probes mean something else"),
    ],
)  # fmt: skip
def test_what_servers_of_ours_report_is_read_from_events(
    isolated: str | None, status: dict[str, int], runtime: dict[str, Any] | None, reason: str | None
) -> None:
    asked = service(version="delay-1", **({"runtime": runtime} if runtime else {}))
    cluster, _ = made(service(), **status)
    cluster.put(
        {**VERSION_1, "status": {**VERSION_1["status"], **({} if isolated is None else {"isolated": isolated})}}
    )
    server = pod(asked, "x", containers={"server": running_state()})
    server["status"]["conditions"] = [{"type": "Ready", "status": "True" if "readyReplicas" in status else "False"}]
    cluster.put(server).event(server, "Unhealthy", PROBE_FAILURE + "504")

    found = observe(asked, cluster).model_diagnosis

    assert (found.reason if found else None) == reason


@pytest.mark.parametrize(("isolated", "interval"), [("Loop", CHECK_INTERVAL), ("", IN_PROCESS_CHECK_INTERVAL)])
def test_a_model_in_workers_is_checked_more_often_and_every_model_while_a_report_is_recent(
    isolated: str, interval: timedelta
) -> None:
    asked = service(version="delay-1")
    cluster, _ = made(service(), replicas=1, readyReplicas=1)
    cluster.put({**VERSION_1, "status": {**VERSION_1["status"], "isolated": isolated}})

    assert observe(asked, cluster).model_check_interval == interval < RECENT


def test_an_earlier_report_of_a_ready_server_does_not_explain_one_that_starts() -> None:
    asked = service(version="delay-1")
    cluster, _ = made(service(), replicas=2, readyReplicas=1)
    cluster.put({**VERSION_1, "status": {**VERSION_1["status"], "isolated": "Loop"}})
    old, new = (pod(asked, name, containers={"server": running_state()}) for name in ("old", "new"))
    old["status"]["conditions"] = [{"type": "Ready", "status": "True"}]
    cluster.put(new)
    cluster.put(old).event(old, "Unhealthy", PROBE_FAILURE + "504")

    seen = observe(asked, cluster)

    assert seen.diagnosis is None
    assert seen.model_diagnosis is not None
