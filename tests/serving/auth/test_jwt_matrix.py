"""Every route with every invalid token, over REST and gRPC, against a server in its own process."""

import json
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest

from e2e import http_client
from e2e.tokens import DISCOVERY, JWKS, Issuer
from tests.serving.auth.https_server import HttpsServer
from tests.serving.local_server import LocalServer

pytestmark = pytest.mark.integration  # each starts a model server in its own process

AUDIENCE = "fraud.shop.svc"
Served = tuple[LocalServer, Issuer]


@pytest.fixture(scope="module")
def served(echo: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with HttpsServer(tmp_path_factory.mktemp("issuer"), lambda *_: (404, {})) as keys:
        issuer = Issuer(keys.url, AUDIENCE)
        documents = {DISCOVERY: issuer.discovery(), JWKS: issuer.jwks()}
        keys.answers = lambda _method, path, *_: (200, documents[path])
        options = {"issuer": keys.url, "audiences": [AUDIENCE], "certificateAuthority": keys.authority.decode()}
        with LocalServer(echo, "--name", "echo", "--auth", json.dumps({"jwt": options})) as server:
            yield server, issuer


def test_no_route_is_open_without_a_token(served: Served, echo: Path) -> None:
    server, _ = served
    routes = http_client.guarded_rest_routes(echo, "echo")

    answers = {route: http_client.request_rest(server.http, *route) for route in routes}

    assert len(routes) > len(http_client.UNKNOWN) + 5
    assert {status for status, _, _ in answers.values()} == {401}
    assert {headers["www-authenticate"] for _, _, headers in answers.values()} == {'Bearer realm="flywheel"'}


def test_no_method_is_open_without_a_token(served: Served) -> None:
    server, _ = served

    codes = {method: http_client.request_grpc(server.grpc, method)[0] for method in http_client.guarded_grpc_methods()}

    assert "/inference.GRPCInferenceService/ModelInfer" in codes
    assert set(codes.values()) == {grpc.StatusCode.UNAUTHENTICATED}


def test_no_invalid_token_admits_a_route(served: Served, echo: Path) -> None:
    server, issuer = served
    answers = {
        (sort, *route): http_client.request_rest(server.http, *route, token)
        for sort, token in issuer.bad_tokens().items()
        for route in http_client.guarded_rest_routes(echo, "echo")
    }

    assert {case: status for case, (status, _, _) in answers.items() if status != 401} == {}
    assert {headers["www-authenticate"] for _, _, headers in answers.values()} == {
        'Bearer realm="flywheel", error="invalid_token"'
    }


def test_no_invalid_token_admits_a_method(served: Served) -> None:
    server, issuer = served
    codes = {
        (sort, method): http_client.request_grpc(server.grpc, method, token)[0]
        for sort, token in issuer.bad_tokens().items()
        for method in http_client.guarded_grpc_methods()
    }

    assert {case: code for case, code in codes.items() if code is not grpc.StatusCode.UNAUTHENTICATED} == {}


@pytest.mark.parametrize("algorithm", ["RS256", "ES256"])
def test_a_valid_token_admits_all_routes(served: Served, echo: Path, algorithm: str) -> None:
    server, issuer = served
    token = issuer.token(algorithm)

    statuses = {
        route: http_client.request_rest(server.http, *route, token)[0]
        for route in http_client.guarded_rest_routes(echo, "echo")
    }
    codes = {
        method: http_client.request_grpc(server.grpc, method, token)[0] for method in http_client.guarded_grpc_methods()
    }

    [label_status] = {status for (_, path), status in statuses.items() if http_client.is_label_path(path)}
    assert label_status == 403
    others = {status for (_, path), status in statuses.items() if not http_client.is_label_path(path)}
    assert others <= {200, 400, 404, 405}  # the body is no valid request
    assert statuses["GET", "/v2/models/echo/versions/1"] == 200
    assert grpc.StatusCode.UNAUTHENTICATED not in codes.values()
    assert codes["/inference.GRPCInferenceService/ServerMetadata"] is grpc.StatusCode.OK


@pytest.mark.parametrize("path", ["/v2/health/live", "/v2/health/ready", "/metrics", "/v2/health/ready?verbose=1"])
def test_probes_and_scrapers_need_no_token(served: Served, path: str) -> None:
    server, issuer = served

    assert http_client.request_rest(server.http, "GET", path)[0] == 200
    assert http_client.request_rest(server.http, "GET", path, issuer.bad_tokens()["expired"])[0] == 200


@pytest.mark.parametrize(
    "method",
    [
        "/grpc.health.v1.Health/Check",
        "/inference.GRPCInferenceService/ServerLive",
        "/inference.GRPCInferenceService/ServerReady",
    ],
)
def test_grpc_probes_need_no_token(served: Served, method: str) -> None:
    assert http_client.request_grpc(served[0].grpc, method)[0] is grpc.StatusCode.OK


@pytest.mark.parametrize(
    "path", ["//metrics", "/metrics/../v2", "/v2/health/live/../../models", "/metrics%2f..%2fv2", "/v2/health/livex"]
)
def test_no_spelling_of_an_open_path_reaches_a_guarded_one(served: Served, path: str) -> None:
    assert http_client.request_rest(served[0].http, "GET", path)[0] == 401


@pytest.mark.parametrize(
    ("scheme", "status"),
    [("bearer ", 200), ("BEARER  ", 200), ("", 401), ("Basic ", 401), ("Bearer", 401), ("Bearer\t", 401)],
)
def test_the_scheme_bearer_is_accepted_in_any_case(served: Served, scheme: str, status: int) -> None:
    server, issuer = served

    assert http_client.request_rest(server.http, "GET", "/v2", issuer.token(), scheme=scheme)[0] == status


def test_two_tokens_in_one_request_are_refused(served: Served) -> None:
    server, issuer = served
    good, bad = issuer.token(), issuer.bad_tokens()["expired"]

    assert http_client.request_rest(server.http, "GET", "/v2", good, bad)[0] == 401
    assert http_client.request_grpc(server.grpc, "/inference.GRPCInferenceService/ServerMetadata", good, bad)[0] is (
        grpc.StatusCode.UNAUTHENTICATED
    )


def test_a_refusal_names_the_finding_and_the_token_to_send(served: Served) -> None:
    server, issuer = served

    _, body, _ = http_client.request_rest(server.http, "GET", "/v2", issuer.token(aud="another"))

    message = json.loads(body)["error"]
    assert "the token is for another audience" in message
    assert f"a token of issuer '{issuer.url}' for audience '{AUDIENCE}'" in message


def test_unknown_methods_add_no_series(served: Served) -> None:
    server, _ = served
    http_client.request_grpc(server.grpc, "/made.Up/Method")

    _, text, _ = http_client.request_rest(server.http, "GET", "/metrics")

    assert "made.Up" not in text
    assert 'grpc_code="UNAUTHENTICATED"' in text


def test_the_description_and_the_page_say_that_a_token_is_required(served: Served) -> None:
    server, issuer = served
    token = issuer.token("RS256")

    described = json.loads(http_client.request_rest(server.http, "GET", "/openapi.json", token)[1])
    page = http_client.request_rest(server.http, "GET", "/", token)[1]

    assert described["security"] == [{"bearer": []}]
    assert described["components"]["securitySchemes"]["bearer"]["scheme"] == "bearer"
    assert described["paths"]["/metrics"]["get"]["security"] == []
    assert {"401", "403"} <= described["paths"]["/v2/models/echo/infer"]["post"]["responses"].keys()
    assert '-H "Authorization: Bearer $TOKEN"' in page
