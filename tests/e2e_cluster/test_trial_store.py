"""The client of the trial store waits for a store that restarts, and takes the response of nothing else for the store's."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest
from botocore.exceptions import ClientError

from e2e import kube

pytestmark = pytest.mark.integration
EMPTY_LIST = (
    b'<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><KeyCount>0</KeyCount></ListBucketResult>'
)
NO_BUCKET = b"<Error><Code>NoSuchBucket</Code><Message>no such bucket</Message></Error>"


@contextmanager
def store(
    *responses: tuple[int, bytes], address: tuple[str, int] = ("127.0.0.1", 0)
) -> Iterator[tuple[Any, list[str]]]:
    """A client of a server with these responses, one for each request, and the methods of the requests so far."""
    pending, methods = list(responses), []

    class Handler(BaseHTTPRequestHandler):
        def respond(self) -> None:
            methods.append(self.command)
            status, body = pending.pop(0)
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        do_GET = do_HEAD = respond

        def log_message(self, *_: Any) -> None:
            """Nothing: the methods are the log."""

    with HTTPServer(address, Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield kube.patient_s3_client(f"http://127.0.0.1:{server.server_port}", "id", "key", "us-east-1"), methods
        finally:
            server.shutdown()
            thread.join()


def list_folder(client: Any) -> int:
    return int(client.list_objects_v2(Bucket="flywheel", Prefix="story-x/")["KeyCount"])


@pytest.mark.parametrize("away", [(404, b"Not Found"), (404, b""), (503, b"<Error><Code>SlowDown</Code></Error>")])
def test_a_response_that_is_not_the_stores_is_waited_out(away: tuple[int, bytes]) -> None:
    with store(away, (200, EMPTY_LIST)) as (client, methods):
        assert list_folder(client) == 0

    assert methods == ["GET", "GET"]


def test_a_port_that_refuses_connections_is_waited_out() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = probe.getsockname()
    client = kube.patient_s3_client(f"http://127.0.0.1:{address[1]}", "id", "key", "us-east-1")
    refused = threading.Event()
    client.meta.events.register("needs-retry.s3", lambda **_: refused.set())
    found: list[int] = []
    thread = threading.Thread(target=lambda: found.append(list_folder(client)))
    thread.start()
    assert refused.wait(10)

    with store((200, EMPTY_LIST), address=address) as (_, methods):
        thread.join(10)

    assert (found, methods) == ([0], ["GET"])


def test_what_the_store_itself_says_is_not_tried_again() -> None:
    with store((404, NO_BUCKET), (404, b"")) as (client, methods):
        with pytest.raises(ClientError, match="NoSuchBucket"):
            list_folder(client)
        with pytest.raises(ClientError, match="404"):
            client.head_object(Bucket="flywheel", Key="none")

    assert methods == ["GET", "HEAD"]


def test_after_its_patience_the_last_response_is_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kube, "STORE_PATIENCE_SECONDS", 1)

    with store(*[(404, b"")] * 2) as (client, methods), pytest.raises(ClientError, match=r"\(404\)"):
        list_folder(client)

    assert methods == ["GET", "GET"]
