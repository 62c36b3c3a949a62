"""Who the reader and the services are shown to be: tokens, addresses, and what a refusal says."""

import base64
import json
from dataclasses import replace
from pathlib import Path

import pytest

from flywheel.client.errors import FlywheelError
from flywheel.client.session import Options, open_user_session
from flywheel.client.transport.endpoints import check_url
from flywheel.client.transport.reader import file_path, path_of
from flywheel.client.transport.tokens import TOKEN_SECONDS, Tokens
from flywheel.client.workspace import Workspace
from tests.client.local_cluster import READER, Call, LocalCluster, Reply, reader_error, status

TRIALS = "/v1/namespaces/shop/trials"
EMPTY = Reply({"items": [], "next": None})
VIA_ACCOUNT = Options(service_account="science")


def test_a_user_with_a_certificate_needs_a_service_account(cluster: LocalCluster) -> None:
    with pytest.raises(FlywheelError, match=r"your kubeconfig has no token.*--service-account") as caught:
        cluster.workspace(token=None).trials()

    assert caught.value.reason == "NoToken"


def test_a_token_of_the_service_account_is_requested_once_for_the_reader(cluster: LocalCluster) -> None:
    cluster.reader[TRIALS] = EMPTY
    workspace = cluster.workspace(token=None, options=VIA_ACCOUNT)

    workspace.trials()
    workspace.trials()

    assert [call.path for call in cluster.calls] == [
        "/api/v1/namespaces/shop/serviceaccounts/science/token",
        READER + TRIALS,
        READER + TRIALS,
    ]
    assert cluster.calls[-1].headers["X-Flywheel-Authorization"] == "Bearer shop/science for flywheel-reader"


def test_a_token_is_renewed_before_it_expires(cluster: LocalCluster) -> None:
    now = 0.0
    tokens = Tokens(cluster.client(), "shop", "elsewhere/science", clock=lambda: now)

    first = tokens.reader_token()
    now = TOKEN_SECONDS * 0.9
    tokens.reader_token()

    assert first == "elsewhere/science for flywheel-reader"
    assert len(cluster.calls) == 2


def test_a_token_that_is_no_longer_accepted_is_replaced_once(cluster: LocalCluster) -> None:
    replies = [reader_error(401, "Unauthorized", "the token has expired"), EMPTY]
    cluster.reader[TRIALS] = lambda _call: replies.pop(0)

    cluster.workspace(options=VIA_ACCOUNT).trials()

    assert [call.path.rpartition("/")[2] for call in cluster.calls] == ["token", "trials", "token", "trials"]


def user_token(subject: str) -> str:
    payload = base64.urlsafe_b64encode(json.dumps({"sub": subject}).encode()).decode().rstrip("=")
    return f"e30.{payload}.c2ln"


def test_the_reader_gets_no_token_of_a_service_account_that_opens_the_cluster(cluster: LocalCluster) -> None:
    cluster.reader[TRIALS] = EMPTY
    workspace = cluster.workspace(token=user_token("system:serviceaccount:ci:trainer"))

    workspace.trials()
    workspace.trials()

    shown = [call.headers["X-Flywheel-Authorization"] for call in cluster.calls if call.path == READER + TRIALS]
    assert shown == ["Bearer ci/trainer for flywheel-reader"] * 2
    assert len(cluster.calls) == 3


@pytest.mark.parametrize(
    ("subject", "requests"),
    [("jane@example.org", 0), ("system:serviceaccount:ci:trainer", 1), ("system:serviceaccount:ci", 0)],
)
def test_without_a_token_for_the_reader_alone_it_gets_the_kubeconfigs(
    cluster: LocalCluster, subject: str, requests: int
) -> None:
    path = "/api/v1/namespaces/ci/serviceaccounts/trainer/token"
    cluster.api[path] = status(403, "Forbidden", "serviceaccounts is forbidden")
    cluster.reader[TRIALS] = EMPTY
    token = user_token(subject)
    workspace = cluster.workspace(token=token)

    workspace.trials()
    workspace.trials()

    assert cluster.calls[-1].headers["X-Flywheel-Authorization"] == f"Bearer {token}"
    assert [call.path for call in cluster.calls].count(path) == requests


def test_a_busy_reader_is_asked_again(cluster: LocalCluster) -> None:
    replies = [reader_error(503, "Busy", "too many requests"), EMPTY]
    cluster.reader[TRIALS] = lambda _call: replies.pop(0)
    paused: list[float] = []

    found = replace(cluster.workspace().session.reader, sleep=paused.append).get_json(TRIALS)

    assert found["items"] == []
    assert paused == [1.0]


def test_a_broken_connection_is_made_again_for_tokens_and_reads(cluster: LocalCluster) -> None:
    cluster.reader[TRIALS] = EMPTY
    cluster.drops += ["science/token", "/trials", "/trials"]

    assert len(cluster.workspace(token=None, options=VIA_ACCOUNT).trials()) == 0
    assert cluster.drops == []


def test_a_connection_that_breaks_again_and_again_is_an_error(cluster: LocalCluster) -> None:
    cluster.reader[TRIALS] = EMPTY
    cluster.drops += ["/trials"] * 9

    with pytest.raises(FlywheelError, match="the API server gave no response") as caught:
        cluster.workspace().trials()

    assert caught.value.reason == "Unreachable"
    assert len(cluster.drops) == 6


def test_a_response_that_breaks_off_is_requested_once_more(cluster: LocalCluster) -> None:
    replies = [replace(EMPTY, cut_at=5), EMPTY]
    cluster.reader[TRIALS] = lambda _call: replies.pop(0)

    assert len(cluster.workspace().trials()) == 0


def test_an_expired_token_of_the_user_is_an_error_with_the_reason(cluster: LocalCluster) -> None:
    cluster.reader[TRIALS] = reader_error(401, "Unauthorized", "the token has expired; sign in again")

    with pytest.raises(FlywheelError, match="the token has expired; sign in again") as caught:
        cluster.workspace().trials()

    assert (caught.value.status, caught.value.reason) == (401, "Unauthorized")


def test_a_missing_right_names_nothing(cluster: LocalCluster) -> None:
    with pytest.raises(FlywheelError, match="you may not read this, or it does not exist") as caught:
        cluster.workspace().trials()

    assert (caught.value.status, caught.value.reason) == (403, "Forbidden")


@pytest.mark.parametrize(
    ("reply", "message"),
    [
        pytest.param(status(403, "Forbidden", "services is forbidden"), "ask for the right to get services/proxy", id="no right to the proxy"),
        pytest.param(status(503, "ServiceUnavailable", "no endpoints available"), "see that it is installed and that its pod is ready", id="no pod"),
        pytest.param(status(404, "NotFound", "services not found"), "see that it is installed", id="not installed"),
        pytest.param(Reply(b"<html>gateway</html>", 502), "responded with status 502: <html>gateway</html>", id="a gateway's page"),
        pytest.param(Reply({}, 302, {"Location": "http://127.0.0.1:1/"}), "status 302", id="a redirect is not followed"),
        pytest.param(Reply(b"[1]"), "is not a JSON object", id="other JSON"),
    ],
)  # fmt: skip
def test_a_failed_request_says_what_to_do(cluster: LocalCluster, reply: Reply, message: str) -> None:
    cluster.reader[TRIALS] = reply

    with pytest.raises(FlywheelError, match=message):
        cluster.workspace().trials()


def test_a_service_account_without_the_right_to_its_token_is_named(cluster: LocalCluster) -> None:
    cluster.api["/api/v1/namespaces/shop/serviceaccounts/science/token"] = status(403, "Forbidden", "cannot create")

    with pytest.raises(
        FlywheelError, match="no token of ServiceAccount 'science' in namespace 'shop': cannot create"
    ) as caught:
        cluster.workspace(options=VIA_ACCOUNT).trials()

    assert caught.value.status == 403


def test_the_address_of_the_reader_gets_the_token_in_the_usual_header(cluster: LocalCluster) -> None:
    def trials(call: Call) -> Reply:
        return (
            EMPTY if call.headers["Authorization"] == "Bearer user-token" else reader_error(401, "Unauthorized", "no")
        )

    cluster.api[TRIALS] = trials

    assert len(cluster.workspace(options=Options(reader_url=cluster.url)).trials()) == 0


def test_a_reader_that_does_not_run_is_named(cluster: LocalCluster) -> None:
    options = Options(reader_url="http://127.0.0.1:1")

    with pytest.raises(FlywheelError, match=r"http://127.0.0.1:1 gave no response") as caught:
        cluster.workspace(options=options).trials()

    assert caught.value.reason == "Unreachable"


@pytest.mark.parametrize(
    "url",
    [
        "http://reader.example.org", "http://10.0.0.7:8080", "reader.example.org", "ftp://reader.example.org",
        "https://user@reader.example.org", "https://reader.example.org?x=1",
    ],
)  # fmt: skip
def test_no_token_is_sent_where_others_could_read_it(url: str) -> None:
    with pytest.raises(FlywheelError, match="--reader-url"):
        check_url(url, "--reader-url")


@pytest.mark.parametrize("url", ["https://reader.example.org/flywheel", "http://localhost:8080", "http://[::1]:8080", "http://flywheel-reader.flywheel-system.svc:8080"])  # fmt: skip
def test_a_private_address_may_be_http(url: str) -> None:
    assert check_url(url, "--reader-url") == url


@pytest.mark.parametrize("name", ["", ".", ".."])
def test_no_name_reaches_another_path(name: str) -> None:
    with pytest.raises(FlywheelError, match="is not a name"):
        path_of("shop", "trials", name)


def test_names_are_quoted() -> None:
    assert path_of("shop", "trials", "a/b?c") == "/v1/namespaces/shop/trials/a%2Fb%3Fc"
    assert file_path("shop", "trials", "a", "files", file="x/y z") == "/v1/namespaces/shop/trials/a/files/x/y%20z"
    with pytest.raises(FlywheelError, match="is not a name"):
        file_path("shop", "trials", "a", "files", file="x/../y")


def test_without_a_kubeconfig_the_error_says_so(tmp_path: Path) -> None:
    with pytest.raises(FlywheelError, match=r"there is no cluster to connect to.*set KUBECONFIG"):
        open_user_session(environment={"KUBECONFIG": str(tmp_path / "missing")})


@pytest.mark.parametrize("variable", ["FLYWHEEL_RELEASE_NAMESPACE", "FLYWHEEL_NAMESPACE_OF_RELEASE"])
def test_a_kubeconfig_gives_the_namespace_and_the_environment_the_rest(
    tmp_path: Path, cluster: LocalCluster, variable: str
) -> None:
    config = tmp_path / "kubeconfig"
    config.write_text(
        f"""apiVersion: v1
kind: Config
current-context: main
clusters: [{{name: local, cluster: {{server: "{cluster.url}"}}}}]
users: [{{name: jane, user: {{token: from-the-kubeconfig}}}}]
contexts: [{{name: main, context: {{cluster: local, user: jane, namespace: shop}}}}]
"""
    )
    cluster.api["/api/v1/namespaces/ml/services/http:flywheel-reader:8080/proxy" + TRIALS] = EMPTY
    environment = {"KUBECONFIG": str(config), variable: "ml"}
    workspace = Workspace(open_user_session(environment=environment))

    workspace.trials()

    assert workspace.namespace == "shop"
    assert cluster.calls[-1].headers["X-Flywheel-Authorization"] == "Bearer from-the-kubeconfig"


def test_a_token_of_an_exec_plugin_is_shown_to_the_reader(tmp_path: Path, cluster: LocalCluster) -> None:
    credential = {
        "apiVersion": "client.authentication.k8s.io/v1",
        "kind": "ExecCredential",
        "status": {"token": "from-the-plugin"},
    }
    plugin = {
        "apiVersion": credential["apiVersion"],
        "command": "echo",
        "args": [json.dumps(credential)],
        "interactiveMode": "Never",
    }
    config = tmp_path / "kubeconfig"
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "main",
        "clusters": [{"name": "local", "cluster": {"server": cluster.url}}],
        "users": [{"name": "jane", "user": {"exec": plugin}}],
        "contexts": [{"name": "main", "context": {"cluster": "local", "user": "jane", "namespace": "shop"}}],
    }
    config.write_text(json.dumps(document))
    cluster.reader[TRIALS] = EMPTY

    Workspace(open_user_session(environment={"KUBECONFIG": str(config)})).trials()

    assert cluster.calls[-1].headers["X-Flywheel-Authorization"] == "Bearer from-the-plugin"


def test_the_text_of_an_error_does_not_control_the_terminal() -> None:
    error = FlywheelError("Model '\x1b[2Jgone\u202e' ist überall\nweg", reason="NotFound")

    assert str(error) == r"Model '\x1b[2Jgone\u202e' ist überall" + "\nweg"
    assert "\x1b" in error.message
