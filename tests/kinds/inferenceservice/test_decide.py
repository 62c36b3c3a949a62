"""What an InferenceService says and does, situation by situation."""

from dataclasses import replace
from typing import Any

import pytest

from flywheel.core.diagnosis.workload_diagnosis import Diagnosis
from flywheel.core.resource import names
from flywheel.core.resource.api import DEPLOYMENT
from flywheel.core.resource.model_reference import ResolvedVersion, UnresolvedReference
from flywheel.core.resource.plan import Child, Plan
from flywheel.core.settings import Settings
from flywheel.kinds.inferenceservice import children
from flywheel.kinds.inferenceservice.decide import decide
from flywheel.kinds.inferenceservice.kind import KIND
from flywheel.kinds.inferenceservice.observe import Seen
from flywheel.kinds.inferenceservice.schema import InferenceService, InferenceServiceStatus
from flywheel.kinds.inferenceservice.servers import NO_SERVERS, Servers
from tests.simulation import NOON, resource

SETTINGS = Settings()
V1, V2 = ResolvedVersion("delay-1", "sha256:" + "1" * 64), ResolvedVersion("delay-2", "sha256:" + "2" * 64)


def service(**spec: Any) -> InferenceService:
    """InferenceService `delay` with two servers."""
    found: InferenceService = resource(KIND, "delay", {"model": "delay", "auth": {"none": {}}, "replicas": 2, **spec})
    return found


def servers(target: ResolvedVersion, count: int = 2, **counts: Any) -> Servers:
    """A Deployment that is rolled out, but for what is said."""
    inputs = names.digest(dict(children.template_inputs(service(), target, SETTINGS)))[:16]
    return Servers(
        target=target,
        inputs=inputs,
        **{"settled": True, "replicas": count, "existing": count, "updated": count, "ready": count, **counts},
    )


SERVING = Seen(now=NOON, settings=SETTINGS, version=V1, servers=servers(V1))
NEW = replace(SERVING, servers=NO_SERVERS)
CHANGED = replace(SERVING, version=V2)
ROLLING = replace(SERVING, version=V2, servers=servers(V2, existing=3, updated=1, ready=2))
STUCK = Diagnosis("ModelStuck", "In pod 'x', calls ran into their time limit.")
PULL = Diagnosis("ImagePullFailed", "Image 'x' cannot be pulled.")
FLIPPED = Diagnosis("DigestMismatch", "model.onnx has sha256 1 and should have 2; restore it")
GONE = UnresolvedReference(
    "ModelNotFound", "Model 'delay' does not exist in namespace 'default'; create it or correct spec.model."
)


@pytest.mark.parametrize(
    ("seen", "ready", "progressing", "reason", "words"),
    [
        pytest.param(SERVING, True, None, "Serving", "All 2 servers are ready with version 'delay-1' at http://delay.default.svc:8080", id="all answer"),
        pytest.param(replace(SERVING, model_diagnosis=STUCK), True, None, "ModelStuck", "All 2 servers are ready. In pod 'x'", id="calls were ended"),
        pytest.param(replace(SERVING, servers=servers(V1, ready=0), diagnosis=STUCK), False, None, "ModelStuck", "0 of 2 servers are ready. In pod 'x'", id="all calls are stuck"),
        pytest.param(NEW, False, None, "Starting", "0 of 2 servers are ready", id="none exists yet"),
        pytest.param(replace(SERVING, servers=servers(V1, ready=1)), False, None, "Starting", "1 of 2 servers are ready", id="one still warms up"),
        pytest.param(replace(SERVING, servers=servers(V1, ready=0), diagnosis=PULL), False, None, "ImagePullFailed", "cannot be pulled", id="none can start"),
        pytest.param(replace(SERVING, servers=servers(V1, ready=1), diagnosis=FLIPPED), False, None, "DigestMismatch", "sha256 1 and should have 2", id="a new one finds other bytes"),
        pytest.param(CHANGED, True, True, "RollingOut", "0 of 2 servers are replaced, and 2 are ready", id="a new champion is not applied yet"),
        pytest.param(replace(SERVING, servers=servers(V1, settled=False)), True, True, "RollingOut", "0 of 2", id="its controller has not looked yet"),
        pytest.param(ROLLING, True, True, "RollingOut", "1 of 2 servers are replaced", id="one is replaced"),
        pytest.param(replace(ROLLING, diagnosis=PULL), True, True, "RolloutStuck", "2 are ready meanwhile. Image 'x' cannot be pulled", id="a rollout is stuck"),
        pytest.param(replace(SERVING, servers=servers(V1, existing=3)), True, True, "RollingOut", "", id="an old one is still there"),
        pytest.param(replace(SERVING, version=GONE), True, True, "ModelNotFound", "All servers are ready. The served version stays", id="the Model vanished"),
        pytest.param(replace(SERVING, version=GONE, servers=NO_SERVERS), False, None, "ModelNotFound", "Waiting to serve", id="the Model never was"),
    ],
)  # fmt: skip
def test_decide(seen: Seen, ready: bool, progressing: bool | None, reason: str, words: str) -> None:
    plan = decide(service(), seen)

    assert (plan.ready, plan.progressing, plan.reason) == (ready, progressing, reason)
    assert words in plan.message
    assert not plan.stalled


@pytest.mark.parametrize(
    ("spec", "ready", "reason", "summary"),
    [
        pytest.param({"suspend": True}, False, "Suspended", "suspended, delay-1", id="suspended"),
        pytest.param({"replicas": 0}, True, "NoReplicas", "scaled to 0, delay-1", id="scaled to none"),
    ],
)
def test_nobody_should_answer(spec: dict[str, Any], ready: bool, reason: str, summary: str) -> None:
    plan = decide(service(**spec), replace(SERVING, servers=servers(V1, 0)))

    assert (plan.ready, plan.progressing, plan.reason, plan.summary) == (ready, False, reason, summary)
    assert deployment(plan).manifest["spec"]["replicas"] == 0


def deployment(plan: Plan) -> Child:
    """The Deployment of a plan."""
    assert plan.children is not None
    [found] = [child for child in plan.children if child.api == DEPLOYMENT]
    assert isinstance(found, Child)
    return found


def test_while_the_model_is_gone_the_deployment_stays_as_it_was() -> None:
    before = decide(service(), SERVING)
    after = decide(service(), replace(SERVING, version=GONE))

    assert deployment(after).manifest == deployment(before).manifest


def test_what_is_served_is_known_from_the_deployment_though_the_status_is_lost() -> None:
    plan = decide(service(), replace(SERVING, version=GONE))

    assert deployment(plan).inputs == children.template_inputs(service(), V1, SETTINGS)


def test_a_deleted_deployment_comes_back_though_the_model_is_gone() -> None:
    status = InferenceServiceStatus.model_validate({"version": V1.version, "digest": V1.digest})
    lost = replace(service(), status=status)

    plan = decide(lost, replace(SERVING, version=GONE, servers=NO_SERVERS))

    assert deployment(plan).inputs == children.template_inputs(service(), V1, SETTINGS)


def test_with_nothing_to_serve_no_child_is_touched() -> None:
    assert decide(service(), replace(NEW, version=GONE)).children is None


def test_the_status_says_where_and_what() -> None:
    status: Any = decide(service(), SERVING).status

    assert (status.url, status.version, status.digest) == ("http://delay.default.svc:8080", "delay-1", V1.digest)
    assert (status.replicas, status.ready_replicas) == (2, 2)
    assert status.selector == f"flywheel.ml/role=server,flywheel.ml/uid={service().uid}"


def test_the_summary_counts_who_answers() -> None:
    assert decide(service(), SERVING).summary == "2/2 ready, delay-1"
    assert decide(service(), replace(ROLLING, servers=servers(V2, ready=3))).summary == "2/2 ready, delay-2"


def test_what_may_be_stuck_is_looked_at_again() -> None:
    assert decide(service(), NEW).requeue_after is not None
    assert decide(service(), ROLLING).requeue_after is not None
    assert decide(service(), SERVING).requeue_after is None


NO_GPU = Diagnosis("Unschedulable", "Pod 'x' fits on no node: 0/1 nodes are available: 1 Insufficient nvidia.com/gpu.")
NO_CPU = Diagnosis("Unschedulable", "Pod 'x' fits on no node: 0/1 nodes are available: 1 Insufficient cpu.")
GPU = {"resources": {"limits": {"nvidia.com/gpu": 1}}}


def gpu_servers(target: ResolvedVersion, **counts: Any) -> Servers:
    """As `servers`, of a service that asks for GPUs."""
    inputs = names.digest(dict(children.template_inputs(service(**GPU), target, SETTINGS)))[:16]
    return replace(servers(target, **counts), inputs=inputs)


SURGING = replace(CHANGED, servers=gpu_servers(V2, existing=3, updated=1), diagnosis=NO_GPU)


@pytest.mark.parametrize(
    ("spec", "seen", "surge"),
    [
        pytest.param(GPU, SURGING, 0, id="a surge that finds no GPU goes without"),
        pytest.param(GPU, replace(SURGING, diagnosis=None, servers=gpu_servers(V2, ready=1, updated=1, one_by_one=True)), 0, id="and so to its end"),
        pytest.param(GPU, replace(SURGING, diagnosis=None, servers=gpu_servers(V2, one_by_one=True)), 1, id="the next one tries to surge again"),
        pytest.param(GPU, replace(SURGING, diagnosis=None), 1, id="a surge of which nothing is known yet goes on"),
        pytest.param(GPU, replace(SURGING, diagnosis=NO_CPU), 1, id="a lack of CPU is waited out"),
        pytest.param({}, replace(SURGING, servers=servers(V2, existing=3, updated=1)), 1, id="who asks for no GPU does not lack one"),
        pytest.param(GPU, replace(SURGING, servers=gpu_servers(V2, ready=0, updated=2)), 1, id="where nobody answers there is nobody to go first"),
    ],
)  # fmt: skip
def test_where_gpus_are_scarce(spec: dict[str, Any], seen: Seen, surge: int) -> None:
    plan = decide(service(**spec), seen)

    update = {"maxSurge": surge, "maxUnavailable": 1 - surge}
    assert deployment(plan).manifest["spec"]["strategy"]["rollingUpdate"] == update
    assert ("replaced one by one" in plan.message) is (surge == 0)


def test_how_servers_are_replaced_is_no_reason_to_replace_them() -> None:
    surging, narrow = decide(service(**GPU), replace(SURGING, diagnosis=None)), decide(service(**GPU), SURGING)

    assert deployment(surging).inputs == deployment(narrow).inputs
    assert deployment(surging).manifest["spec"]["template"] == deployment(narrow).manifest["spec"]["template"]


PLANTED: dict[str, Any] = {"env": [{"name": "OMP_NUM_THREADS", "value": "2"}, {"name": "LD_PRELOAD", "value": "/x.so"}]}


def test_a_new_service_with_a_variable_that_is_not_allowed_gets_no_server() -> None:
    plan = decide(service(**PLANTED), NEW)

    assert (plan.ready, plan.reason, plan.children) == (False, "EnvNotAllowed", None)
    assert plan.message == (
        "spec.env: LD_PRELOAD may not be set for Flywheel's own server, which takes OMP_NUM_THREADS, OMP_WAIT_POLICY; "
        "remove them, have an administrator add them to the chart's value serving.allowedEnv, or set spec.runtime.custom."
    )


def test_a_service_of_an_earlier_build_keeps_its_servers_and_says_which_variable_is_refused() -> None:
    old = service(**PLANTED)
    inputs = names.digest(dict(children.template_inputs(old, V1, SETTINGS)))[:16]

    plan = decide(old, replace(SERVING, servers=replace(servers(V1), inputs=inputs)))

    assert (plan.ready, plan.progressing, plan.reason) == (True, None, "EnvNotAllowed")
    assert "LD_PRELOAD may not be set" in plan.message
    # The inputs are the old ones, so that the pinned template stays; a new template has no such variable.
    assert names.digest(dict(deployment(plan).inputs or {}))[:16] == inputs
    server = deployment(plan).manifest["spec"]["template"]["spec"]["containers"][0]
    assert [each["name"] for each in server["env"]] == ["OMP_NUM_THREADS"]


@pytest.mark.parametrize(
    ("spec", "allowed"),
    [
        pytest.param({}, ("LD_PRELOAD",), id="values allow it"),
        pytest.param({"runtime": {"custom": {"image": "x"}}}, (), id="a custom runtime is the user's own code"),
        pytest.param({"runtime": {"triton": {"image": "x"}}}, (), id="and so is Triton"),
    ],
)
def test_a_variable_is_allowed_by_values_and_for_other_runtimes(spec: dict[str, Any], allowed: tuple[str, ...]) -> None:
    settings = Settings(allowed_serving_env=allowed)
    plan = decide(service(**PLANTED, **spec), replace(NEW, settings=settings))

    assert plan.reason == "Starting"
    server = deployment(plan).manifest["spec"]["template"]["spec"]["containers"][0]
    assert {"LD_PRELOAD", "OMP_NUM_THREADS"} <= {each["name"] for each in server["env"]}
