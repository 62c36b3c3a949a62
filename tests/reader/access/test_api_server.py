"""The reader's connections to the API server, which closes those that are idle."""

import http.client
import ssl
from pathlib import Path
from typing import Any

import pytest

from flywheel_reader.access.api_server import ApiServer

CLOSED = [
    http.client.RemoteDisconnected("closed"),
    ConnectionResetError("closed"),
    ssl.SSLEOFError(8, "EOF occurred in violation of protocol"),
    ssl.SSLZeroReturnError(6, "TLS/SSL connection has been closed"),
]


class IdleConnection(http.client.HTTPConnection):
    """A connection that fails when it is used."""

    def __init__(self, error: Exception) -> None:
        super().__init__("127.0.0.1")
        self.error = error

    def request(self, *_arguments: Any, **_options: Any) -> None:
        raise self.error


class ServerOfTwoConnections(ApiServer):
    """An API server that can be reached over a second connection; `connected` counts them."""

    connected = 0

    def _connect(self) -> http.client.HTTPConnection:
        self.connected += 1
        return IdleConnection(http.client.HTTPException("the second connection was used"))


def send_over(error: Exception, folder: Path) -> ServerOfTwoConnections:
    """Sends a request over a connection that raises the error; the second one raises another."""
    (folder / "token").write_text("t")
    server = ServerOfTwoConnections("https://127.0.0.1:1", folder)
    server._local.connection = IdleConnection(error)
    with pytest.raises((http.client.HTTPException, type(error))):
        server._exchange("GET", "/version", None, "application/json")
    return server


@pytest.mark.parametrize("error", CLOSED, ids=lambda error: type(error).__name__)
def test_a_request_over_a_connection_that_was_closed_is_sent_over_another(error: Exception, tmp_path: Path) -> None:
    assert send_over(error, tmp_path).connected == 1


def test_a_request_without_a_response_in_time_is_not_sent_again(tmp_path: Path) -> None:
    assert send_over(TimeoutError("no response"), tmp_path).connected == 0
