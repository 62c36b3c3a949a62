"""The log of main: read from a server that speaks as the API server does, masked, bounded and compressed."""

import base64
import gzip
import json
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from random import Random
from typing import Any

import pytest

from flywheel_runtime.commands.collect import main_log
from flywheel_runtime.commands.collect.main_log import find_likely, last_lines, mask_text, masked_texts, store_log
from flywheel_runtime.contract.errors import LogUnavailable

Respond = Callable[[BaseHTTPRequestHandler], None]
SECRET = 's3cr3t/värd "x"'


class Handler(BaseHTTPRequestHandler):
    """Responds as `respond` says, and notes each request."""

    respond: Respond
    seen: list[tuple[str, str | None]]

    def do_GET(self) -> None:
        self.seen.append((self.path, self.headers.get("Authorization")))
        type(self).respond(self)

    def log_message(self, format: str, *args: object) -> None:
        return


def send(handler: BaseHTTPRequestHandler, body: bytes, status: int = 200) -> None:
    handler.send_response(status)
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body)


def refusal(status: int, message: str) -> Respond:
    return lambda handler: send(handler, json.dumps({"kind": "Status", "message": message}).encode(), status)


class ApiServer:
    """A server on loopback, and the environment of a collect that asks it."""

    def __init__(self, folder: Path) -> None:
        self.handler: Any = type("Own", (Handler,), {"seen": []})
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), self.handler)
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()
        (folder / "token").write_text("t0k3n\n")
        self.file = folder / "main.log.gz"
        self.env = {
            "FLYWHEEL_API_SERVER": f"http://127.0.0.1:{self.server.server_address[1]}",
            "FLYWHEEL_API_CREDENTIALS": str(folder),
            "FLYWHEEL_NAMESPACE": "shop",
            "FLYWHEEL_POD": "delays-trial-1-abcde",
            "FLYWHEEL_BUCKET": "flywheel",
            "AWS_ACCESS_KEY_ID": "id",
            "AWS_SECRET_ACCESS_KEY": "the-key-of-the-store",
            "FLYWHEEL_MASK_0": SECRET,
            "FLYWHEEL_MASK_1": "",
        }

    def log(self, respond: Respond | bytes, **env: str) -> bytes:
        own = (lambda handler: send(handler, respond)) if isinstance(respond, bytes) else respond
        self.handler.respond = staticmethod(own)
        store_log(self.file, {**self.env, **env}, ["FLYWHEEL_MASK_0", "FLYWHEEL_MASK_1"])
        return gzip.decompress(self.file.read_bytes())

    @property
    def seen(self) -> list[Any]:
        return list(self.handler.seen)


@pytest.fixture
def api_server(tmp_path: Path) -> Iterator[ApiServer]:
    server = ApiServer(tmp_path)
    yield server
    server.server.shutdown()
    server.server.server_close()


def test_the_log_of_main_is_stored(api_server: ApiServer) -> None:
    assert api_server.log(b"epoch 1\nepoch 2\n") == b"epoch 1\nepoch 2\n"
    assert api_server.seen == [("/api/v1/namespaces/shop/pods/delays-trial-1-abcde/log?container=main", "Bearer t0k3n")]


def test_values_of_secrets_are_masked(api_server: ApiServer) -> None:
    printed = "\n".join(
        [
            f"token={SECRET}",
            base64.b64encode(SECRET.encode()).decode(),
            json.dumps({"token": SECRET}),
            "https://user:s3cr3t%2Fv%C3%A4rd%20%22x%22@host/",
            "the-key-of-the-store",
        ]
    )

    stored = api_server.log(printed.encode()).decode()

    assert stored == 'token=***\n***\n{"token": "***"}\nhttps://user:***@host/\n***'


def test_each_line_of_a_secret_is_masked_and_short_values_are_not(api_server: ApiServer) -> None:
    key = "-----BEGIN KEY-----\nMIIEvQIBADANBg\n-----END KEY-----\n"

    stored = api_server.log(b"MIIEvQIBADANBg 1 2 3", FLYWHEEL_MASK_0=key, FLYWHEEL_MASK_1="1")

    assert stored == b"*** 1 2 3"


def test_of_a_long_log_the_last_lines_are_stored_and_it_says_so(
    api_server: ApiServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(main_log, "MAX_LOG_BYTES", 1000)
    monkeypatch.setattr(main_log, "MASK_MARGIN_BYTES", 100)
    log = b"".join(b"line %05d\n" % number for number in range(300_000))

    stored = api_server.log(log)

    heading, _, rest = stored.partition(b"\n")
    assert log.endswith(b"\n" + rest)
    assert len(rest) <= 1000
    assert heading == b"[flywheel: the first %d bytes of this log are missing]" % (len(log) - len(rest))


def test_a_secret_at_the_limit_is_masked_before_the_log_is_cut(
    api_server: ApiServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(main_log, "MAX_LOG_BYTES", 30)

    stored = api_server.log(b"x" * 100 + SECRET.encode() + b"y" * 20)

    assert b"rd" not in stored.partition(b"\n")[2]


@pytest.mark.parametrize(
    ("text", "limit", "end"),
    [
        pytest.param(b"a\nb\nc\n", 6, b"a\nb\nc\n", id="all of it"),
        pytest.param(b"aaa\nb\nc\n", 5, b"b\nc\n", id="whole lines"),
        pytest.param(b"aaa\nb\nc\n", 4, b"b\nc\n", id="a cut at a line's end"),
        pytest.param(b"aaaaaaaa", 3, b"aaa", id="a line that is too long"),
    ],
)
def test_a_log_is_cut_at_a_line(text: bytes, limit: int, end: bytes) -> None:
    assert last_lines(text, limit) == (end, len(text) - len(end))


def test_a_main_that_the_api_server_does_not_know_yet_is_asked_for_again(api_server: ApiServer) -> None:
    def respond(handler: BaseHTTPRequestHandler) -> None:
        waiting = 'container "main" in pod "x" is waiting to start: PodInitializing'
        (refusal(400, waiting) if len(api_server.seen) < 3 else lambda found: send(found, b"done\n"))(handler)

    assert api_server.log(respond) == b"done\n"


@pytest.mark.parametrize(
    ("respond", "message"),
    [
        pytest.param(refusal(403, "pods is forbidden"), "bind ClusterRole flywheel-runner-logs", id="no right"),
        pytest.param(refusal(404, "not found"), "responded 404", id="a pod that is gone"),
        pytest.param(lambda handler: send(handler, b"<html>", 502), "responded 502", id="no JSON"),
        pytest.param(lambda handler: handler.connection.close(), "did not respond", id="a lost connection"),
    ],
)
def test_a_log_that_cannot_be_read_is_a_sentence(api_server: ApiServer, respond: Respond, message: str) -> None:
    with pytest.raises(LogUnavailable, match=message):
        api_server.log(respond)
    assert not api_server.file.exists()


def test_a_slow_api_server_costs_a_bounded_time(api_server: ApiServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(main_log, "TOTAL_SECONDS", 0.5)
    started = time.monotonic()

    with pytest.raises(LogUnavailable, match=r"longer than 0\.5 s|timed out"):
        api_server.log(lambda _handler: time.sleep(2))

    assert time.monotonic() - started < 1.9


def test_a_pod_without_a_token_says_so(api_server: ApiServer, tmp_path: Path) -> None:
    with pytest.raises(LogUnavailable, match="no token"):
        api_server.log(b"", FLYWHEEL_API_CREDENTIALS=str(tmp_path / "none"))


def test_longer_values_are_masked_before_those_that_they_contain() -> None:
    assert mask_text(b"abcdefgh abcd", masked_texts(["abcd", "abcdefgh"])) == b"*** ***"


def test_a_log_is_not_stored_if_a_secret_of_main_is_unknown(api_server: ApiServer) -> None:
    del api_server.env["FLYWHEEL_MASK_1"]

    with pytest.raises(LogUnavailable, match="1 of 2 values of Secrets that main has could not be masked"):
        api_server.log(b"the late secret\n")
    assert api_server.seen == []
    assert not api_server.file.exists()


def test_secrets_of_too_many_lines_leave_no_log(api_server: ApiServer) -> None:
    lines = "\n".join(f"line-{number:06}" for number in range(main_log.MAX_MASKED_TEXTS))

    with pytest.raises(LogUnavailable, match="too many lines to mask"):
        api_server.log(b"epoch 1\n", FLYWHEEL_MASK_0=lines)
    assert not api_server.file.exists()


@pytest.mark.parametrize("length", [0, 3, 8, 9, 2000])
def test_many_secrets_are_masked_as_few_are(length: int) -> None:
    """Beyond a number they are first looked for all at once, of which those remain that may occur."""
    random = Random(length)
    texts = [bytes(random.choices(b"abcdefgh", k=random.randint(4, 12))) for _ in range(300)]
    masked = sorted(texts, key=lambda text: (-len(text), text))
    log = bytes(random.choices(b"abcdefgh", k=length))
    for text in random.sample(texts, 20 if length > 9 else 0):
        place = random.randint(0, len(log))
        log = log[:place] + text + log[place:]

    expected = log
    for text in masked:
        expected = expected.replace(text, b"***")

    assert mask_text(log, masked) == expected
    assert len(find_likely(log, masked)) < len(masked)


def test_masking_counts_into_the_time(api_server: ApiServer, monkeypatch: pytest.MonkeyPatch) -> None:
    def masked(_values: object) -> list[bytes]:
        time.sleep(1)
        return [b"line-1"]

    monkeypatch.setattr(main_log, "TOTAL_SECONDS", 0.5)
    monkeypatch.setattr(main_log, "masked_texts", masked)

    with pytest.raises(LogUnavailable, match=r"longer than 0\.5 s to read the log and to mask"):
        api_server.log(b"epoch 1\n")
    assert not api_server.file.exists()


def test_masking_ends_at_its_deadline() -> None:
    with pytest.raises(TimeoutError):
        mask_text(b"abcd", [b"abcd"], time.monotonic() - 1)
