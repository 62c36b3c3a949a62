"""A webhook is told, three times if need be; a URL that is a secret is in no message."""

import json
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from flywheel_runtime.commands import notify

SECRET = "T0K3N"
BODY = {"run": "monthly-7", "pipeline": "monthly", "outcome": "Succeeded", "words": "für alle"}


@dataclass
class Hook:
    """A webhook on loopback: what it answers in turn (the last one again and again), and what it was sent."""

    port: int = 0
    answers: list[int] = field(default_factory=lambda: [200])
    headers: dict[str, str] = field(default_factory=dict)
    dribbles: bool = False
    got: list[tuple[str, dict[str, str], Any]] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://localhost:{self.port}/hooks/{SECRET}?key={SECRET}"


@pytest.fixture
def hook() -> Iterator[Hook]:
    site = Hook()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            site.got.append((self.path, dict(self.headers), body))
            if site.dribbles:
                self.dribble()
                return
            self.send_response(site.answers.pop(0) if len(site.answers) > 1 else site.answers[0])
            for name, value in site.headers.items():
                self.send_header(name, value)
            self.end_headers()

        def dribble(self) -> None:
            try:
                for _ in range(200):
                    self.wfile.write(b"HTTP/1.1"[:1])
                    self.wfile.flush()
                    time.sleep(0.05)
            except OSError:
                pass

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        http.daemon_threads = True
        site.port = http.server_address[1]
        threading.Thread(target=http.serve_forever, args=(0.01,), daemon=True).start()
        yield site
        http.shutdown()


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notify, "RETRY_PAUSES_SECONDS", (0.0, 0.0))
    monkeypatch.setattr(notify, "TIMEOUT_SECONDS", 1.0)


@pytest.fixture
def told(run_step: Any) -> Any:
    def run(url: str | None, **params: Any) -> Any:
        given = {"body": BODY, "allowedHosts": ["localhost"]} | ({"url": url} if url else {})
        return run_step(notify, {}, **(given | params))

    return run


def test_the_body_arrives(told: Any, hook: Hook, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLYWHEEL_UID", "u-1")
    monkeypatch.setenv("FLYWHEEL_STEP", "tell")

    result = told(hook.url)

    path, headers, body = hook.got[0]
    assert (result.code, len(hook.got)) == (0, 1)
    assert (path, body) == (f"/hooks/{SECRET}?key={SECRET}", BODY)
    assert headers["Content-Type"] == "application/json"
    assert headers["Idempotency-Key"] == "u-1-tell"
    assert headers["Host"] == f"localhost:{hook.port}"
    assert result.output("metrics.json") == {}


def test_a_secret_url_goes_before_the_one_in_the_params(told: Any, hook: Hook, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOTIFY_URL", hook.url + "\n")

    assert told("https://example.org/").code == 0
    assert len(hook.got) == 1


def test_trouble_goes_away(told: Any, hook: Hook) -> None:
    hook.answers = [503, 429, 204]

    assert told(hook.url).code == 0
    assert len(hook.got) == 3
    assert len({headers.get("Idempotency-Key") for _, headers, _ in hook.got}) == 1


def test_trouble_stays(told: Any, hook: Hook, capsys: pytest.CaptureFixture[str]) -> None:
    hook.answers = [500]

    result = told(hook.url)

    assert (result.code, result.failure["reason"], len(hook.got)) == (1, "NotifyFailed", 3)
    assert "'localhost'" in result.failure["message"]
    nothing_leaks(result, capsys)


@pytest.mark.parametrize("status", [302, 307, 400, 401, 404])
def test_a_refusal_is_final(told: Any, hook: Hook, status: int, capsys: pytest.CaptureFixture[str]) -> None:
    hook.answers, hook.headers = [status], {"Location": hook.url}

    result = told(hook.url)

    assert (result.code, result.failure["reason"], len(hook.got)) == (2, "NotifyRefused", 1)
    assert str(status) in result.failure["message"]
    nothing_leaks(result, capsys)


def test_nobody_is_there(told: Any, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        result = told(f"http://localhost:{taken.getsockname()[1]}/{SECRET}")

    assert (result.code, result.failure["reason"]) == (1, "NotifyFailed")
    nothing_leaks(result, capsys)


def test_a_host_that_dribbles_is_not_waited_for(
    told: Any, hook: Hook, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    hook.dribbles = True
    monkeypatch.setattr(notify, "TIMEOUT_SECONDS", 0.3)

    result = told(hook.url)

    assert (result.code, result.failure["reason"], len(hook.got)) == (1, "NotifyFailed", 3)
    assert "no answer within 0.3 s" in result.failure["message"]
    nothing_leaks(result, capsys)


@pytest.mark.parametrize(
    ("url", "allowed", "reason"),
    [
        pytest.param("http://localhost:{port}/" + SECRET, [], "HostNotAllowed", id="no host is allowed"),
        pytest.param("http://localhost:{port}/" + SECRET, ["example.org"], "HostNotAllowed", id="another host"),
        pytest.param("http://localhost:{port}/" + SECRET, ["*.local", "*"], "HostNotAllowed", id="any host is none"),
        pytest.param(
            f"http://169.254.169.254/{SECRET}", ["169.254.169.254"], "HostNotAllowed", id="a cloud's credentials"
        ),
        pytest.param(f"ftp://localhost/{SECRET}", ["localhost"], "UrlInvalid", id="another scheme"),
        pytest.param(f"http://user:{SECRET}@localhost/", ["localhost"], "UrlInvalid", id="a password in it"),
        pytest.param(f"http://localhost:{SECRET}/", ["localhost"], "UrlInvalid", id="a port in words"),
        pytest.param(f"http://localhost/{SECRET} /x", ["localhost"], "UrlInvalid", id="a space"),
        pytest.param(f"http://localhost/{SECRET}\r\nX: y", ["localhost"], "UrlInvalid", id="a header in it"),
        pytest.param(f"http://localhost/{SECRET}é", ["localhost"], "UrlInvalid", id="a letter that is not ASCII"),
        pytest.param(f"http://[{SECRET}/", ["localhost"], "UrlInvalid", id="half an address"),
        pytest.param("", ["localhost"], "UrlInvalid", id="nothing"),
    ],
)
def test_a_url_that_may_not_be(
    told: Any, hook: Hook, url: str, allowed: list[str], reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    result = told(url.replace("{port}", str(hook.port)), allowedHosts=allowed)

    assert (result.code, result.failure["reason"], hook.got) == (2, reason, [])
    nothing_leaks(result, capsys)


@pytest.mark.parametrize(
    ("params", "reason"),
    [
        pytest.param({"body": {"words": "x" * 64_000}}, "BodyTooLarge", id="too much to say"),
        pytest.param({"body": "words"}, "ParamsInvalid", id="no object"),
        pytest.param({"allowedHosts": "localhost"}, "ParamsInvalid", id="no list of hosts"),
    ],
)
def test_a_letter_that_cannot_be(told: Any, hook: Hook, params: dict[str, Any], reason: str) -> None:
    result = told(hook.url, **params)

    assert (result.code, result.failure["reason"], hook.got) == (2, reason, [])


def nothing_leaks(result: Any, capsys: pytest.CaptureFixture[str]) -> None:
    said = capsys.readouterr()
    assert SECRET not in json.dumps(result.failure) + said.out + said.err
