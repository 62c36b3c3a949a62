"""Requests to the cluster's API server, with the credentials of the reader's ServiceAccount."""

import asyncio
import http.client
import os
import ssl
import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import orjson

from flywheel_reader.errors import ApiServerUnreachable

CREDENTIALS = Path("/var/run/secrets/kubernetes.io/serviceaccount")
MAX_CONNECTIONS = 8
TIMEOUT_SECONDS = 10
MAX_RESPONSE_BYTES = 32 << 20
# What a connection raises that the API server closed while it was idle; the last two with TLS.
STALE = (
    http.client.RemoteDisconnected,
    BrokenPipeError,
    ConnectionResetError,
    http.client.CannotSendRequest,
    ssl.SSLEOFError,
    ssl.SSLZeroReturnError,
)


class ApiServer:
    """A client with one connection for each of its threads. The token is read for each request, since it is renewed."""

    def __init__(self, url: str, credentials: Path = CREDENTIALS) -> None:
        parts = urlsplit(url)
        self._https, self._host, self._port = parts.scheme == "https", parts.hostname or "", parts.port
        self._credentials = credentials
        self._pool = ThreadPoolExecutor(MAX_CONNECTIONS, "api-server")
        self._local = threading.local()

    async def request(
        self, method: str, path: str, body: Mapping[str, Any] | None = None, accept: str = "application/json"
    ) -> tuple[int, dict[str, Any]]:
        """The status and the JSON object of the response. Raises ApiServerUnreachable."""
        content = None if body is None else orjson.dumps(body)
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(self._pool, self._exchange, method, path, content, accept)
        except (OSError, http.client.HTTPException, ValueError) as error:
            message = f"the API server does not respond ({type(error).__name__}: {error}); retry in a few seconds"
            raise ApiServerUnreachable(message[:500]) from error

    def close(self) -> None:
        """Ends the threads."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _exchange(self, method: str, path: str, body: bytes | None, accept: str) -> tuple[int, dict[str, Any]]:
        connection = getattr(self._local, "connection", None)
        if connection is not None:
            try:
                return self._send(connection, method, path, body, accept)
            except STALE:  # the API server closed the idle connection
                connection.close()
        self._local.connection = None
        connection = self._connect()
        found = self._send(connection, method, path, body, accept)
        self._local.connection = connection
        return found

    def _connect(self) -> http.client.HTTPConnection:
        if not self._https:
            return http.client.HTTPConnection(self._host, self._port, timeout=TIMEOUT_SECONDS)
        context = ssl.create_default_context(cafile=str(self._credentials / "ca.crt"))
        return http.client.HTTPSConnection(self._host, self._port, timeout=TIMEOUT_SECONDS, context=context)

    def _send(
        self, connection: http.client.HTTPConnection, method: str, path: str, body: bytes | None, accept: str
    ) -> tuple[int, dict[str, Any]]:
        token = (self._credentials / "token").read_text().strip()
        headers = {"Authorization": f"Bearer {token}", "Accept": accept, "Content-Type": "application/json"}
        try:
            connection.request(method, path, body, headers)
            response = connection.getresponse()
            content = response.read(MAX_RESPONSE_BYTES + 1)
        except BaseException:
            connection.close()
            raise
        if len(content) > MAX_RESPONSE_BYTES:
            connection.close()
            raise ValueError(f"the response on {path} has more than {MAX_RESPONSE_BYTES:,} bytes")
        value = orjson.loads(content) if content else {}
        return response.status, value if isinstance(value, dict) else {}


def api_server_url(environment: Mapping[str, str] = os.environ) -> str:
    """The URL of the API server as pods see it. Raises ValueError outside of a pod."""
    host, port = environment.get("KUBERNETES_SERVICE_HOST"), environment.get("KUBERNETES_SERVICE_PORT", "443")
    if not host:
        raise ValueError("KUBERNETES_SERVICE_HOST is not set, so this is no pod; give --api-server")
    return f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}"
