"""A model server with spec.auth.serviceAccount, the chart's roles, real tokens and a real API server: who gets in, over REST and gRPC."""

import base64
import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
import yaml

from e2e import http_client
from e2e.cluster import golang
from e2e.onnx_models import linear
from e2e.tokens import Issuer
from tests.apiserver.manifests import Kubectl
from tests.serving.local_server import LocalServer

pytestmark = pytest.mark.apiserver

CHART = Path(__file__).resolve().parents[2] / "charts" / "flywheel"
NAMESPACE, NAME, AUDIENCE = "callers", "fraud", "fraud.callers.svc"
METADATA = "/inference.GRPCInferenceService/ServerMetadata"
RIGHTS = {"ServiceAccount", "ClusterRole", "ClusterRoleBinding", "RoleBinding"}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("linear")
    (folder / "model.onnx").write_bytes(linear([1.0, 2.0]))
    return folder


@pytest.fixture(scope="module")
def shop(installed: Kubectl) -> Iterator[Callable[..., str]]:
    """kubectl in a namespace which has from the chart what servers need, and three who would like to call."""

    def run(*words: str, stdin: str = "") -> str:
        done = installed("--namespace", NAMESPACE, *words, stdin=stdin)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    run("create", "namespace", NAMESPACE)
    command = ("template", "flywheel", str(CHART), "--set", f"namespaces={{{NAMESPACE}}}")
    rendered = subprocess.run(
        [golang.build(golang.HELM), *command], capture_output=True, text=True, timeout=60, check=True
    ).stdout
    objects = [each for each in yaml.safe_load_all(rendered) if each and each["kind"] in RIGHTS]
    ours = [each for each in objects if each["metadata"].get("namespace") in (None, NAMESPACE)]
    # The API server is shared: a release of another module may hold the binding of the whole cluster.
    run("apply", "--server-side", "--force-conflicts", "-f", "-", stdin=yaml.safe_dump_all(ours))
    for name in ("caller", "labeler", "stranger", "of-another-service", "untrusted-server"):
        run("create", "serviceaccount", name)
    let_in = ("--clusterrole=flywheel-inference-caller", f"--serviceaccount={NAMESPACE}:caller")
    run("create", "rolebinding", "callers", *let_in)
    labelers = ("--clusterrole=flywheel-labeler", f"--serviceaccount={NAMESPACE}:labeler")
    run("create", "rolebinding", "labelers", *labelers)
    run(
        "create",
        "role",
        "call-ranking",
        "--verb=get",
        "--resource=inferenceservices.flywheel.ml",
        "--resource-name=ranking",
    )
    run("create", "rolebinding", "ranking", "--role=call-ranking", f"--serviceaccount={NAMESPACE}:of-another-service")
    yield run
    # What belongs to the cluster would be in the way of a release.
    rights = yaml.safe_dump_all([each for each in ours if each["kind"].startswith("Cluster")])
    run("delete", "-f", "-", stdin=rights)


@pytest.fixture(scope="module")
def auth(shop: Callable[..., str], apiserver: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], str]:
    """The flag of a server that runs as that ServiceAccount."""
    cluster = yaml.safe_load(apiserver.read_text())["clusters"][0]["cluster"]
    authority = (
        base64.b64decode(cluster["certificate-authority-data"])
        if "certificate-authority-data" in cluster
        else Path(cluster["certificate-authority"]).read_bytes()
    )

    def flag(account: str) -> str:
        folder = tmp_path_factory.mktemp(account)
        (folder / "ca.crt").write_bytes(authority)
        (folder / "token").write_text(shop("create", "token", account))
        where = {"namespace": NAMESPACE, "name": NAME, "apiServer": cluster["server"], "credentials": str(folder)}
        return json.dumps({"serviceAccount": {**where, "audiences": [AUDIENCE]}})

    return flag


@pytest.fixture(scope="module")
def server(model: Path, auth: Callable[[str], str]) -> Iterator[LocalServer]:
    with LocalServer(model, "--name", NAME, "--auth", auth("flywheel-server")) as server:
        yield server


@pytest.fixture(scope="module")
def bad_tokens(shop: Callable[..., str]) -> dict[str, str]:
    """Those of somebody else's issuer, and the cluster's own that are not for this service."""
    issuer = Issuer("https://kubernetes.default.svc.cluster.local", AUDIENCE)
    shop("create", "serviceaccount", "leaver")
    left = shop("create", "token", "leaver", f"--audience={AUDIENCE}")
    shop("delete", "serviceaccount", "leaver")
    good = shop("create", "token", "caller", f"--audience={AUDIENCE}")
    return {
        **issuer.bad_tokens(),
        "of another issuer": issuer.token(),
        "for the API server": shop("create", "token", "caller"),
        "for another service": shop("create", "token", "caller", "--audience=ranking.callers.svc"),
        "of a ServiceAccount that is gone": left,
        "cut": good[:-8],
    }


def test_no_route_is_open_without_a_good_token(server: LocalServer, model: Path, bad_tokens: dict[str, str]) -> None:
    routes = http_client.guarded_rest_routes(model, NAME)
    answers = {
        (sort, *route): http_client.request_rest(server.http, *route, *tokens)[0]
        for sort, tokens in [("none", ()), *((sort, (token,)) for sort, token in bad_tokens.items())]
        for route in routes
    }

    assert len(routes) > len(http_client.UNKNOWN) + 5
    assert {case: status for case, status in answers.items() if status != 401} == {}


def test_no_method_is_open_without_a_good_token(server: LocalServer, bad_tokens: dict[str, str]) -> None:
    codes = {
        (sort, method): http_client.request_grpc(server.grpc, method, *tokens)[0]
        for sort, tokens in [("none", ()), *((sort, (token,)) for sort, token in bad_tokens.items())]
        for method in http_client.guarded_grpc_methods()
    }

    assert {case: code for case, code in codes.items() if code is not grpc.StatusCode.UNAUTHENTICATED} == {}


@pytest.mark.parametrize("account", ["stranger", "of-another-service"])
def test_who_may_not_get_the_service_is_refused_and_told_the_command(
    server: LocalServer, model: Path, shop: Callable[..., str], account: str
) -> None:
    token = shop("create", "token", account, f"--audience={AUDIENCE}")

    answers = [
        http_client.request_rest(server.http, *route, token) for route in http_client.guarded_rest_routes(model, NAME)
    ]
    codes = {http_client.request_grpc(server.grpc, method, token)[0] for method in http_client.guarded_grpc_methods()}

    assert {status for status, _, _ in answers} == {403}
    assert codes == {grpc.StatusCode.PERMISSION_DENIED}
    _, body, headers = answers[0]
    assert (
        f"'system:serviceaccount:callers:{account}' may not call InferenceService 'fraud' in namespace 'callers'"
        in body
    )
    assert f"--clusterrole=flywheel-inference-caller --serviceaccount=callers:{account}" in body
    assert headers["www-authenticate"] == 'Bearer realm="flywheel", error="insufficient_scope"'


def test_posting_labels_needs_its_own_verb(server: LocalServer, shop: Callable[..., str]) -> None:
    path = f"/v2/models/{NAME}/feedback"
    caller, labeler = (shop("create", "token", each, f"--audience={AUDIENCE}") for each in ("caller", "labeler"))

    refused, body, _ = http_client.request_rest(server.http, "POST", path, caller)
    accepted, answer, _ = http_client.request_rest(server.http, "POST", path, labeler)

    assert refused == 403
    assert "--clusterrole=flywheel-labeler --serviceaccount=callers:caller" in body
    assert (accepted, "set spec.logging" in answer) == (404, True)  # admitted; this server logs no predictions
    assert http_client.request_rest(server.http, "GET", f"/v2/models/{NAME}", labeler)[0] == 403


def test_who_may_get_the_service_is_answered(server: LocalServer, model: Path, shop: Callable[..., str]) -> None:
    token = shop("create", "token", "caller", f"--audience={AUDIENCE}")
    tensor: Any = {"name": "x", "datatype": "FP32", "shape": [1, 2], "data": [1, 1]}
    body = json.dumps({"inputs": [tensor]}).encode()

    status, answer, _ = http_client.request_rest(server.http, "POST", f"/v2/models/{NAME}/infer", token, body=body)

    assert status == 200
    assert json.loads(answer)["outputs"][0]["data"] == [3.0]
    assert http_client.request_grpc(server.grpc, METADATA, token)[0] is grpc.StatusCode.OK
    statuses = {
        route: http_client.request_rest(server.http, *route, token)[0]
        for route in http_client.guarded_rest_routes(model, NAME)
    }
    assert {status for (_, path), status in statuses.items() if http_client.is_label_path(path)} == {403}
    others = {status for (_, path), status in statuses.items() if not http_client.is_label_path(path)}
    assert others <= {200, 400, 404, 405}
    assert statuses["GET", f"/v2/models/{NAME}/versions/1"] == 200


def test_a_server_that_may_not_ask_ends_with_the_reason(model: Path, auth: Callable[[str], str]) -> None:
    server = LocalServer(model, "--name", NAME, "--auth", auth("untrusted-server"))

    assert server.wait() == 1
    line = server.wait_for("the server may not ask the API server")
    assert line["reason"] == "ReviewsForbidden"
    assert "chart's value 'namespaces'" in line["message"]
