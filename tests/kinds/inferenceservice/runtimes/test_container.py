"""Servers that are not ours, as reviewed YAML and as rules."""

from pathlib import Path
from typing import Any

import pytest

from flywheel.core.resource.api import DEPLOYMENT, NETWORK_POLICY, Api
from flywheel.core.resource.model_reference import ResolvedVersion
from flywheel.core.resource.ownership import with_owner
from flywheel.core.resource.plan import Child
from flywheel.core.settings import Settings
from flywheel.kinds.inferenceservice import children
from flywheel.kinds.inferenceservice.kind import KIND
from flywheel.kinds.inferenceservice.schema import InferenceService
from tests.golden_files import same_as
from tests.pod_security import violations
from tests.simulation import resource

HERE = Path(__file__).parent
TARGET = ResolvedVersion("delay-1", "sha256:" + "1" * 64)
TRITON = {"triton": {"image": "nvcr.io/nvidia/tritonserver:25.08-py3", "args": ["--log-verbose=1"]}}
CUSTOM = {
    "custom": {
        "image": "registry.example/server:1",
        "command": ["/serve"],
        "args": ["--model", "$(FLYWHEEL_MODEL_DIR)", "--name", "$(FLYWHEEL_MODEL_NAME)"],
        "ports": {"http": 9000},
    }
}


def service(**spec: Any) -> InferenceService:
    found: InferenceService = resource(KIND, "delay", {"model": "delay", "auth": {"none": {}}, **spec})
    return found


def made(api: Api, **spec: Any) -> dict[str, Any]:
    asked = service(**spec)
    [found] = [each for each in children.service_children(asked, TARGET, Settings()) if each.api == api]
    assert isinstance(found, Child)
    return with_owner(asked, found)


@pytest.mark.parametrize(("name", "runtime"), [("triton", TRITON), ("custom", CUSTOM)])
def test_the_deployment_is_the_golden_one(name: str, runtime: dict[str, Any]) -> None:
    deployment = made(DEPLOYMENT, runtime=runtime, env=[{"name": "A", "value": "1"}])

    assert violations(deployment["spec"]["template"]["spec"]) == []
    assert same_as(HERE / f"golden/{name}.yaml", deployment, made(NETWORK_POLICY, runtime=runtime))


def test_to_say_that_it_is_ours_restarts_nobody() -> None:
    said, unsaid = service(runtime={"flywheel": {}}), service()

    assert children.template_inputs(said, TARGET, Settings()) == children.template_inputs(unsaid, TARGET, Settings())
    assert (
        children.deployment(said, TARGET, Settings()).manifest
        == children.deployment(unsaid, TARGET, Settings()).manifest
    )


@pytest.mark.parametrize("runtime", [TRITON, CUSTOM], ids=["triton", "custom"])
def test_another_server_is_an_input(runtime: dict[str, Any]) -> None:
    other = children.template_inputs(service(runtime=runtime), TARGET, Settings())

    assert other != children.template_inputs(service(), TARGET, Settings())


@pytest.mark.parametrize("runtime", [TRITON, CUSTOM], ids=["triton", "custom"])
def test_ready_means_that_this_model_is(runtime: dict[str, Any]) -> None:
    [server] = made(DEPLOYMENT, runtime=runtime)["spec"]["template"]["spec"]["containers"]

    assert server["readinessProbe"]["httpGet"] == {"path": "/v2/models/delay/ready", "port": "http"}


def test_it_is_scraped_where_it_tells_its_metrics() -> None:
    ports = [
        made(DEPLOYMENT, **spec)["spec"]["template"]["metadata"]["annotations"]["prometheus.io/port"]
        for spec in ({}, {"runtime": TRITON}, {"runtime": CUSTOM})
    ]

    assert ports == ["8080", "8082", "9000"]
