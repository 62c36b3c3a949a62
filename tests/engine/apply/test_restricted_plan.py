"""What a spec that the installation forbids may still do."""

from dataclasses import replace

import pytest

from flywheel.core.resource.api import CONFIG_MAP, DEPLOYMENT, INFERENCE_SERVICE, JOB, MODEL, Reference
from flywheel.core.resource.conditions import find_condition
from flywheel.core.resource.plan import Child, ExistingChild, Plan
from flywheel.core.resource.restrictions import Violation
from flywheel.core.settings import AllowedPlacement, Settings
from flywheel.engine.apply.restricted_plan import restrict_plan
from flywheel.kinds.inferenceservice.kind import KIND as SERVICE
from tests.engine.widget import KIND
from tests.simulation import resource
from tests.simulation.resources import custom
from tests.simulation.simulator import Simulator

VIOLATION = Violation("PlacementNotAllowed", "Not here.")
GOES_ON = "Not here. What exists goes on, and nothing new starts."
WIDGET = resource(KIND, "one", {})
JOB_CHILD, DEPLOYMENT_CHILD, CONFIG = (Child(api, api.manifest("one")) for api in (JOB, DEPLOYMENT, CONFIG_MAP))
RUNS = Plan(ready=True, reason="Runs", message="It runs.", status=WIDGET.status)


@pytest.mark.parametrize(
    ("plan", "exists", "ready", "reason", "message"),
    [
        pytest.param(replace(RUNS, children=(JOB_CHILD,)), False, False, "PlacementNotAllowed", "Not here.", id="no new Job"),
        pytest.param(replace(RUNS, children=(CONFIG, DEPLOYMENT_CHILD)), False, False, "PlacementNotAllowed", "Not here.", id="no new Deployment"),
        pytest.param(replace(RUNS, children=(DEPLOYMENT_CHILD,)), True, True, "PlacementNotAllowed", GOES_ON, id="servers that run"),
        pytest.param(replace(RUNS, children=(ExistingChild(JOB, "one"),)), True, True, "PlacementNotAllowed", GOES_ON, id="a Job in flight"),
        pytest.param(replace(RUNS, children=(CONFIG,)), False, True, "PlacementNotAllowed", GOES_ON, id="what is no pod"),
        pytest.param(replace(RUNS, succeeded=True), False, True, "Runs", "It runs.", id="what has ended stays as it is"),
    ],
)  # fmt: skip
def test_a_forbidden_spec(plan: Plan, exists: bool, ready: bool, reason: str, message: str) -> None:
    found = restrict_plan(WIDGET, plan, VIOLATION, lambda _child: exists)

    assert (found.ready, found.reason, found.message) == (ready, reason, message)
    assert found.children == (plan.children if ready else None)


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
    simulator.restart_with(Settings(placement=AllowedPlacement(())))
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
