"""The application: its routes, and what is common to all requests."""

import logging
import re
import time
from contextlib import ExitStack

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from flywheel_reader.call import Call, Services
from flywheel_reader.endpoint import Endpoint, parse_query
from flywheel_reader.endpoints import datasets, model_monitors, model_versions, models, prediction, predictions
from flywheel_reader.endpoints.tracking import logs, training_runs, trial_outputs, trials
from flywheel_reader.errors import BadRequest, NotFound, ReaderError
from flywheel_reader.metrics import Metrics
from flywheel_reader.openapi import openapi_document, openapi_path
from flywheel_reader.responses import error_response, json_response
from flywheel_reader.server.delivery import RunningRequests, deliver

ENDPOINTS: tuple[Endpoint, ...] = (
    *trials.ENDPOINTS,
    *logs.ENDPOINTS,
    *trial_outputs.ENDPOINTS,
    *model_versions.ENDPOINTS,
    *model_monitors.ENDPOINTS,
    *datasets.ENDPOINTS,
    *training_runs.ENDPOINTS,
    *predictions.ENDPOINTS,
    *prediction.ENDPOINTS,
    *models.ENDPOINTS,
)
MAX_PATH_CHARACTERS = 4096
# What a name in the path may be; only a file's path may have other characters.
NAME = re.compile(r"[A-Za-z0-9]([-.A-Za-z0-9]{0,251}[A-Za-z0-9])?")
log = logging.getLogger(__name__)


def build_app(services: Services) -> Starlette:
    """The ASGI application."""
    metrics = Metrics()
    document = openapi_document(ENDPOINTS)
    running = RunningRequests()

    async def healthz(_request: Request) -> Response:
        return PlainTextResponse("ok\n")

    async def render_metrics(_request: Request) -> Response:
        metrics.records.set(services.namespaces.indexed_records())
        return Response(metrics.render(), media_type="text/plain; version=0.0.4")

    async def openapi(_request: Request) -> Response:
        return json_response(document)

    routes = [
        Route("/healthz", healthz, methods=["GET"]),
        Route("/readyz", healthz, methods=["GET"]),
        Route("/metrics", render_metrics, methods=["GET"]),
        Route("/openapi.json", openapi, methods=["GET"]),
        *(Route(each.path, Handler(each, services, metrics, running), methods=["GET"]) for each in ENDPOINTS),
    ]
    return Starlette(routes=routes, exception_handlers={HTTPException: _no_route})


class Handler:
    """An endpoint as an ASGI application."""

    def __init__(self, endpoint: Endpoint, services: Services, metrics: Metrics, running: RunningRequests) -> None:
        self._endpoint = endpoint
        self._path = openapi_path(endpoint.path)
        self._services = services
        self._metrics = metrics
        self._running = running

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Responds to one request, which counts until the response is sent."""
        started = time.perf_counter()
        with ExitStack() as counted:
            try:
                response = await self._respond(Request(scope, receive), counted)
            except ReaderError as error:
                response = error_response(error)
            except Exception:
                log.exception("request failed: %s", self._path)
                response = error_response(ReaderError("the reader failed; its log has the cause"))
            self._metrics.count(self._path, response.status_code, time.perf_counter() - started)
            await deliver(response, scope, receive, send)

    async def _respond(self, request: Request, counted: ExitStack) -> Response:
        peer = request.client.host if request.client else ""
        caller = await self._services.authenticator.authenticate(request.headers, peer)
        if len(request.url.path) > MAX_PATH_CHARACTERS:
            raise BadRequest(f"the path has more than {MAX_PATH_CHARACTERS:,} characters; shorten it")
        path = {name: str(value) for name, value in request.path_params.items()}
        for name, value in path.items():
            if name != "path" and not NAME.fullmatch(value):
                raise BadRequest(f"'{name}' in the path is {value[:120]!r}, which is no name in Kubernetes")
        query = parse_query(self._endpoint.parameters, request.query_params)
        counted.enter_context(self._running.request(caller.username, path["namespace"]))
        response = await self._endpoint.handle(Call(self._services, caller, path, query, request.headers))
        counted.enter_context(self._running.body(caller.username, len(getattr(response, "body", b""))))
        return response


async def _no_route(request: Request, error: Exception) -> Response:
    if isinstance(error, HTTPException) and error.status_code == 405:
        failure: ReaderError = BadRequest("the reader only reads: send GET")
        failure.status = 405
    else:
        failure = NotFound("there is no such path; /openapi.json lists those that there are")
    return error_response(failure)
