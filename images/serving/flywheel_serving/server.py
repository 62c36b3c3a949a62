"""Wires the server, and runs it from start to drain.

listening, not ready --warm-up done--> ready --SIGTERM--> draining (answers, not ready) --> stopped

Draining lasts `--drain-seconds`, and longer while requests still come: a busy node withdraws endpoints late.
"""

import asyncio
import gc
import logging
import signal
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

import uvloop

from flywheel_serving.auth.authenticator import build_authenticator
from flywheel_serving.auth.verdict import CannotStart
from flywheel_serving.errors import ModelRefused
from flywheel_serving.explanation.sidecar.config import ExplainConfig
from flywheel_serving.flag_types import Address
from flywheel_serving.http.config import HttpLimits
from flywheel_serving.http.http_server import HttpServer
from flywheel_serving.http.message import Application
from flywheel_serving.infer.dataplane import DataPlane
from flywheel_serving.infer.extensions import ExplainedResponses
from flywheel_serving.metrics.server_metrics import ServerMetrics
from flywheel_serving.prediction_log.config import LogConfig
from flywheel_serving.rest import cors
from flywheel_serving.rest.endpoints import Endpoints
from flywheel_serving.rest.health import HealthProbes
from flywheel_serving.rest.rest_guard import RestGuard
from flywheel_serving.route.router import Router
from flywheel_serving.settings import Settings

if TYPE_CHECKING:
    from flywheel_serving.explanation.sidecar.client import ExplainerClient
    from flywheel_serving.prediction_log.recorder import PredictionRecorder  # only servers that log import it

DRAINED, CANNOT_START, MODEL_REFUSED = 0, 1, 2  # exit codes
QUIET_SECONDS = 1.0  # without a request: the endpoint was withdrawn everywhere
QUIET_POLL_SECONDS = 0.1
# Of the health port, which the node's kubelet alone needs.
HEALTH_LIMITS = HttpLimits(body_bytes=1, connections=64, request_seconds=5.0, idle_seconds=30.0)

log = logging.getLogger(__name__)


def run(settings: Settings) -> int:
    """Serves until SIGTERM or SIGINT, and returns the exit code."""
    return uvloop.run(_serve(settings))


async def _serve(settings: Settings) -> int:
    start = time.monotonic()
    signal_received = _signal_received()
    server: Server | None = None
    try:
        server = Server(settings)
        facts = await server.start()
    except (ModelRefused, CannotStart) as error:
        code = MODEL_REFUSED if isinstance(error, ModelRefused) else CANNOT_START
        return await _fail(server, code, str(error), error.reason)
    except (OSError, RuntimeError) as error:
        message = f"cannot listen: {error}; choose other addresses with --http and --grpc"
        return await _fail(server, CANNOT_START, message, "CannotListen")
    log.info("ready after %.2f s", time.monotonic() - start, extra={"facts": facts})
    await server.drain(await signal_received)
    return DRAINED


async def _fail(server: "Server | None", code: int, message: str, reason: str) -> int:
    if server is not None:
        await server.stop(0.0)
    log.error("%s", message, extra={"facts": {"reason": reason}})
    return code


class Server:
    """One model behind both transports, with the features that the settings turn on."""

    def __init__(self, settings: Settings) -> None:
        """Loads the model. Raises ModelRefused."""
        self._settings = settings
        model = settings.model
        self._dataplane = dataplane = DataPlane(model, ServerMetrics(model.name, model.version))
        self._router = Router(dataplane.local_model, settings.http_limits.body_bytes, dataplane.set_route)
        dataplane.metrics.register(self._router.metrics)
        self._authenticator = None if settings.auth is None else build_authenticator(settings.auth)
        self._recorder: PredictionRecorder | None = None
        self._explainer: ExplainerClient | None = None
        self._http = self._http_server()
        self._stops: list[Callable[[float], Awaitable[None]]] = []

    def _http_server(self) -> HttpServer:
        guard = None if self._authenticator is None else RestGuard(self._authenticator)
        application: Application = Endpoints(self._dataplane, guard, self._router.examples, self._settings.cors_origins)
        if self._settings.cors_origins:
            application = cors.allow_origins(application, self._settings.cors_origins)
        return HttpServer(application, self._settings.http_limits)

    async def start(self) -> dict[str, object]:
        """Listens and warms up; returns facts for the log. Raises ModelRefused, CannotStart, OSError or RuntimeError."""
        settings, dataplane = self._settings, self._dataplane
        ports = {"http": await self._http.start(settings.http)}
        self._stops.append(self._http.stop)
        if settings.health is not None:
            probes = HttpServer(HealthProbes(dataplane), HEALTH_LIMITS)
            ports["health"] = await probes.start(settings.health)
            self._stops.append(probes.stop)
        if settings.grpc is not None:
            ports["grpc"] = await self._start_rpc(settings.grpc)
        if self._authenticator is not None:
            await self._authenticator.start()
        difference = await dataplane.warm_up()
        self._router.watch(settings.route)
        explainer = None if settings.explain is None else self._start_explaining(settings.explain)
        if settings.log is not None:
            self._start_recording(settings.log, explainer)
        gc.freeze()  # these objects stay; collecting them again and again would delay some requests by 10 ms
        return {
            "model": dataplane.name,
            "version": dataplane.version,
            **ports,
            "maxDifference": difference,
            "provider": dataplane.providers[0],
        }

    async def _start_rpc(self, address: Address) -> int:
        from flywheel_serving.rpc.service import RpcServer  # importing grpc takes 0.1 s, which REST alone does not need

        rpc = RpcServer(self._dataplane, self._settings.http_limits, self._authenticator)
        self._stops.append(rpc.stop)
        return await rpc.start(address)

    def _start_explaining(self, config: ExplainConfig) -> "tuple[ExplainerClient, ExplainConfig]":
        from flywheel_serving.explanation.sidecar.client import ExplainerClient
        from flywheel_serving.explanation.sidecar.metrics import ExplanationMetrics

        self._explainer = client = ExplainerClient(config)
        self._dataplane.metrics.register(ExplanationMetrics(client))
        if config.header:
            explained = ExplainedResponses(self._dataplane.version, client, config.answer_seconds)
            self._dataplane.explained_responses = explained
        client.start()
        return client, config

    def _start_recording(self, config: LogConfig, explainer: "tuple[ExplainerClient, ExplainConfig] | None") -> None:
        from flywheel_serving.prediction_log.explanations import LoggedExplanations, is_protected
        from flywheel_serving.prediction_log.recorder import PredictionRecorder  # only servers that log pay for it
        from flywheel_serving.prediction_log.service_counts import ServiceCounts

        dataplane, folder = self._dataplane, self._settings.model.folder
        signature, version = dataplane.signature, dataplane.version
        explanations = None
        if explainer is not None and config.explanations and not is_protected(signature, config):
            explanations = LoggedExplanations(*explainer, version)
        service = ServiceCounts(dataplane.metrics)
        self._recorder = recorder = PredictionRecorder(config, folder, signature, version, service, explanations)
        dataplane.metrics.register(recorder.metrics)
        dataplane.start_recording(recorder)
        recorder.start()

    async def drain(self, received: signal.Signals) -> None:
        """Answers while endpoints are withdrawn, lets requests in flight end, and stops."""
        settings = self._settings
        self._dataplane.drain()
        self._http.drain()
        # A server that is stopped at a terminal has no endpoints to be withdrawn.
        drain_seconds = settings.drain_seconds if received is signal.SIGTERM else 0.0
        log.info("%s: not ready, answering for %g s more", received.name, drain_seconds)
        await asyncio.sleep(drain_seconds)
        extra_seconds = await self._wait_until_quiet(settings.grace_seconds / 2) if drain_seconds else 0.0
        await self.stop(settings.grace_seconds - extra_seconds)
        cut_requests = self._dataplane.in_flight
        if self._recorder is not None:
            await self._recorder.close()
        if self._explainer is not None:
            await self._explainer.close(0.0)
        self._router.close()
        self._dataplane.close()
        log.info("drained, %d inferences were cut", cut_requests)

    async def stop(self, seconds: float) -> None:
        """Lets requests in flight end for `seconds`."""
        await asyncio.gather(*(stop(seconds) for stop in self._stops))

    async def _wait_until_quiet(self, max_seconds: float) -> float:
        """Waits while requests still come; returns how long it waited."""
        start = time.monotonic()
        while self._http.seconds_since_post < QUIET_SECONDS and time.monotonic() - start < max_seconds:
            await asyncio.sleep(QUIET_POLL_SECONDS)
        waited = time.monotonic() - start
        if waited >= QUIET_POLL_SECONDS:
            log.info("requests came for %.1f s more than the drain takes; endpoints are withdrawn late", waited)
        return waited


def _signal_received() -> "asyncio.Future[signal.Signals]":
    """The first SIGTERM or SIGINT."""
    loop = asyncio.get_running_loop()
    first: asyncio.Future[signal.Signals] = loop.create_future()

    def on_signal(received: signal.Signals) -> None:
        if not first.done():
            first.set_result(received)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal, number)
    return first
