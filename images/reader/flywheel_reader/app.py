"""The application: its routes, and what is common to all requests."""

import logging
import re
import time
from collections.abc import Awaitable, Callable

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from flywheel_reader.call import Call, Services
from flywheel_reader.endpoint import Endpoint, parse_query
from flywheel_reader.endpoints import datasets, logs, model_versions, predictions, training_runs, trial_outputs, trials
from flywheel_reader.errors import BadRequest, Busy, NotFound, ReaderError
from flywheel_reader.metrics import Metrics
from flywheel_reader.openapi import openapi_document, openapi_path
from flywheel_reader.responses import error_response, json_response

ENDPOINTS: tuple[Endpoint, ...] = (
    *trials.ENDPOINTS,
    *logs.ENDPOINTS,
    *trial_outputs.ENDPOINTS,
    *model_versions.ENDPOINTS,
    *datasets.ENDPOINTS,
    *training_runs.ENDPOINTS,
    *predictions.ENDPOINTS,
)
MAX_REQUESTS = 64  # at a time; beyond it the reader says that it is busy
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
        *(Route(each.path, _handler(each, services, metrics, running), methods=["GET"]) for each in ENDPOINTS),
    ]
    return Starlette(routes=routes, exception_handlers={HTTPException: _no_route})


class RunningRequests:
    """How many requests are in work."""

    count = 0

    def check(self) -> None:
        """Raises Busy if there are more than the reader works on at a time."""
        if self.count > MAX_REQUESTS:
            raise Busy(f"the reader works on {MAX_REQUESTS} requests already; retry in a few seconds")


def _handler(
    endpoint: Endpoint, services: Services, metrics: Metrics, running: RunningRequests
) -> Callable[[Request], Awaitable[Response]]:
    path = openapi_path(endpoint.path)

    async def handle(request: Request) -> Response:
        started = time.perf_counter()
        running.count += 1
        try:
            running.check()
            response = await _respond(endpoint, services, request)
        except ReaderError as error:
            response = error_response(error)
        except Exception:
            log.exception("request failed: %s", path)
            response = error_response(ReaderError("the reader failed; its log has the cause"))
        finally:
            running.count -= 1
        metrics.count(path, response.status_code, time.perf_counter() - started)
        return response

    return handle


async def _respond(endpoint: Endpoint, services: Services, request: Request) -> Response:
    caller = await services.authenticator.authenticate(request.headers)
    if len(request.url.path) > MAX_PATH_CHARACTERS:
        raise BadRequest(f"the path has more than {MAX_PATH_CHARACTERS:,} characters; shorten it")
    path = {name: str(value) for name, value in request.path_params.items()}
    for name, value in path.items():
        if name != "path" and not NAME.fullmatch(value):
            raise BadRequest(f"'{name}' in the path is {value[:120]!r}, which is no name in Kubernetes")
    query = parse_query(endpoint.parameters, request.query_params)
    return await endpoint.handle(Call(services, caller, path, query, request.headers))


async def _no_route(request: Request, error: Exception) -> Response:
    if isinstance(error, HTTPException) and error.status_code == 405:
        failure: ReaderError = BadRequest("the reader only reads: send GET")
        failure.status = 405
    else:
        failure = NotFound("there is no such path; /openapi.json lists those that there are")
    return error_response(failure)
