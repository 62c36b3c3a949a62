"""Which token a model server gets: none that is good elsewhere, whatever those say who may write InferenceServices."""

import base64
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from flywheel.client.errors import FlywheelError
from flywheel.client.session import Options
from flywheel.client.transport.endpoints import UrlEndpoint
from tests.client.local_cluster import Call, LocalCluster, Reply

OWN = "delay.shop.svc"
ROWS = [{"month": 3}]


def service(
    auth: dict[str, Any] | None = None, name: str = "delay", reason: str = "Serving", **more: Any
) -> dict[str, Any]:
    ready = {"type": "Ready", "status": "True", "reason": reason, "message": "1 of 2 servers are replaced."}
    return {
        "metadata": {"name": name, "namespace": "shop", "generation": 2},
        "spec": {"model": "delay", "auth": auth or {"serviceAccount": {}}, **more},
        "status": {"url": f"http://{name}.elsewhere.svc:8080", "observedGeneration": 2, "conditions": [ready]},
    }


def shared(*audiences: str, **more: Any) -> dict[str, Any]:
    return service({"serviceAccount": {"audiences": [*audiences]}}, **more)


def predictions(_call: Call) -> Reply:
    return Reply({"model_version": "delay-1", "predictions": [{"label": 1}]})


@pytest.fixture
def serving(cluster: LocalCluster) -> LocalCluster:
    cluster.servers |= {f"{name}/v2/models/{name}/predict": predictions for name in ("delay", "another")}
    return cluster


def jwt(**claims: Any) -> str:
    payload = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
    return f"header.{payload}.signature"


def predict(cluster: LocalCluster, *, named: str | None = None, **options: Any) -> str:
    """Predicts a row, and returns the token that the server got."""
    cluster.workspace(options=Options(**options)).model("delay").predict(ROWS, service=named)
    return str(cluster.calls[-1].headers["X-Flywheel-Authorization"]).removeprefix("Bearer ")


def refused(cluster: LocalCluster, message: str, **options: Any) -> None:
    with pytest.raises(FlywheelError, match=message):
        predict(cluster, **options)
    assert all(call.method == "GET" for call in cluster.calls), "no token was requested or sent"


@pytest.mark.parametrize(
    "audiences",
    [
        pytest.param(["https://kubernetes.default.svc.cluster.local"], id="of the API server"),
        pytest.param(["flywheel-reader"], id="of the reader"),
        pytest.param(["sts.example.org"], id="of a cloud"),
    ],
)
def test_no_token_is_requested_for_an_audience_that_the_service_chose(
    serving: LocalCluster, audiences: list[str]
) -> None:
    serving.add("inferenceservices", shared(*audiences))

    refused(serving, "and not for its own audience 'delay.shop.svc'", service_account="science")


def test_the_services_own_audience_is_taken_where_it_is_among_others(serving: LocalCluster) -> None:
    serving.add("inferenceservices", shared("sts.example.org", OWN))

    assert predict(serving, service_account="science") == f"shop/science for {OWN}"


def test_an_audience_that_the_user_gives_is_taken(serving: LocalCluster) -> None:
    serving.add("inferenceservices", shared("shop-models"))

    assert predict(serving, service_account="science", audience="shop-models") == "shop/science for shop-models"


@pytest.mark.parametrize("audience", ["flywheel-reader", "https://kubernetes.default.svc.cluster.local"])
def test_an_audience_of_the_cluster_is_refused_also_where_the_user_gives_it(
    serving: LocalCluster, audience: str
) -> None:
    serving.add("inferenceservices", shared(audience))

    refused(serving, "with which it could act as you", service_account="science", audience=audience)


@pytest.mark.parametrize(
    "token",
    [
        pytest.param(jwt(aud=["https://kubernetes.default.svc"]), id="for the API server"),
        pytest.param(jwt(aud="flywheel-reader"), id="for the reader"),
        pytest.param(jwt(iss="kubernetes/serviceaccount"), id="of a Secret, which has no audience"),
        pytest.param("user-token", id="that of the kubeconfig"),
    ],
)
def test_a_token_of_a_file_that_opens_the_cluster_is_not_sent(
    serving: LocalCluster, tmp_path: Path, token: str
) -> None:
    serving.add("inferenceservices", service({"jwt": {"issuer": "https://login.example"}}))
    (tmp_path / "token").write_text(token)

    refused(serving, "the token is for the API server or the reader", token_file=str(tmp_path / "token"))


def test_two_services_of_a_model_are_told_apart_by_the_user(serving: LocalCluster) -> None:
    serving.add("inferenceservices", service())
    serving.add("inferenceservices", service(name="another"))

    refused(serving, "2 InferenceServices serve .*: another, delay; name the one", service_account="science")
    assert predict(serving, service_account="science", named="delay") == f"shop/science for {OWN}"
    refused_name = serving.workspace().model("delay")
    with pytest.raises(FlywheelError, match="no InferenceService 'third' serves"):
        refused_name.predict(ROWS, service="third")


@pytest.mark.parametrize(
    "changing",
    [
        pytest.param({"reason": "RollingOut"}, id="servers are replaced"),
        pytest.param({"reason": "RolloutStuck"}, id="servers cannot be replaced"),
        pytest.param({"observed": 1}, id="the status is of an earlier spec"),
        pytest.param({"ready": "False"}, id="new servers are not ready"),
    ],
)
def test_servers_of_an_earlier_spec_get_no_token_that_others_accept(
    serving: LocalCluster, tmp_path: Path, changing: dict[str, Any]
) -> None:
    found = shared("shop-models", reason=changing.get("reason", "Serving"))
    found["status"]["observedGeneration"] = changing.get("observed", 2)
    found["status"]["conditions"][0]["status"] = changing.get("ready", "True")
    serving.add("inferenceservices", found)
    (tmp_path / "token").write_text(jwt(aud=["shop-models"]))
    file, account = str(tmp_path / "token"), {"service_account": "science", "audience": "shop-models"}

    refused(serving, "may still have servers of an earlier spec", token_file=file)
    refused(serving, "may still have servers of an earlier spec", **account)

    assert predict(serving, token_file=file, named="delay") == jwt(aud=["shop-models"])
    (tmp_path / "token").write_text(jwt(aud=[OWN]))
    assert predict(serving, token_file=file) == jwt(aud=[OWN])


def test_a_named_service_of_another_runtime_gets_nothing(serving: LocalCluster) -> None:
    session = serving.workspace().session

    with pytest.raises(FlywheelError, match=r"by spec.runtime"):
        session.predictor(service(runtime={"custom": {}}), is_named=True)
    assert session.predictor(service(runtime={"flywheel": {}})).service == "delay"


def test_in_a_pod_a_token_goes_where_the_name_leads_and_not_where_the_status_says(serving: LocalCluster) -> None:
    session = replace(serving.workspace().session, in_cluster=True)

    endpoint = session.predictor(service()).endpoint

    assert isinstance(endpoint, UrlEndpoint)
    assert endpoint.url == "http://delay.shop.svc:8080"
