"""An API server on loopback that has some objects, and proxies a reader and a model server: both respond in the formats of their own."""

import hashlib
import json
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from kubernetes.client import Configuration

from flywheel.client.session import Options, open_session
from flywheel.client.workspace import Workspace
from flywheel.cluster.client import Client

READER = "/api/v1/namespaces/flywheel-system/services/http:flywheel-reader:8080/proxy"
OBJECTS = re.compile(r"/apis?/(?:[^/]+/)?[^/]+/namespaces/([^/]+)/([a-z]+)(?:/([^/]+))?")
TOKEN = re.compile(r"/api/v1/namespaces/([^/]+)/serviceaccounts/([^/]+)/token")
SERVICE = re.compile(r"/api/v1/namespaces/([^/]+)/services/http:([^/]+):8080/proxy(/.*)")
USER_TOKEN = "user-token"


@dataclass
class Reply:
    """What a route returns. A file is served with ranges."""

    body: Any = None
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    is_file: bool = False
    cut_at: int | None = None  # bytes after which the connection ends


@dataclass
class Call:
    """A request as it arrived."""

    method: str
    path: str
    query: list[tuple[str, str]]
    headers: Message
    body: Any


Route = Callable[[Call], Reply]


@dataclass
class LocalCluster:
    """What there is. `reader` and `servers` have a route or a reply by path; every call is recorded."""

    objects: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)
    reader: dict[str, Reply | Route] = field(default_factory=dict)
    servers: dict[str, Reply | Route] = field(default_factory=dict)
    api: dict[str, Reply | Route] = field(default_factory=dict)
    calls: list[Call] = field(default_factory=list)
    port: int = 0
    drops: list[str] = field(default_factory=list)  # ends of paths whose next request gets no response

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def workspace(self, *, token: str | None = USER_TOKEN, options: Options | None = None) -> Workspace:
        return Workspace(open_session(self.client(token), "shop", options or Options()))

    def client(self, token: str | None = USER_TOKEN) -> Client:
        settings = Configuration(host=self.url)
        settings.retries = False
        if token:
            settings.api_key = {"authorization": f"Bearer {token}"}
        return Client(settings, pauses=(0.01, 0.01))

    def add(self, plural: str, manifest: Mapping[str, Any]) -> None:
        self.objects[plural, manifest["metadata"]["name"]] = dict(manifest)

    def reply(self, call: Call) -> Reply:
        self.calls.append(call)
        if call.path in self.api:
            return _resolve(self.api, call.path, call)
        if call.path.startswith(READER):
            return _resolve(self.reader, unquote(call.path.removeprefix(READER)), call)
        if found := TOKEN.fullmatch(call.path):
            audience = call.body["spec"]["audiences"][0]
            return Reply({"status": {"token": f"{found[1]}/{found[2]} for {audience}"}}, 201)
        if found := SERVICE.fullmatch(call.path):
            return _resolve(self.servers, f"{found[2]}{found[3]}", call)
        return self._objects(call)

    def _objects(self, call: Call) -> Reply:
        found = OBJECTS.fullmatch(call.path)
        if found is None:
            return status(404, "NotFound", "the server could not find the requested resource")
        plural, name = found[2], found[3]
        if call.method == "POST":
            made = {
                **call.body,
                "metadata": {
                    **call.body["metadata"],
                    "name": call.body["metadata"].get("generateName", "") + "x7k2p",
                    "uid": "uid-1",
                },
            }
            self.add(plural, made)
            return Reply(made, 201)
        if call.method == "PATCH" and "merge" in call.headers["Content-Type"]:
            live = self.objects[plural, name]
            self.add(plural, {**live, "spec": {**live["spec"], **call.body["spec"]}})
            return Reply(live)
        if call.method in ("PATCH", "PUT"):
            self.add(plural, call.body)
            return Reply(call.body)
        if name is None:
            return Reply({"items": [each for (kind, _name), each in sorted(self.objects.items()) if kind == plural]})
        held = self.objects.get((plural, name))
        return Reply(held) if held is not None else status(404, "NotFound", f'{plural} "{name}" not found')


def status(code: int, reason: str, message: str) -> Reply:
    """An error of the API server."""
    return Reply({"kind": "Status", "code": code, "reason": reason, "message": message}, code)


def reader_error(code: int, reason: str, message: str, **known: Any) -> Reply:
    """An error of the reader."""
    return Reply({"error": {"reason": reason, "message": message}, **known}, code)


def artifact(files: Mapping[str, bytes]) -> tuple[str, list[dict[str, Any]]]:
    """The digest and the manifest's files of an artifact."""
    entries = [
        {"path": path, "sha256": hashlib.sha256(content).hexdigest(), "size": len(content)}
        for path, content in sorted(files.items())
    ]
    text = json.dumps({"files": entries, "v": 1}, sort_keys=True, separators=(",", ":"))
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}", entries


@contextmanager
def run_cluster() -> Iterator[LocalCluster]:
    """Serves a LocalCluster on loopback."""
    cluster = LocalCluster()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self) -> None:
            sent = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            parts = urlsplit(self.path)
            call = Call(self.command, parts.path, parse_qsl(parts.query), self.headers, _parse(self.headers, sent))
            dropped = next((each for each in cluster.drops if parts.path.endswith(each)), None)
            if dropped is not None:
                cluster.drops.remove(dropped)
                self.close_connection = True
                return
            _send(self, cluster.reply(call))

        do_GET = do_PATCH = do_POST = do_PUT = do_DELETE = answer

        def log_message(self, format: str, *args: object) -> None:
            """Quiet."""

    class Server(ThreadingHTTPServer):
        def handle_error(self, request: object, client_address: object) -> None:
            """Quiet: a client that does not read an error's body to its end closes its connection."""

    server = Server(("127.0.0.1", 0), Handler)
    cluster.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield cluster
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _parse(headers: Message, sent: bytes) -> Any:
    if not sent:
        return None
    return json.loads(sent) if "json" in headers["Content-Type"] or "yaml" in headers["Content-Type"] else sent


def _resolve(routes: Mapping[str, Reply | Route], path: str, call: Call) -> Reply:
    found = routes.get(path)
    if found is None:
        return reader_error(403, "Forbidden", "you may not read this, or it does not exist")
    return found if isinstance(found, Reply) else found(call)


def _send(handler: BaseHTTPRequestHandler, reply: Reply) -> None:
    body = reply.body if isinstance(reply.body, bytes) else json.dumps(reply.body).encode()
    code, headers = reply.status, dict(reply.headers)
    wanted = re.fullmatch(r"bytes=(\d+)-", handler.headers.get("Range", ""))
    if reply.is_file and wanted:
        code = 206
        headers["Content-Range"] = f"bytes {wanted[1]}-{len(body) - 1}/{len(body)}"
        body = body[int(wanted[1]) :]
    handler.send_response(code)
    for name, value in headers.items():
        handler.send_header(name, value)
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body if reply.cut_at is None else body[: reply.cut_at])
    if reply.cut_at is not None:
        handler.close_connection = True
