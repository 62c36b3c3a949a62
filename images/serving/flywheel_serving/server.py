"""The life of the server: load, listen, warm up, serve, drain.

listening, not ready --warm-up answered--> ready --SIGTERM--> draining (answers, not ready) --> stopped

Draining lasts `--drain-seconds`, and longer while requests still come: a node with much to do withdraws endpoints late.
"""

import asyncio
import gc
import logging
import signal
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

import uvloop

from flywheel_serving.auth.verdict import CannotStart
from flywheel_serving.dataplane import DataPlane
from flywheel_serving.errors import ModelRefused
from flywheel_serving.http.message import Application
from flywheel_serving.http.server import HttpServer
from flywheel_serving.metrics import Metrics
from flywheel_serving.rest import cors
from flywheel_serving.rest.routes import Routes
from flywheel_serving.settings import Settings

if TYPE_CHECKING:
    from flywheel_serving.auth.gate import Gate

Stop = Callable[[float], Awaitable[None]]
DONE, FAILED, NEVER_WORKS = 0, 1, 2
QUIET_SECONDS = 1.0  # without a request: its clients have been told of other servers

log = logging.getLogger(__name__)


def run(settings: Settings) -> int:
    """Serves until SIGTERM or SIGINT. The exit code: 0 drained, 1 cannot listen, 2 the model can never be served."""
    return uvloop.run(_serve(settings))


async def _serve(settings: Settings) -> int:
    start = time.monotonic()
    stopped = _on_signals()
    stops: list[Stop] = []
    try:
        dataplane = DataPlane(settings, Metrics(settings.name, settings.version))
        gate = _gate(settings)
        http = _rest(settings, dataplane, gate)
        ports = await _listen(settings, http, dataplane, gate, stops)
        if gate is not None:
            await gate.start()
        difference = await dataplane.warm_up()
        dataplane.router.watch(settings.route)
        dataplane.start_recording(settings.record, settings.model)
        gc.freeze()  # what is here stays; looking through it again and again makes some requests wait ten milliseconds
    except ModelRefused as refusal:
        await _stop(stops, 0.0)
        return _failed(NEVER_WORKS, str(refusal), refusal.reason)
    except CannotStart as refusal:
        await _stop(stops, 0.0)
        return _failed(FAILED, str(refusal), refusal.reason)
    except (OSError, RuntimeError) as error:
        await _stop(stops, 0.0)
        return _failed(FAILED, f"cannot listen: {error}; choose other addresses with --http and --grpc", "CannotListen")
    facts = {"model": settings.name, "version": settings.version, **ports, "maxDifference": difference}
    facts["provider"] = dataplane.providers[0]
    log.info("ready after %.2f s", time.monotonic() - start, extra={"facts": facts})
    await _drain(settings, dataplane, http, stops, await stopped)
    return DONE


def _failed(code: int, message: str, reason: str) -> int:
    log.error("%s", message, extra={"facts": {"reason": reason}})
    return code


def _gate(settings: Settings) -> "Gate | None":
    if settings.auth is None:
        return None
    from flywheel_serving.auth import gate  # TLS, which servers that let everybody in do without

    return gate.build(settings.auth)


def _rest(settings: Settings, dataplane: DataPlane, gate: "Gate | None") -> HttpServer:
    routes: Application = Routes(dataplane, gate)
    if settings.cors_origins:
        routes = cors.allow(routes, settings.cors_origins)
    return HttpServer(routes, settings.limits)


async def _listen(
    settings: Settings, http: HttpServer, dataplane: DataPlane, gate: "Gate | None", stops: list[Stop]
) -> dict[str, int]:
    """Starts both servers, adds to `stops` what ends them, and returns their ports."""
    ports = {"http": await http.start(settings.http)}
    stops.append(http.stop)
    if settings.grpc is not None:
        from flywheel_serving.rpc.service import RpcServer  # a tenth of a second that REST alone does without

        rpc = RpcServer(dataplane, settings.limits, gate)
        stops.append(rpc.stop)
        ports["grpc"] = await rpc.start(settings.grpc)
    return ports


async def _stop(stops: list[Stop], seconds: float) -> None:
    await asyncio.gather(*(stop(seconds) for stop in stops))


async def _drain(
    settings: Settings, dataplane: DataPlane, http: HttpServer, stops: list[Stop], received: signal.Signals
) -> None:
    dataplane.drain()
    http.drain()
    # A person at a terminal has no endpoints to be withdrawn from.
    wait = settings.drain_seconds if received is signal.SIGTERM else 0.0
    log.info("%s: not ready, answering for %g s more", received.name, wait)
    await asyncio.sleep(wait)
    longer = await _until_quiet(http, settings.grace_seconds / 2) if wait else 0.0
    await _stop(stops, settings.grace_seconds - longer)
    left = dataplane.in_flight
    if dataplane.recorder is not None:
        await dataplane.recorder.close()
    dataplane.close()
    log.info("drained, %d inferences were cut", left)


async def _until_quiet(http: HttpServer, most: float) -> float:
    """Waits while clients still find this server, `most` seconds; how long it waited."""
    start = time.monotonic()
    while http.quiet_seconds < QUIET_SECONDS and time.monotonic() - start < most:
        await asyncio.sleep(0.1)
    longer = time.monotonic() - start
    if longer >= 0.1:
        log.info("requests came for %.1f s more than the drain takes; endpoints are withdrawn late", longer)
    return longer


def _on_signals() -> "asyncio.Future[signal.Signals]":
    loop = asyncio.get_running_loop()
    stopped: asyncio.Future[signal.Signals] = loop.create_future()

    def stop(received: signal.Signals) -> None:
        if not stopped.done():
            stopped.set_result(received)

    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, stop, name)
    return stopped
