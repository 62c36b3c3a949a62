"""An HTTP server on loopback that records each request and responds as a test says."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass(frozen=True)
class Response:
    """What the server sends back."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Recorded:
    """A request as it came: `target` is what its first line names."""

    method: str
    target: str
    headers: Message
    body: bytes


@dataclass
class Recorder:
    """`responses` are sent in turn, and the last one again and again."""

    responses: list[Response] = field(default_factory=lambda: [Response()])
    requests: list[Recorded] = field(default_factory=list)
    endpoint: str = ""
    connections: int = 0


@contextmanager
def recording(*responses: Response) -> Iterator[Recorder]:
    """A server that responds so."""
    recorder = Recorder(list(responses) or [Response()])

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def setup(self) -> None:
            super().setup()
            recorder.connections += 1

        def respond(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            recorder.requests.append(Recorded(self.command, self.path, self.headers, body))
            response = recorder.responses[0] if len(recorder.responses) == 1 else recorder.responses.pop(0)
            self.send_response(response.status)
            for name, value in {"Content-Length": str(len(response.body)), **response.headers}.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(response.body)

        do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = respond

        def log_message(self, format: str, *args: object) -> None:
            """Nothing is logged."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        recorder.endpoint = f"http://127.0.0.1:{server.server_port}"
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        try:
            yield recorder
        finally:
            server.shutdown()
