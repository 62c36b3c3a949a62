"""Scaling on a real API server: bad input is refused with a sentence, and `replicas` changes hands without a flap."""

import json
from pathlib import Path
from typing import Any

import pytest

from flywheel.core.resource import names
from flywheel.core.resource.api import DEPLOYMENT, HORIZONTAL_POD_AUTOSCALER, INFERENCE_SERVICE, Api, Reference
from flywheel.kinds.inferenceservice.kind import KIND
from tests.apiserver.manifests import OPEN, Kubectl, manifest
from tests.engine.harness import NAMESPACES, EngineHarness, writes

pytestmark = pytest.mark.apiserver

ROOM = {"requests": {"cpu": "500m"}}
SCALING = {"minReplicas": 2, "maxReplicas": 6}


def scaled(**changes: Any) -> dict[str, Any]:
    return {"model": "fraud", "resources": ROOM, "scaling": {**SCALING, **changes}, **OPEN}


@pytest.mark.parametrize(
    ("spec", "sentence"),
    [
        pytest.param({**scaled(), "replicas": 3}, "give spec.replicas or spec.scaling, not both: remove replicas in the same change", id="a number as well"),
        pytest.param(scaled(minReplicas=0), "minReplicas must be at least 1, because no component holds requests while no server runs", id="down to none"),
        pytest.param(scaled(minReplicas=7), "minReplicas must not be above spec.scaling.maxReplicas", id="limits the wrong way round"),
        pytest.param({"model": "fraud", "scaling": SCALING, **OPEN}, "with a percentage of CPU requires spec.resources.requests.cpu", id="a share of nothing"),
        pytest.param(scaled(metric="Memory"), "with a percentage of memory requires spec.resources.requests.memory", id="a share of no memory"),
        pytest.param(scaled(metric="InFlight"), "spec.scaling.target is required with metric InFlight", id="no target in flight"),
        pytest.param(scaled(metric="InFlight", target="80%"), "must be a number with metric InFlight", id="a share of requests in flight"),
        pytest.param(scaled(target="plenty"), "must be a percentage of what each server requests, such as 70%, or an amount", id="a word"),
        pytest.param(scaled(target="0%"), "must be a percentage", id="nothing at all"),
        pytest.param(scaled(target="-1"), "must be a percentage", id="less than nothing"),
        pytest.param(scaled(target=0), "must be a percentage", id="zero"),
        pytest.param(scaled(metric="Latency"), 'Unsupported value: "Latency"', id="a metric that is none"),
        pytest.param(scaled(behavior={"scaleDown": {"stabilizationWindowSeconds": 7200}}), "stabilizationWindowSeconds", id="a window that Kubernetes refuses"),
    ],
)  # fmt: skip
def test_bad_scaling_is_refused(installed: Kubectl, spec: dict[str, Any], sentence: str) -> None:
    answer = installed("create", "--dry-run=server", "-f", "-", stdin=manifest(spec))

    assert answer.returncode != 0
    assert sentence in answer.stderr


@pytest.mark.parametrize(
    "spec",
    [
        pytest.param(scaled(), id="a share of the request"),
        pytest.param(
            {**scaled(), "resources": {"limits": {"cpu": 1}}}, id="a share of the limit, which is a request too"
        ),
        pytest.param(
            {"model": "fraud", "scaling": {**SCALING, "target": "300m"}, **OPEN}, id="an amount needs no request"
        ),
        pytest.param({"model": "fraud", "scaling": {**SCALING, "target": 2}, **OPEN}, id="whole cores"),
        pytest.param(scaled(metric="RequestsPerSecond", target="12.5"), id="requests per second"),
        pytest.param(scaled(target="150%"), id="more than the request"),
    ],
)
def test_good_scaling_is_taken(installed: Kubectl, spec: dict[str, Any]) -> None:
    answer = installed("create", "--dry-run=server", "-f", "-", stdin=manifest(spec))

    assert answer.returncode == 0, answer.stderr


class Service(EngineHarness):
    """InferenceService `fraud`, served since its status says so, on an API server that has no controllers: the tests play the autoscaler."""

    def change(self, **spec: Any) -> None:
        """Apply the spec as a user would, and let the operator look until nothing is left to do."""
        self.put(INFERENCE_SERVICE, "fraud", spec={"model": "fraud", "resources": ROOM, **OPEN, **spec})
        self.settle()

    def serve(self, **spec: Any) -> None:
        """The same, for the first time."""
        self.put(INFERENCE_SERVICE, "fraud", spec={"model": "fraud", "resources": ROOM, **OPEN, **spec})
        status = {"version": "fraud-1", "digest": "sha256:" + "1" * 64}
        body = {
            "apiVersion": INFERENCE_SERVICE.api_version,
            "kind": INFERENCE_SERVICE.kind,
            "metadata": {"name": "fraud", "namespace": self.namespace},
            "status": status,
        }
        self.client.apply(INFERENCE_SERVICE, body, KIND.field_manager, "status")
        self.settle()

    @property
    def replicas(self) -> int:
        """What the Deployment is told."""
        return int(self.get(DEPLOYMENT, "fraud")["spec"]["replicas"])

    @property
    def is_autoscaled(self) -> bool:
        return self.client.get(Reference(HORIZONTAL_POD_AUTOSCALER, self.namespace, "fraud")) is not None


@pytest.fixture
def served(installed: Kubectl, apiserver: Path, request: pytest.FixtureRequest) -> Service:
    number = names.digest(request.node.name)[:8]
    found = Service(apiserver, f"scaling-{number}", (KIND,))
    manifest = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": found.namespace, "namespace": ""}}
    found.client.create(NAMESPACES, manifest)
    return found


@pytest.fixture
def seen(served: Service, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Every number of replicas that the Deployment had after one of our writes: a flap of a moment is in it."""
    found: list[int] = []
    apply = served.client.apply

    def noting(api: Api, body: Any, manager: str, subresource: str = "") -> Any:
        stored = apply(api, body, manager, subresource)
        if api == DEPLOYMENT:
            found.append(stored[0]["spec"]["replicas"])
        return stored

    monkeypatch.setattr(served.client, "apply", noting)
    return found


def autoscale(kubectl: Kubectl, served: Service, replicas: int) -> None:
    """As the autoscaler's controller does: by the scale subresource."""
    done = kubectl("-n", served.namespace, "scale", "deployment", "fraud", f"--replicas={replicas}")
    assert done.returncode == 0, done.stderr
    served.settle()


def test_replicas_are_handed_to_the_autoscaler_as_they_are(served: Service, seen: list[int]) -> None:
    served.serve(replicas=3)
    seen.clear()

    served.change(scaling=SCALING)

    assert served.is_autoscaled
    assert served.replicas == 3
    assert set(seen) == {3}


def test_the_autoscalers_number_stays_whatever_else_changes(kubectl: Kubectl, served: Service, seen: list[int]) -> None:
    served.serve(scaling=SCALING)
    autoscale(kubectl, served, 5)
    seen.clear()

    served.change(scaling={**SCALING, "maxReplicas": 9}, env=[{"name": "A", "value": "1"}])

    assert served.replicas == 5
    assert set(seen) == {5}


def test_replicas_come_back_without_a_number_in_between(kubectl: Kubectl, served: Service, seen: list[int]) -> None:
    served.serve(scaling=SCALING)
    autoscale(kubectl, served, 5)
    seen.clear()

    served.change(replicas=4)

    assert not served.is_autoscaled
    assert served.replicas == 4
    assert set(seen) <= {5, 4}
    assert seen == sorted(seen, reverse=True)


def test_there_and_back_and_there_again(kubectl: Kubectl, served: Service, seen: list[int]) -> None:
    served.serve(scaling=SCALING)
    autoscale(kubectl, served, 5)
    served.change(replicas=4)
    seen.clear()

    served.change(scaling=SCALING)
    autoscale(kubectl, served, 6)

    assert served.replicas == 6
    assert set(seen) <= {4, 6}


def test_it_starts_with_the_fewest_allowed(served: Service) -> None:
    served.serve(scaling={**SCALING, "minReplicas": 3})

    assert served.replicas == 3


def test_a_suspension_ends_with_servers_that_an_autoscaler_can_count(kubectl: Kubectl, served: Service) -> None:
    served.serve(scaling=SCALING)
    autoscale(kubectl, served, 5)

    served.change(scaling=SCALING, suspend=True)
    assert (served.replicas, served.is_autoscaled) == (0, False)

    served.change(scaling=SCALING)
    assert (served.replicas, served.is_autoscaled) == (2, True)


def test_whoever_takes_all_servers_away_is_healed(kubectl: Kubectl, served: Service) -> None:
    served.serve(scaling=SCALING)

    autoscale(kubectl, served, 0)

    assert served.replicas == 2


def test_an_idle_operator_writes_nothing(kubectl: Kubectl, served: Service) -> None:
    served.serve(scaling={**SCALING, "behavior": {"scaleDown": {"stabilizationWindowSeconds": 10}}})
    autoscale(kubectl, served, 4)
    with writes() as written:
        served.restart()
        served.settle()

    assert served.results
    assert written == []


def test_kubectl_scale_is_refused_under_an_autoscaler(installed: Kubectl, served: Service) -> None:
    served.serve(scaling=SCALING)

    answer = installed("-n", served.namespace, "scale", "fwsvc", "fraud", "--replicas=4")

    assert answer.returncode != 0
    assert "give spec.replicas or spec.scaling, not both" in answer.stderr


@pytest.mark.parametrize("metric", ["CPU", "Memory", "InFlight", "RequestsPerSecond"])
def test_the_server_keeps_the_autoscaler_as_it_was_wanted(served: Service, metric: str) -> None:
    target = {"CPU": "70%", "Memory": "300Mi", "InFlight": "0.5", "RequestsPerSecond": 1000}[metric]
    with writes() as written:
        served.serve(scaling={**SCALING, "metric": metric, "target": target})

    assert [each for each in written if "HorizontalPodAutoscaler" in each] == [
        f"create HorizontalPodAutoscaler {served.namespace}/fraud"
    ]
    assert json.dumps(served.get(HORIZONTAL_POD_AUTOSCALER, "fraud")["spec"]["metrics"]).count("target") == 1
