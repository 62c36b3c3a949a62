"""The Python client on a real API server: typed objects, runs, tokens by TokenRequest, and what is behind the proxy."""

import base64
import json
from pathlib import Path

import pytest

import flywheel as fw
from flywheel.client.errors import FlywheelError
from flywheel.client.session import Options, open_session
from flywheel.client.transport.model_services import ServiceAudience
from flywheel.client.workspace import Workspace
from flywheel.cluster.client import Client
from flywheel.cluster.credentials import configuration
from tests.apiserver.manifests import Kubectl

pytestmark = pytest.mark.apiserver
NAMESPACE = "python-client"
PIPELINE = {
    "parameters": [{"name": "months", "type": "Integer", "default": "3"}],
    "steps": [{"name": "only", "container": {"image": "python:3.12", "command": ["true"]}}],
}


@pytest.fixture(scope="module")
def workspace(installed: Kubectl, apiserver: Path) -> Workspace:
    assert installed("create", "namespace", NAMESPACE).returncode == 0
    assert installed("create", "serviceaccount", "science", "--namespace", NAMESPACE).returncode == 0
    client = Client(configuration({"KUBECONFIG": str(apiserver)}))
    return Workspace(open_session(client, NAMESPACE, Options(service_account="science")))


def model(metric: str) -> fw.Model:
    return fw.Model("delay", {"objective": {"metric": metric, "direction": "Maximize"}})


def test_a_typed_object_is_what_the_api_server_stores(workspace: Workspace) -> None:
    live = workspace.apply(fw.Model("typed", {"objective": {"metric": "roc_auc", "direction": "Maximize"}}))

    assert live.manifest["spec"]["objective"] == {"metric": "roc_auc", "direction": "Maximize"}


def test_a_field_of_another_manager_is_taken_by_force_alone(workspace: Workspace, installed: Kubectl) -> None:
    manifest = json.dumps({**model("f1").to_manifest(), "metadata": {"name": "delay", "namespace": NAMESPACE}})
    applied = installed("apply", "--server-side", "--filename", "-", stdin=manifest)
    assert applied.returncode == 0, applied.stderr

    with pytest.raises(FlywheelError, match="conflict") as caught:
        workspace.apply(model("roc_auc"))

    assert caught.value.status == 409
    assert workspace.apply(model("roc_auc"), force=True).manifest["spec"]["objective"]["metric"] == "roc_auc"


def test_a_rule_of_the_schema_is_an_error_with_its_message(workspace: Workspace) -> None:
    with pytest.raises(FlywheelError, match="give exactly one of model") as caught:
        workspace.apply(fw.InferenceService("both", {"model": "a", "version": "b", "auth": {"none": {}}}))

    assert caught.value.status == 422


def test_a_run_is_started_and_cancelled(workspace: Workspace) -> None:
    workspace.apply(fw.TrainingPipeline("monthly", PIPELINE))

    run = workspace.run("monthly", months=6)
    run.cancel()

    assert run.name.startswith("monthly-")
    assert run.manifest["spec"] == {
        "pipeline": "monthly",
        "parameters": {"months": "6"},
        "cancel": True,
        "suspend": False,
    }
    with pytest.raises(FlywheelError, match="has not ended in time"):
        run.wait(timeout=0)


def test_a_token_has_the_audience_of_the_reader_and_of_a_service(workspace: Workspace) -> None:
    tokens = workspace.session.tokens

    for token, audience in (
        (tokens.reader_token(), "flywheel-reader"),
        (tokens.service_token(ServiceAudience("delay", "delay.shop.svc")), "delay.shop.svc"),
    ):
        payload = token.split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        assert claims["aud"] == [audience]
        assert claims["sub"] == f"system:serviceaccount:{NAMESPACE}:science"


def test_a_service_account_that_does_not_exist_is_named(workspace: Workspace) -> None:
    session = open_session(workspace.session.cluster, NAMESPACE, Options(service_account="missing"))

    with pytest.raises(
        FlywheelError, match=f"no token of ServiceAccount 'missing' in namespace '{NAMESPACE}'"
    ) as caught:
        Workspace(session).trials()

    assert caught.value.status == 404


def test_a_reader_that_is_not_installed_is_named(workspace: Workspace) -> None:
    with pytest.raises(
        FlywheelError, match=r"Service 'flywheel-reader' in namespace 'flywheel-system'.*cannot be reached"
    ) as caught:
        workspace.trials()

    assert caught.value.status in (404, 503)
