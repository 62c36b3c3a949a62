"""How many servers run, who decides it, and what is said when nobody can."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from flywheel.core.diagnosis.workload_diagnosis import Diagnosis
from flywheel.core.resource import names
from flywheel.core.resource.api import DEPLOYMENT, HORIZONTAL_POD_AUTOSCALER, POD_DISRUPTION_BUDGET, Api
from flywheel.core.resource.model_reference import ResolvedVersion
from flywheel.core.resource.ownership import with_owner
from flywheel.core.resource.plan import Child, Plan
from flywheel.core.settings import Settings
from flywheel.kinds.inferenceservice import children
from flywheel.kinds.inferenceservice.decide import decide
from flywheel.kinds.inferenceservice.kind import KIND
from flywheel.kinds.inferenceservice.observe import Seen
from flywheel.kinds.inferenceservice.rollout.observe import RolloutSeen
from flywheel.kinds.inferenceservice.scaling.observe import AutoscalerSeen, observe_autoscaler
from flywheel.kinds.inferenceservice.schema import InferenceService
from flywheel.kinds.inferenceservice.servers import NO_SERVERS, Servers
from tests.golden_files import same_as
from tests.simulation import NOON, FakeCluster, resource
from tests.simulation.resources import stamp

HERE = Path(__file__).parent
SETTINGS = Settings()
V1 = ResolvedVersion("delay-1", "sha256:" + "1" * 64)
BY_CPU = {"minReplicas": 2, "maxReplicas": 6}


def service(**spec: Any) -> InferenceService:
    """InferenceService `delay` with two to six servers."""
    room = {"requests": {"cpu": "500m"}}
    wanted = {"model": "delay", "auth": {"none": {}}, "resources": room, "scaling": BY_CPU, **spec}
    found: InferenceService = resource(
        KIND, "delay", {key: value for key, value in wanted.items() if value is not None}
    )
    return found


def servers(count: int, **counts: int) -> Servers:
    """A Deployment that is rolled out with that many servers, but for what is said."""
    inputs = names.digest(dict(children.template_inputs(service(), V1, SETTINGS)))[:16]
    every: dict[str, Any] = {"replicas": count, "existing": count, "updated": count, "ready": count, **counts}
    return Servers(target=V1, inputs=inputs, settled=True, **every)


SERVING = Seen(now=NOON, settings=SETTINGS, version=V1, servers=servers(3), autoscaler=AutoscalerSeen(exists=True))
FULL = Diagnosis("Unschedulable", "Pod 'x' fits on no node.")
NO_METRICS_SERVER = Diagnosis("MetricsMissing", "The number of servers stays as it is; install metrics-server.")


@pytest.mark.parametrize(
    ("seen", "ready", "progressing", "reason", "words"),
    [
        pytest.param(SERVING, True, None, "Serving", "All 3 servers are ready", id="between its limits, the autoscaler's number is right"),
        pytest.param(replace(SERVING, servers=servers(5, ready=3, existing=3, updated=3)), True, True, "Scaling", "3 servers are ready with version 'delay-1', and the autoscaler asks for 5", id="new servers are on their way"),
        pytest.param(replace(SERVING, servers=servers(2, existing=4, updated=4, ready=4)), True, True, "Scaling", "asks for 2", id="servers go"),
        pytest.param(replace(SERVING, servers=servers(5, ready=4), diagnosis=FULL), True, True, "ScalingStuck", "asks for 5. Pod 'x' fits on no node", id="a new server fits nowhere"),
        pytest.param(replace(SERVING, servers=servers(3, ready=1)), False, None, "Starting", "1 of 2 servers are ready", id="fewer than the fewest allowed answer"),
        pytest.param(replace(SERVING, servers=servers(3, updated=1)), True, True, "RollingOut", "1 of 3 servers are replaced", id="a rollout is still a rollout"),
        pytest.param(replace(SERVING, servers=servers(9)), True, True, "Scaling", "asks for 6", id="more run than the limit that was just lowered"),
        pytest.param(replace(SERVING, autoscaler=AutoscalerSeen(exists=True, problem=NO_METRICS_SERVER)), True, True, "MetricsMissing", "All 3 servers are ready. The number of servers stays", id="nothing can be measured"),
        pytest.param(replace(SERVING, servers=NO_SERVERS), False, None, "Starting", "0 of 2 servers are ready", id="none exists yet"),
    ],
)  # fmt: skip
def test_decide(seen: Seen, ready: bool, progressing: bool | None, reason: str, words: str) -> None:
    plan = decide(service(), seen)

    assert (plan.ready, plan.progressing, plan.reason) == (ready, progressing, reason)
    assert words in plan.message


def child(plan: Plan, api: Api) -> Child | None:
    """The child of that type, if the plan has one."""
    assert plan.children is not None
    return next((each for each in plan.children if isinstance(each, Child) and each.api == api), None)


@pytest.mark.parametrize(
    ("spec", "exists", "running", "yields", "replicas", "autoscaled"),
    [
        pytest.param({}, False, 0, ("replicas",), 2, True, id="it starts with the fewest"),
        pytest.param({}, True, 5, ("replicas",), 5, True, id="what runs stays until the autoscaler says otherwise"),
        pytest.param(
            {"scaling": None, "replicas": 3}, True, 5, ("replicas",), 3, False, id="the autoscaler goes first"
        ),
        pytest.param({"scaling": None, "replicas": 3}, False, 5, (), 3, False, id="then replicas counts again"),
        pytest.param({"suspend": True}, True, 5, ("replicas",), 0, False, id="also for a suspension"),
        pytest.param({"suspend": True}, False, 5, (), 0, False, id="and then nobody answers"),
    ],
)
def test_the_number_has_one_owner_at_a_time(
    spec: dict[str, Any], exists: bool, running: int, yields: tuple[str, ...], replicas: int, autoscaled: bool
) -> None:
    seen = replace(SERVING, servers=servers(running), autoscaler=AutoscalerSeen(exists=exists))
    plan = decide(service(**spec), seen)
    deployment = child(plan, DEPLOYMENT)

    assert deployment is not None
    assert (deployment.shared_fields, deployment.manifest["spec"]["replicas"]) == (yields, replicas)
    assert (child(plan, HORIZONTAL_POD_AUTOSCALER) is not None) == autoscaled


def autoscaler_of(asked: InferenceService) -> dict[str, Any]:
    """The HorizontalPodAutoscaler that a service gets."""
    found = child(decide(asked, replace(SERVING, servers=NO_SERVERS)), HORIZONTAL_POD_AUTOSCALER)
    assert found is not None
    return with_owner(asked, found)


@pytest.mark.parametrize("name", ["CPU", "Memory", "InFlight", "RequestsPerSecond"])
def test_the_autoscalers_are_the_golden_ones(name: str) -> None:
    target = {"CPU": None, "Memory": "300Mi", "InFlight": 8, "RequestsPerSecond": "250"}[name]
    slowly = {
        "scaleDown": {"stabilizationWindowSeconds": 60, "policies": [{"type": "Pods", "value": 1, "periodSeconds": 30}]}
    }
    more = {"behavior": slowly} if name == "CPU" else {}
    asked = service(scaling={**BY_CPU, "metric": name, **({"target": target} if target else {}), **more})
    assert same_as(HERE / f"golden/autoscaler-{name}.yaml", autoscaler_of(asked))


def test_a_service_that_may_have_two_servers_has_a_budget() -> None:
    def budgets(**spec: Any) -> int:
        return sum(
            each.api == POD_DISRUPTION_BUDGET for each in children.service_children(service(**spec), V1, SETTINGS)
        )

    assert (budgets(), budgets(scaling={"maxReplicas": 1}), budgets(suspend=True)) == (1, 0, 0)


def test_scaling_changes_no_pod() -> None:
    assert children.template_inputs(service(), V1, SETTINGS) == children.template_inputs(
        service(scaling=None), V1, SETTINGS
    )
    scaled, fixed = (children.deployment(each, V1, SETTINGS) for each in (service(), service(scaling=None)))
    assert scaled.manifest["spec"]["template"] == fixed.manifest["spec"]["template"]


def live(status: str, reason: str, message: str, age: timedelta) -> dict[str, Any]:
    """The autoscaler of `delay`, whose condition ScalingActive is so for that long."""
    condition = {"type": "ScalingActive", "status": status, "reason": reason, "message": message}
    since = {"lastTransitionTime": stamp(NOON - age)}
    return {**autoscaler_of(service()), "status": {"conditions": [{**condition, **since}]}}


OLD, NEW = timedelta(minutes=5), timedelta(seconds=30)
IN_FLIGHT = {**BY_CPU, "metric": "InFlight", "target": 8}
NO_METRICS = "failed to get cpu utilization: unable to get metrics for resource cpu: no metrics returned"


@pytest.mark.parametrize(
    ("groups", "scaling", "status", "reason", "words"),
    [
        pytest.param((), BY_CPU, None, "MetricsMissing", "does not serve metrics.k8s.io, from which metric CPU comes; install metrics-server", id="no metrics-server"),
        pytest.param(("metrics.k8s.io",), IN_FLIGHT, None, "MetricsMissing", "does not serve custom.metrics.k8s.io, from which metric InFlight ('model_infer_in_flight' of each pod) comes; install prometheus-adapter", id="no adapter"),
        pytest.param(("keda.sh",), IN_FLIGHT, None, "MetricsMissing", "KEDA is installed: instead, remove spec.scaling", id="KEDA is there"),
        pytest.param(("metrics.k8s.io",), BY_CPU, live("False", "FailedGetResourceMetric", NO_METRICS, OLD), "MetricsUnavailable", "no metrics returned; see whether metrics-server is healthy", id="metrics-server has nothing for a while"),
    ],
)  # fmt: skip
def test_what_is_missing_is_said(
    groups: tuple[str, ...], scaling: dict[str, Any], status: dict[str, Any] | None, reason: str, words: str
) -> None:
    cluster = FakeCluster(*([status] if status else []), kinds=(KIND,), groups=groups)
    problem = observe_autoscaler(service(scaling=scaling), cluster).problem

    assert problem is not None
    assert problem.reason == reason
    assert words in problem.message


@pytest.mark.parametrize(
    ("groups", "scaling", "status", "found"),
    [
        pytest.param(("custom.metrics.k8s.io",), IN_FLIGHT, None, AutoscalerSeen(), id="an adapter is there"),
        pytest.param(("metrics.k8s.io",), BY_CPU, live("True", "ValidMetricFound", "", OLD), AutoscalerSeen(exists=True), id="it measures"),
        pytest.param(("metrics.k8s.io",), BY_CPU, live("False", "FailedGetResourceMetric", NO_METRICS, NEW), AutoscalerSeen(exists=True, starting=True), id="the first scrapes are yet to come"),
        pytest.param(("metrics.k8s.io",), BY_CPU, live("False", "ScalingDisabled", "replicas is 0", OLD), AutoscalerSeen(exists=True), id="it starts from 0"),
        pytest.param((), None, live("True", "ValidMetricFound", "", OLD), AutoscalerSeen(exists=True), id="it is no longer wanted"),
    ],
)  # fmt: skip
def test_what_is_not_missing(
    groups: tuple[str, ...], scaling: dict[str, Any] | None, status: dict[str, Any] | None, found: AutoscalerSeen
) -> None:
    cluster = FakeCluster(*([status] if status else []), kinds=(KIND,), groups=groups)

    assert observe_autoscaler(service(scaling=scaling), cluster) == found


def test_what_may_be_missing_is_looked_at_again() -> None:
    unsure = decide(service(), replace(SERVING, autoscaler=AutoscalerSeen(exists=True, starting=True)))

    assert (unsure.reason, unsure.requeue_after is not None) == ("Serving", True)
    assert (
        decide(service(), replace(SERVING, autoscaler=AutoscalerSeen(problem=NO_METRICS_SERVER))).requeue_after
        is not None
    )
    assert decide(service(), SERVING).requeue_after is None


def test_the_autoscaler_follows_the_pointer() -> None:
    """After a promotion the servers of the other slot are the ones that come and go; those that are kept warm are ours again."""
    rollout = {"canary": {"steps": [{"percent": 5, "duration": "10s"}]}}
    before = {
        "phase": "Promoted",
        "mode": "Canary",
        "champion": "delay-0",
        "challenger": "delay-1",
        "digest": V1.digest,
        "started": stamp(NOON),
        "since": stamp(NOON),
    }
    status = {"replicas": 3, "slot": "b", "rollout": {**before, "keepUntil": "2026-01-01T13:00:00Z"}}
    old = replace(servers(3), target=ResolvedVersion("delay-0", "sha256:" + "0" * 64))
    seen = replace(SERVING, servers=servers(3), rollout=RolloutSeen(active="b", other=old))
    asked = service(rollout=rollout)
    asked = replace(asked, status=type(asked.status).model_validate(status))

    plan = decide(asked, seen)

    assert plan.children is not None
    made = {each.name: each for each in plan.children if isinstance(each, Child) and each.api == DEPLOYMENT}
    assert {name: each.shared_fields for name, each in made.items()} == {"delay-slot-b": ("replicas",), "delay": ()}
    scaled = child(plan, HORIZONTAL_POD_AUTOSCALER)
    assert scaled is not None
    assert scaled.manifest["spec"]["scaleTargetRef"]["name"] == "delay-slot-b"
    assert made["delay"].manifest["spec"]["replicas"] == 3


def test_keda_is_no_advice_where_a_metric_of_the_pods_own_resources_is_missing() -> None:
    problem = observe_autoscaler(service(scaling=BY_CPU), FakeCluster(kinds=(KIND,), groups=("keda.sh",))).problem

    assert problem is not None
    assert "KEDA" not in problem.message
