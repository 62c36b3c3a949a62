"""The endpoints of the protocol's REST form, answered by the data plane.

One server has one model, so every path is known at the start: finding an endpoint is one look-up in a dictionary.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar
from urllib.parse import quote, unquote_to_bytes

import orjson

from flywheel_serving import errors
from flywheel_serving.http.message import Request, Response, SendResponse, error_response
from flywheel_serving.infer.admission import REFUSAL_DELAY_SECONDS
from flywheel_serving.infer.dataplane import DataPlane
from flywheel_serving.infer.requests import CLASS_NAMES_HEADER, EXPLAIN_HEADER, InferRequest, InferResponse
from flywheel_serving.metrics import server_metrics
from flywheel_serving.metrics.server_metrics import RequestMetrics
from flywheel_serving.rest import codec, cors, feedback, headers, health, openapi, page, repository
from flywheel_serving.rest.body_templates import BodyTemplates
from flywheel_serving.rest.large_bodies import INLINE_BYTES, LargeBodies, max_decoded_bytes
from flywheel_serving.rest.predict.predictor import Predictor
from flywheel_serving.rest.rest_guard import RestGuard

T = TypeVar("T")
Handler = Callable[[Request, SendResponse], None]
Submit = Callable[[T, Request, SendResponse], None]
Decoding = tuple[InferRequest, codec.OutputEncoding]
STATUS = {
    errors.InvalidRequest: 400,
    errors.NotFound: 404,
    errors.RequestTooLarge: 413,
    errors.UnsupportedEncoding: 415,
    errors.TooManyRequests: 429,
    errors.ModelFailed: 500,
    errors.ModelCrashed: 500,
    errors.Overloaded: 503,
    errors.DeadlineExceeded: 504,
    errors.TimeLimitExceeded: 504,
}
COUNTED_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"})
NO_ENDPOINT = "(no route)"

log = logging.getLogger(__name__)


class Endpoints:
    """The HTTP application: answers every request, once `guard` has admitted it.

    `shadow_examples` returns the requests on which a shadowed challenger differed most. Scripts of `origins` may call.
    """

    def __init__(
        self,
        dataplane: DataPlane,
        guard: RestGuard | None = None,
        shadow_examples: Callable[[], list[dict[str, Any]]] = list,
        origins: frozenset[str] = frozenset(),
    ) -> None:
        self._dataplane = dataplane
        self._metrics = dataplane.metrics
        self._openapi_json: bytes | None = None
        self._templates = BodyTemplates()
        self._predictor = Predictor(dataplane)
        self._large_bodies = LargeBodies(max_decoded_bytes(dataplane.local_model.limits.memory))
        self._guard = guard
        self._origins = origins
        self._endpoints: dict[bytes, tuple[str, str, Handler]] = {}  # path: method, pattern for metrics, handler
        self._add_server_endpoints()
        model, version = quote(dataplane.name, safe=""), quote(dataplane.version, safe="")
        self._add_model_endpoints(f"/v2/models/{model}", "/v2/models/{model}", pinned=False)
        versions = "/v2/models/{model}/versions/{version}"
        self._add_model_endpoints(f"/v2/models/{model}/versions/{version}", versions, pinned=True)
        shadow = _json_handler(lambda: {"examples": shadow_examples()})
        self._add("GET", f"/v2/models/{model}/shadow", "/v2/models/{model}/shadow", shadow)
        post_labels = feedback.handler(dataplane)
        self._add("POST", f"/v2/models/{model}/feedback", "/v2/models/{model}/feedback", post_labels)

    def _add_server_endpoints(self) -> None:
        dataplane = self._dataplane
        for method, path, handler in (
            ("GET", "/", self._page),
            ("GET", "/metrics", self._exposition),
            ("GET", "/v2", _json_handler(dataplane.server_metadata)),
            ("GET", "/v2/health/live", _json_handler(lambda: {"live": True})),
            ("GET", "/v2/health/ready", self._ready),
            ("GET", "/v2/models", _json_handler(lambda: {"models": [dataplane.name]})),
            ("GET", "/v2/models/stats", _json_handler(dataplane.statistics)),
            ("POST", "/v2/repository/index", self._repository_index),
            ("POST", "/invocations", partial(self._predict, pinned=False)),
            ("GET", "/openapi.json", self._openapi),
        ):
            self._add(method, path, path, handler)

    def _add_model_endpoints(self, path: str, pattern: str, *, pinned: bool) -> None:
        """`pinned`: the path names the version."""
        for method, suffix, handler in (
            ("GET", "", _json_handler(self._dataplane.model_metadata)),
            ("GET", "/ready", self._ready),
            ("GET", "/stats", _json_handler(self._dataplane.statistics)),
            ("GET", "/openapi.json", self._openapi),
            ("POST", "/infer", partial(self._infer, pinned=pinned)),
            ("POST", "/predict", partial(self._predict, pinned=pinned)),
        ):
            self._add(method, path + suffix, pattern + suffix, handler)

    def _add(self, method: str, path: str, pattern: str, handler: Handler) -> None:
        self._endpoints[unquote_to_bytes(path)] = (method, pattern, handler)

    def __call__(self, request: Request, send: SendResponse) -> None:
        start = time.perf_counter()
        found = request.head_cache.get("endpoint")
        if found is None:
            found = request.head_cache["endpoint"] = self._find(request)
        pattern, handler, request_metrics = found
        metrics = self._metrics
        metrics.rest_in_progress += 1

        def count_and_send(response: Response) -> None:
            metrics.rest_in_progress -= 1
            request_metrics.count(response.status, time.perf_counter() - start)
            send(response)

        if self._guard is None:
            _handle(handler, request, count_and_send)
        else:
            self._guard.check(pattern, request, count_and_send, lambda: _handle(handler, request, count_and_send))

    @property
    def paths(self) -> list[tuple[str, str, str]]:
        """(method, path, pattern) of all endpoints."""
        return [(method, quote(path), pattern) for path, (method, pattern, _) in self._endpoints.items()]

    def _find(self, request: Request) -> tuple[str, Handler, RequestMetrics]:
        path, counted_method = request.path, request.method if request.method in COUNTED_METHODS else "OTHER"
        endpoint = self._endpoints.get(path) or self._endpoints.get(unquote_to_bytes(path).rstrip(b"/") or b"/")
        if endpoint is None:
            return NO_ENDPOINT, self._not_found, self._metrics.rest(counted_method, NO_ENDPOINT)
        method, pattern, handler = endpoint
        is_allowed = method == ("GET" if request.method == "HEAD" else request.method)
        if not is_allowed:
            handler = _method_not_allowed(method)
        elif refusal := cors.refusal_of_simple_post(request, self._origins):
            handler = _refuse(refusal)
        return pattern, handler, self._metrics.rest(counted_method, pattern)

    def _not_found(self, request: Request, _send: SendResponse) -> None:
        path = unquote_to_bytes(request.path[:1000]).decode("utf-8", "replace")
        match path.split("/"):
            case ["", "v2", "models", name, "versions", version, *_]:
                self._dataplane.check_model(name, version)
            case ["", "v2", "models", name, *_]:
                self._dataplane.check_model(name, "")
        raise errors.NotFound(f"path {path[:200]!r} does not exist; GET / describes this server")

    def _page(self, request: Request, send: SendResponse) -> None:
        host = request.headers.get(b"host", b"localhost").decode("latin-1")
        text = page.render_page(self._dataplane, host, guarded=self._guard is not None)
        send(Response(200, text.encode(), "text/plain; charset=utf-8"))

    def _exposition(self, _request: Request, send: SendResponse) -> None:
        send(Response(200, self._metrics.exposition(), server_metrics.CONTENT_TYPE))

    def _repository_index(self, request: Request, send: SendResponse) -> None:
        send(Response(200, orjson.dumps(repository.repository_index(self._dataplane, request.body))))

    def _openapi(self, _request: Request, send: SendResponse) -> None:
        if self._openapi_json is None:  # on demand: it is long for a wide model, and most servers never send it
            document = openapi.document(self._dataplane, guarded=self._guard is not None)
            self._openapi_json = orjson.dumps(document, option=orjson.OPT_INDENT_2)
        send(Response(200, self._openapi_json))

    def _ready(self, _request: Request, send: SendResponse) -> None:
        unreadiness = self._dataplane.unreadiness
        send(Response(503 if unreadiness else 200, health.readiness_body(unreadiness)))

    def _infer(self, request: Request, send: SendResponse, *, pinned: bool) -> None:
        self._dataplane.admit(request.peer)
        parsed_headers = request.head_cache.get("headers")
        if parsed_headers is None:
            parsed_headers = request.head_cache["headers"] = headers.parse(request.headers)
        (json_length, timeout), body = parsed_headers, request.body
        if len(body) > INLINE_BYTES and self._large_bodies.is_large(body, json_length):
            decode = partial(codec.decode, body, json_length, self._templates)
            self._decode_later(decode, partial(self._submit_tensors, pinned, timeout), request, send)
        else:
            decoded = codec.decode(body, json_length, self._templates)
            self._submit_tensors(pinned, timeout, decoded, request, send)

    def _decode_later(self, decode: Callable[[], T], submit: Submit[T], request: Request, send: SendResponse) -> None:
        """Decodes in a thread, and goes on with `submit`."""

        def admit_and_submit(decoded: T, request: Request, send: SendResponse) -> None:
            self._dataplane.admit(request.peer)  # others came meanwhile
            submit(decoded, request, send)

        def on_decoded(decoded: T | errors.RequestError) -> None:
            if isinstance(decoded, errors.RequestError):
                send(_error(decoded))
            else:
                _handle(partial(admit_and_submit, decoded), request, send)

        self._large_bodies.decode(request.peer, decode, on_decoded)

    def _submit_tensors(
        self, pinned: bool, timeout: float | None, decoding: Decoding, request: Request, send: SendResponse
    ) -> None:
        decoded, encoding = decoding
        _add_headers(decoded, request, pinned, timeout)
        class_names = self._dataplane.signature.class_names if CLASS_NAMES_HEADER in request.headers else None

        def on_response(response: InferResponse | errors.RequestError) -> None:
            if isinstance(response, errors.RequestError):
                send(_error(response))
                return
            try:
                body, length = codec.encode(response, encoding, self._dataplane.name, class_names)
            except errors.RequestTooLarge as error:
                send(_error(error))
                return
            if length is None:
                send(Response(200, body))
            else:
                send(Response(200, body, codec.BINARY_MEDIA_TYPE, {"inference-header-content-length": str(length)}))

        self._dataplane.submit(decoded, on_response)

    def _predict(self, request: Request, send: SendResponse, *, pinned: bool) -> None:
        self._dataplane.admit(request.peer)
        parsed_headers = request.head_cache.get("row_headers")
        if parsed_headers is None:
            parsed_headers = request.head_cache["row_headers"] = headers.parse_for_rows(request.headers)
        (delimiter, timeout), body = parsed_headers, request.body
        if len(body) > INLINE_BYTES and self._large_bodies.is_large(body):
            decode = partial(self._predictor.decode, body, delimiter)
            self._decode_later(decode, partial(self._submit_rows, pinned, timeout), request, send)
        else:
            self._submit_rows(pinned, timeout, self._predictor.decode(body, delimiter), request, send)

    def _submit_rows(
        self, pinned: bool, timeout: float | None, decoded: InferRequest, request: Request, send: SendResponse
    ) -> None:
        _add_headers(decoded, request, pinned, timeout)

        def on_response(response: InferResponse | errors.RequestError) -> None:
            if isinstance(response, errors.RequestError):
                send(_error(response))
                return
            try:
                send(Response(200, self._predictor.encode(response)))
            except errors.RequestTooLarge as error:
                send(_error(error))

        self._dataplane.submit(decoded, on_response)


def _add_headers(decoded: InferRequest, request: Request, pinned: bool, timeout: float | None) -> None:
    decoded.headers, decoded.pinned, decoded.peer = request.headers, pinned, request.peer
    decoded.explain = request.headers.get(EXPLAIN_HEADER) == b"true"
    decoded.timeout = decoded.timeout if timeout is None else min(timeout, decoded.timeout or float("inf"))


def _json_handler(content: Callable[[], dict[str, Any]]) -> Handler:
    return lambda _request, send: send(Response(200, orjson.dumps(content())))


def _handle(handler: Handler, request: Request, send: SendResponse) -> None:
    try:
        handler(request, send)
    except errors.TooManyRequests as error:
        request.body = b""  # it may be long, and is not needed any more
        asyncio.get_running_loop().call_later(REFUSAL_DELAY_SECONDS, send, _error(error))
    except errors.RequestError as error:
        send(_error(error))
    except Exception:  # caught here, so that the failure is counted like every other response
        log.exception("%s %s failed", request.method, request.path[:200].decode("latin-1"))
        send(error_response(500, "the server failed on this request; its log says why"))


def _refuse(refusal: Response) -> Handler:
    return lambda _request, send: send(replace(refusal))


def _method_not_allowed(allowed: str) -> Handler:
    allow = "GET, HEAD" if allowed == "GET" else allowed

    def refuse(request: Request, send: SendResponse) -> None:
        send(error_response(405, f"method {request.method} is not allowed here; use {allow}", {"allow": allow}))

    return refuse


def _error(error: errors.RequestError) -> Response:
    status = STATUS[type(error)]
    return error_response(status, str(error), {"retry-after": "1"} if status in (429, 503) else None)
