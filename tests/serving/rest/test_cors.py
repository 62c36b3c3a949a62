"""Scripts of other origins may call only if their origin is listed."""

import urllib.error
import urllib.request
from collections.abc import Iterator
from email.message import Message
from pathlib import Path

import pytest

from tests.serving.local_server import LocalServer

pytestmark = pytest.mark.integration  # each starts a model server in its own process

APP = "https://app.example.com"
PREFLIGHT = {"access-control-request-method": "POST", "access-control-request-headers": "content-type,authorization"}


@pytest.fixture(scope="module")
def open_server(lookup: Path) -> Iterator[LocalServer]:
    with LocalServer(
        lookup, "--name", "lookup", "--cors-origin", APP, "--cors-origin", "http://localhost:3000"
    ) as server:
        yield server


def send_request(server: LocalServer, method: str, **headers: str) -> tuple[int, Message]:
    request = urllib.request.Request(f"http://{server.http}/v2/models/lookup/infer", None, headers, method=method)
    try:
        with urllib.request.urlopen(request, timeout=30) as response:
            return response.status, response.headers
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.headers


def test_without_the_flag_no_response_has_a_cors_header(lookup_server: LocalServer) -> None:
    for method, more in (("GET", {}), ("OPTIONS", PREFLIGHT)):
        status, headers = send_request(lookup_server, method, origin=APP, **more)

        assert status == 405
        assert not [name for name in headers if name.lower().startswith("access-control")]


INFER = "/v2/models/lookup/infer"


def post(server: LocalServer, path: str = INFER, **headers: str) -> int:
    request = urllib.request.Request(f"http://{server.http}{path}", b"{}", headers, method="POST")
    try:
        with urllib.request.urlopen(request, timeout=30) as response:
            return int(response.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code


SIMPLE = [
    "text/plain",
    "text/plain;charset=UTF-8",
    "application/x-www-form-urlencoded",
    "Multipart/Form-Data; boundary=x",
]


@pytest.mark.parametrize("path", [INFER, "/v2/models/lookup/predict", "/invocations"])
@pytest.mark.parametrize("media_type", SIMPLE)
@pytest.mark.parametrize("origin", ["https://evil.example.com", "null"])
def test_a_simple_post_of_another_origin_does_not_reach_the_model(
    lookup_server: LocalServer, path: str, media_type: str, origin: str
) -> None:
    assert post(lookup_server, path, **{"origin": origin, "content-type": media_type}) == 403


def test_a_simple_post_of_the_same_or_a_listed_origin_or_of_no_browser_is_read(
    lookup_server: LocalServer, open_server: LocalServer
) -> None:
    simple = {"content-type": "text/plain"}

    assert post(lookup_server, **simple) == 400  # read, and without inputs
    assert post(lookup_server, origin=f"http://{lookup_server.http}", **simple) == 400
    assert (
        post(lookup_server, origin=APP, **{"content-type": "application/json"}) == 400
    )  # no browser: it would ask first
    assert post(open_server, origin=APP, **simple) == 400


def test_a_preflight_of_a_listed_origin_is_allowed(open_server: LocalServer) -> None:
    status, headers = send_request(open_server, "OPTIONS", origin=APP, **PREFLIGHT)

    assert status == 200
    assert headers["access-control-allow-origin"] == APP
    assert headers["access-control-allow-methods"] == "GET, HEAD, POST"
    assert headers["access-control-allow-headers"] == "content-type,authorization"
    assert headers["vary"] == "origin"


def test_a_listed_origin_can_read_responses_and_errors(open_server: LocalServer) -> None:
    status, headers = send_request(open_server, "GET", origin="http://localhost:3000")

    assert status == 405
    assert headers["access-control-allow-origin"] == "http://localhost:3000"
    assert "retry-after" in headers["access-control-expose-headers"]


@pytest.mark.parametrize(
    "origin", ["https://evil.example.com", f"{APP}.evil.com", "null", APP.replace("https", "http")]
)
def test_another_origin_is_refused(open_server: LocalServer, origin: str) -> None:
    status, headers = send_request(open_server, "OPTIONS", origin=origin, **PREFLIGHT)

    assert (status, headers["access-control-allow-origin"]) == (403, None)
    assert send_request(open_server, "GET", origin=origin)[1]["access-control-allow-origin"] is None


def test_an_asterisk_allows_every_origin(lookup: Path) -> None:
    with LocalServer(lookup, "--name", "lookup", "--cors-origin", "*") as server:
        assert (
            send_request(server, "GET", origin="https://any.where")[1]["access-control-allow-origin"]
            == "https://any.where"
        )


@pytest.mark.parametrize(
    "origin", ["app.example.com", "https://a.com/path", "https://a.com, https://b.com", "https://"]
)
def test_an_invalid_origin_is_named(lookup: Path, origin: str) -> None:
    server = LocalServer(lookup, "--cors-origin", origin)

    assert server.wait() == 2
    with pytest.raises(RuntimeError, match="is not an origin; write for example"):
        server.wait_for("ready")
