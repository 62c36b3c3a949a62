"""The API server as the reader sees it, on loopback: tokens, rights and objects that a test sets.

A real one runs in e2e/test_reader_gives_what_rights_give.py; here rights change in the middle of a test, and reviews are counted.
"""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

TOKEN_REVIEWS = "/apis/authentication.k8s.io/v1/tokenreviews"
ACCESS_REVIEWS = "/apis/authorization.k8s.io/v1/subjectaccessreviews"
BASE = "/apis/flywheel.ml/v1alpha1/namespaces/"

Right = tuple[str, str, str, str]  # verb, resource, namespace, name; "*" for any


@dataclass
class ClusterDouble:
    """What the API server knows. `tokens` leads from a token to (user, audience), with "" for the API server's own."""

    tokens: dict[str, tuple[str, str]] = field(default_factory=dict)
    rights: dict[str, set[Right]] = field(default_factory=dict)
    objects: dict[tuple[str, str, str], dict[str, Any]] = field(default_factory=dict)  # resource, namespace, name
    requests: list[tuple[str, str]] = field(default_factory=list)
    url: str = ""
    is_away: bool = False

    def token_review(self, spec: dict[str, Any]) -> dict[str, Any]:
        user, audience = self.tokens.get(spec["token"], ("", ""))
        wanted = spec.get("audiences") or [""]
        if not user or audience not in wanted:
            return {"authenticated": False, "error": "invalid bearer token"}
        return {"authenticated": True, "audiences": [audience], "user": {"username": user, "groups": ["team"]}}

    def access_review(self, spec: dict[str, Any]) -> dict[str, Any]:
        asked = spec["resourceAttributes"]
        wanted = (asked["verb"], asked["resource"], asked["namespace"], asked["name"])
        held = self.rights.get(spec["user"], set())
        return {"allowed": any(all(a in ("*", b) for a, b in zip(right, wanted, strict=True)) for right in held)}

    def find(self, path: str) -> dict[str, Any] | None:
        namespace, resource, *name = path.removeprefix(BASE).split("/")
        if name:
            return self.objects.get((resource, namespace, name[0]))
        found = [value for (kind, where, _), value in self.objects.items() if (kind, where) == (resource, namespace)]
        return {"items": found, "metadata": {}}


@contextmanager
def running() -> Iterator[ClusterDouble]:
    """The API server on a free port of loopback."""
    cluster = ClusterDouble()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            spec = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["spec"]
            review = cluster.token_review if self.path == TOKEN_REVIEWS else cluster.access_review
            self._send(201, {"status": review(spec)})

        def do_GET(self) -> None:
            found = cluster.find(urlsplit(self.path).path)
            self._send(404 if found is None else 200, found or {"kind": "Status"})

        def _send(self, code: int, value: dict[str, Any]) -> None:
            cluster.requests.append((self.command, self.path))
            body = json.dumps(value if not cluster.is_away else {}).encode()
            self.send_response(503 if cluster.is_away else code)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        cluster.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield cluster
        finally:
            server.shutdown()
