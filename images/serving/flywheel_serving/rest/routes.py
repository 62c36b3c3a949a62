"""Paths of the protocol's REST form, answered from the dataplane.

One server has one model, so every path is known at the start: finding a route is one look into a dictionary.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote_to_bytes

import orjson

from flywheel_serving import metrics
from flywheel_serving.admission import HELD_SECONDS
from flywheel_serving.dataplane import DataPlane, InferResponse
from flywheel_serving.errors import (
    InvalidRequest,
    Late,
    ModelFailed,
    NotFound,
    Overloaded,
    RequestError,
    TooLarge,
    TooMany,
    Unsupported,
)
from flywheel_serving.http.message import Reply, Request, Response, error
from flywheel_serving.metrics import Answers
from flywheel_serving.rest import codec, openapi, page, repository
from flywheel_serving.rest.forms import Forms

if TYPE_CHECKING:
    from flywheel_serving.auth.gate import Gate
    from flywheel_serving.auth.rest import RestGuard

Handler = Callable[[Request, Reply], None]
STATUS = {
    InvalidRequest: 400,
    NotFound: 404,
    TooLarge: 413,
    Unsupported: 415,
    TooMany: 429,
    ModelFailed: 500,
    Overloaded: 503,
    Late: 504,
}
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"})
LENGTH_HEADER = b"inference-header-content-length"
# Milliseconds that the client still waits, as Envoy and meshes built on it tell it to those behind them.
TIMEOUT_HEADER = b"x-envoy-expected-rq-timeout-ms"
NO_ROUTE = "(no route)"

log = logging.getLogger(__name__)


class Routes:
    """The application of `http`: a request in, a response out."""

    def __init__(self, dataplane: DataPlane, gate: "Gate | None" = None) -> None:
        self._dataplane = dataplane
        self._metrics = dataplane.metrics
        self._description: bytes | None = None
        self._forms = Forms()
        self._guard = _guard(gate)
        self._routes: dict[bytes, tuple[str, str, Handler]] = {}  # path: method, pattern for metrics, handler
        self._add("GET", "/", "/", self._page)
        self._add("GET", "/metrics", "/metrics", self._exposition)
        self._add("GET", "/v2", "/v2", self._json(dataplane.server_metadata))
        self._add("GET", "/v2/health/live", "/v2/health/live", self._json(lambda: {"live": True}))
        self._add("GET", "/v2/health/ready", "/v2/health/ready", self._ready)
        self._add("GET", "/v2/models", "/v2/models", self._json(lambda: {"models": [dataplane.name]}))
        self._add("GET", "/v2/models/stats", "/v2/models/stats", self._json(dataplane.statistics))
        self._add("POST", "/v2/repository/index", "/v2/repository/index", self._index)
        self._add("GET", "/openapi.json", "/openapi.json", self._openapi)
        model, version = quote(dataplane.name, safe=""), quote(dataplane.version, safe="")
        for path, pattern in (
            (f"/v2/models/{model}", "/v2/models/{model}"),
            (f"/v2/models/{model}/versions/{version}", "/v2/models/{model}/versions/{version}"),
        ):
            self._add("GET", path, pattern, self._json(dataplane.model_metadata))
            self._add("GET", f"{path}/ready", f"{pattern}/ready", self._ready)
            self._add("GET", f"{path}/stats", f"{pattern}/stats", self._json(dataplane.statistics))
            self._add("GET", f"{path}/openapi.json", f"{pattern}/openapi.json", self._openapi)
            self._add("POST", f"{path}/infer", f"{pattern}/infer", partial(self._infer, pinned="versions" in pattern))
        self._add("GET", f"/v2/models/{model}/shadow", "/v2/models/{model}/shadow", self._json(self._shadow))

    def _add(self, method: str, path: str, pattern: str, handler: Handler) -> None:
        self._routes[unquote_to_bytes(path)] = (method, pattern, handler)

    def __call__(self, request: Request, reply: Reply) -> None:
        start = time.perf_counter()
        found = request.findings.get("route")
        if found is None:
            found = request.findings["route"] = self._find(request)
        pattern, handler, answers = found
        metrics = self._metrics
        metrics.rest_in_progress += 1

        def counted(response: Response) -> None:
            metrics.rest_in_progress -= 1
            answers.count(response.status, time.perf_counter() - start)
            reply(response)

        if self._guard is None:
            _run(handler, request, counted)
        else:
            self._guard.admit(pattern, request, counted, lambda: _run(handler, request, counted))

    @property
    def paths(self) -> list[tuple[str, str, str]]:
        """(method, path, pattern) of all that is answered."""
        return [(method, quote(path), pattern) for path, (method, pattern, _) in self._routes.items()]

    def _find(self, request: Request) -> tuple[str, Handler, Answers]:
        path, told = request.path, request.method if request.method in METHODS else "OTHER"
        route = self._routes.get(path) or self._routes.get(unquote_to_bytes(path).rstrip(b"/") or b"/")
        if route is None:
            return NO_ROUTE, self._explain_missing, self._metrics.rest(told, NO_ROUTE)
        method, pattern, handler = route
        given = "GET" if request.method == "HEAD" else request.method
        return pattern, handler if given == method else _wrong_method(method), self._metrics.rest(told, pattern)

    def _explain_missing(self, request: Request, _reply: Reply) -> None:
        text = unquote_to_bytes(request.path[:1000]).decode("utf-8", "replace")
        match text.split("/"):
            case ["", "v2", "models", name, "versions", version, *_]:
                self._dataplane.check_model(name, version)
            case ["", "v2", "models", name, *_]:
                self._dataplane.check_model(name, "")
        raise NotFound(f"path {text[:200]!r} does not exist; GET / describes this server")

    def _json(self, content: Callable[[], dict[str, Any]]) -> Handler:
        def answer(_request: Request, reply: Reply) -> None:
            reply(Response(200, orjson.dumps(content())))

        return answer

    def _page(self, request: Request, reply: Reply) -> None:
        host = request.headers.get(b"host", b"localhost").decode("latin-1")
        text = page.text(self._dataplane, host, guarded=self._guard is not None)
        reply(Response(200, text.encode(), "text/plain; charset=utf-8"))

    def _exposition(self, _request: Request, reply: Reply) -> None:
        reply(Response(200, self._metrics.text(), metrics.CONTENT_TYPE))

    def _index(self, request: Request, reply: Reply) -> None:
        reply(Response(200, orjson.dumps(repository.index(self._dataplane, request.body))))

    def _openapi(self, _request: Request, reply: Reply) -> None:
        if self._description is None:  # on demand: a wide model's is long, and most servers are never asked for it
            described = openapi.document(self._dataplane, guarded=self._guard is not None)
            self._description = orjson.dumps(described, option=orjson.OPT_INDENT_2)
        reply(Response(200, self._description))

    def _ready(self, _request: Request, reply: Reply) -> None:
        ready = self._dataplane.ready
        reply(Response(200 if ready else 503, orjson.dumps({"ready": ready})))

    def _shadow(self) -> dict[str, Any]:
        return {"examples": self._dataplane.router.examples()}

    def _infer(self, request: Request, reply: Reply, *, pinned: bool) -> None:
        self._dataplane.admit()
        framing = request.findings.get("framing")
        if framing is None:
            framing = request.findings["framing"] = _framing(request.headers)
        length, timeout = framing
        decoded, wanted = codec.decode(request.body, length, self._forms)
        decoded.headers, decoded.pinned = request.headers, pinned
        if timeout is not None:
            decoded.timeout = min(timeout, decoded.timeout or float("inf"))

        def done(found: InferResponse | RequestError) -> None:
            if isinstance(found, RequestError):
                reply(_refusal(found))
                return
            body, length = codec.encode(found, wanted, self._dataplane.name)
            if length is None:
                reply(Response(200, body))
            else:
                reply(Response(200, body, codec.BINARY, {"inference-header-content-length": str(length)}))

        self._dataplane.submit(decoded, done)


def _guard(gate: "Gate | None") -> "RestGuard | None":
    if gate is None:
        return None
    from flywheel_serving.auth.rest import RestGuard  # only what is used is imported

    return RestGuard(gate)


def _run(handler: Handler, request: Request, reply: Reply) -> None:
    try:
        handler(request, reply)
    except TooMany as refusal:
        request.body = b""  # it may be long, and nobody reads it any more
        asyncio.get_running_loop().call_later(HELD_SECONDS, reply, _refusal(refusal))
    except RequestError as refusal:
        reply(_refusal(refusal))
    except Exception:  # the last door, here so that the failure is counted like every other answer
        log.exception("%s %s failed", request.method, request.path[:200].decode("latin-1"))
        reply(error(500, "the server failed on this request; its log says why"))


def _framing(headers: dict[bytes, bytes]) -> tuple[int | None, float | None]:
    """Length of the body's JSON part if tensors follow it, and how long the client waits. Raises Unsupported or InvalidRequest."""
    encoding = headers.get(b"content-encoding", b"identity")
    if encoding.lower() != b"identity":
        raise Unsupported(f"header 'content-encoding': {encoding[:60]!r} is not understood; send the body uncompressed")
    length = _json_length(headers)
    _check_media_type(headers.get(b"content-type"), binary=length is not None)
    return length, _timeout(headers[TIMEOUT_HEADER]) if TIMEOUT_HEADER in headers else None


def _json_length(headers: dict[bytes, bytes]) -> int | None:
    value = headers.get(LENGTH_HEADER)
    if value is None:
        return None
    if not value.isdigit() or len(value) > 12:
        raise InvalidRequest(f"header 'Inference-Header-Content-Length': wanted a whole number, found {value[:60]!r}")
    return int(value)


def _timeout(value: bytes) -> float:
    if not value.isdigit() or not 0 < len(value) <= 12:
        name = TIMEOUT_HEADER.decode()
        raise InvalidRequest(f"header {name!r}: wanted a whole number of milliseconds, found {value[:60]!r}")
    return int(value) / 1000


def _check_media_type(value: bytes | None, *, binary: bool) -> None:
    """JSON is taken under any name that clients send by default; only what certainly is something else is refused."""
    if value == b"application/json":
        return
    media_type = (value or b"").partition(b";")[0].strip().lower()
    known = (b"", b"application/json", b"application/x-www-form-urlencoded", b"application/octet-stream", b"text/plain")
    if media_type in known or media_type.endswith(b"+json"):
        return
    wanted = codec.BINARY if binary else "application/json"
    raise Unsupported(f"header 'content-type': wanted {wanted}, found {media_type[:60].decode('latin-1')!r}")


def _wrong_method(allowed: str) -> Handler:
    allow = "GET, HEAD" if allowed == "GET" else allowed

    def refuse(request: Request, reply: Reply) -> None:
        reply(error(405, f"method {request.method} is not allowed here; use {allow}", {"allow": allow}))

    return refuse


def _refusal(refusal: RequestError) -> Response:
    status = STATUS[type(refusal)]
    return error(status, str(refusal), {"retry-after": "1"} if status in (429, 503) else None)
