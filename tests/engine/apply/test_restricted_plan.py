"""What a spec that the installation forbids may still do."""

from dataclasses import replace
from datetime import timedelta

import pytest

from flywheel.core.requeue import PENDING_CHECK_INTERVAL
from flywheel.core.resource.api import CONFIG_MAP, DEPLOYMENT, INFERENCE_SERVICE, JOB, MODEL, Reference
from flywheel.core.resource.conditions import find_condition
from flywheel.core.resource.names import INPUTS_ANNOTATION, digest
from flywheel.core.resource.plan import Child, ExistingChild, Plan
from flywheel.core.resource.restrictions import Violation
from flywheel.core.resource.schema import Status
from flywheel.core.settings import AllowedPlacement, Settings
from flywheel.engine.apply.restricted_plan import restrict_plan
from flywheel.kinds.inferenceservice.kind import KIND as SERVICE
from tests.engine.widget import KIND
from tests.simulation import resource
from tests.simulation.resources import custom
from tests.simulation.simulator import Simulator

VIOLATION = Violation("PlacementNotAllowed", "Not here.")
GOES_ON = "Not here. What exists goes on, and nothing new starts."
NOTHING_ALLOWED = Settings(placement=AllowedPlacement(()))
WIDGET = resource(KIND, "one", {})
JOB_CHILD, DEPLOYMENT_CHILD, CONFIG = (Child(api, api.manifest("one")) for api in (JOB, DEPLOYMENT, CONFIG_MAP))
RUNS = Plan(ready=True, reason="Runs", message="It runs.", status=WIDGET.status)


WAITS = replace(RUNS, ready=False, reason="Waits", requeue_after=timedelta(seconds=1))
LIVE = {"metadata": {"annotations": {INPUTS_ANNOTATION: digest({"spec": "before"})[:16]}}}
SAME, CHANGED = (Child(DEPLOYMENT, DEPLOYMENT.manifest("one"), inputs={"spec": spec}) for spec in ("before", "after"))


@pytest.mark.parametrize(
    ("plan", "exists", "children", "ready", "reason", "message"),
    [
        pytest.param(replace(WAITS, children=(JOB_CHILD,)), False, (), False, "PlacementNotAllowed", "Not here.", id="no new Job"),
        pytest.param(replace(WAITS, children=(CONFIG, DEPLOYMENT_CHILD)), False, (CONFIG,), False, "PlacementNotAllowed", "Not here.", id="no new Deployment"),
        pytest.param(replace(RUNS, children=(CONFIG, JOB_CHILD)), False, (CONFIG,), True, "PlacementNotAllowed", GOES_ON, id="no new Job beside what is ready"),
        pytest.param(replace(RUNS, children=(SAME,)), True, (SAME,), True, "PlacementNotAllowed", GOES_ON, id="servers that run"),
        pytest.param(replace(RUNS, children=(CHANGED,)), True, (ExistingChild(DEPLOYMENT, "one"),), True, "PlacementNotAllowed", GOES_ON, id="no other template"),
        pytest.param(replace(RUNS, children=(ExistingChild(JOB, "one"),)), True, (ExistingChild(JOB, "one"),), True, "PlacementNotAllowed", GOES_ON, id="a Job in flight"),
        pytest.param(replace(RUNS, children=(CONFIG,)), False, (CONFIG,), True, "PlacementNotAllowed", GOES_ON, id="what is no pod"),
        pytest.param(replace(WAITS, children=None), False, None, False, "PlacementNotAllowed", GOES_ON, id="children that are left alone"),
        pytest.param(replace(RUNS, succeeded=True), False, None, True, "Runs", "It runs.", id="what has ended stays as it is"),
    ],
)  # fmt: skip
def test_a_forbidden_spec(
    plan: Plan, exists: bool, children: tuple[Child | ExistingChild, ...] | None, ready: bool, reason: str, message: str
) -> None:
    found = restrict_plan(WIDGET, plan, VIOLATION, lambda _child: LIVE if exists else None)

    assert (found.children, found.ready, found.reason, found.message) == (children, ready, reason, message)
    assert found.stalled == (message == "Not here.")
    assert found.requeue_after in (None, PENDING_CHECK_INTERVAL)


def test_a_status_that_names_a_withheld_deployment_is_not_written() -> None:
    status = Status(summary="of the plan")
    for child, written in ((DEPLOYMENT_CHILD, WIDGET.status), (JOB_CHILD, status)):
        plan = replace(WAITS, status=status, children=(child,))
        assert restrict_plan(WIDGET, plan, VIOLATION, lambda _child: None).status == written


def test_servers_of_before_go_on_and_a_new_service_does_not_start() -> None:
    spec = {"model": "delay", "auth": {"none": {}}, "placement": {"priorityClassName": "system-node-critical"}}
    status = {"champion": "delay-1", "championDigest": "sha256:" + "a" * 64}
    simulator = Simulator(SERVICE, resource(SERVICE, "old", spec), custom(MODEL, "delay", {}, status=status))
    simulator.reconcile()
    before = simulator.manifest(Reference(DEPLOYMENT, "default", "old"))

    simulator.put(
        {**before, "status": {"observedGeneration": 1, "replicas": 1, "updatedReplicas": 1, "readyReplicas": 1}}
    )
    simulator.put(resource(SERVICE, "new", spec))
    simulator.restart_with(NOTHING_ALLOWED)
    for name in ("old", "new"):
        simulator.reconcile(Reference(INFERENCE_SERVICE, "default", name))

    after = simulator.manifest(Reference(DEPLOYMENT, "default", "old"))
    found = {
        name: find_condition(simulator.manifest(Reference(INFERENCE_SERVICE, "default", name)))
        for name in ("old", "new")
    }
    assert after["spec"] == before["spec"]
    assert simulator.cluster.get(Reference(DEPLOYMENT, "default", "new")) is None
    assert {name: (each["status"], each["reason"]) for name, each in found.items()} == {
        "old": ("True", "PlacementNotAllowed"),
        "new": ("False", "PlacementNotAllowed"),
    }


def test_a_spec_that_becomes_forbidden_replaces_no_server_and_follows_no_version() -> None:
    status = {"champion": "delay-1", "championDigest": "sha256:" + "a" * 64}
    spec = {"model": "delay", "auth": {"none": {}}}
    service = resource(SERVICE, "old", spec)
    simulator = Simulator(SERVICE, service, custom(MODEL, "delay", {}, status=status), settings=NOTHING_ALLOWED)
    simulator.reconcile()
    before = simulator.manifest(Reference(DEPLOYMENT, "default", "old"))
    simulator.put(
        {**before, "status": {"observedGeneration": 1, "replicas": 1, "updatedReplicas": 1, "readyReplicas": 1}}
    )

    simulator.patch_spec(placement={"priorityClassName": "system-node-critical"})
    newer = {"champion": "delay-2", "championDigest": "sha256:" + "b" * 64}
    simulator.put(custom(MODEL, "delay", {}, status=newer))
    simulator.reconcile()

    after = simulator.manifest(Reference(DEPLOYMENT, "default", "old"))
    assert (after["spec"], after["metadata"]["annotations"]) == (before["spec"], before["metadata"]["annotations"])
    condition = find_condition(simulator.manifest(service.reference))
    assert (condition["status"], condition["reason"]) == ("True", "PlacementNotAllowed")
    assert (simulator.status.version, simulator.status.ready_replicas) == ("delay-1", 1)

    simulator.patch_spec(placement=None)
    simulator.reconcile()
    assert simulator.status.version == "delay-2"
    assert simulator.manifest(Reference(DEPLOYMENT, "default", "old"))["spec"] != before["spec"]
