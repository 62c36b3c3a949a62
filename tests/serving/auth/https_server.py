"""An HTTPS server on loopback with responses that a test sets, which can be stopped and restarted."""

import contextlib
import json
import socket
import ssl
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from e2e.tokens import certificate

# (method, path, JSON body or None, headers) to (status, JSON)
Answers = Callable[[str, str, Any, dict[str, str]], tuple[int, Any]]


class HttpsServer:
    """`with HttpsServer(folder, answers) as server:`; its certificate, which is its own authority, is `folder`/ca.crt."""

    def __init__(self, folder: Path, answers: Answers) -> None:
        self.answers = answers
        self.fetches: list[str] = []
        self._open: set[socket.socket] = set()
        self.authority, key = certificate("127.0.0.1")
        self.ca = folder / "ca.crt"
        self.ca.write_bytes(self.authority)
        self._key = folder / "tls.key"
        self._key.write_bytes(key)
        self._server = self._listening(0)
        self.port: int = self._server.server_address[1]
        self.url = f"https://127.0.0.1:{self.port}"

    def down(self) -> None:
        """Stops listening, and closes open connections."""
        self._server.shutdown()
        self._server.server_close()
        for connection in self._open.copy():
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def up(self) -> None:
        """Listens again on the same port."""
        self._server = self._listening(self.port)

    def _listening(self, port: int) -> ThreadingHTTPServer:
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"  # connections stay open

            def setup(self) -> None:
                super().setup()
                outer._open.add(self.connection)

            def finish(self) -> None:
                outer._open.discard(self.connection)
                super().finish()

            def do_GET(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length") or 0))
                outer.fetches.append(self.path)
                headers = {name.lower(): value for name, value in self.headers.items()}
                status, value = outer.answers(self.command, self.path, json.loads(body) if body else None, headers)
                content = value if isinstance(value, bytes) else json.dumps(value).encode()
                self.send_response(status)
                self.send_header("content-length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            do_POST = do_GET

            def log_message(self, *_: Any) -> None:
                pass

        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.ca, self._key)
        server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        server.daemon_threads = True
        server.handle_error = lambda *_: None  # type: ignore[method-assign]  # a client that goes is no news
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        return server

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.down()
