"""The whole operator, from start to end:

watch ──> gate (every listed object was seen) ──> ready ──> leader ──> workers ──> SIGTERM: drain, release the Lease, end
"""

import asyncio
import logging
import os
import random
import signal
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial

from flywheel.cluster.apply import Writer
from flywheel.cluster.client import Client
from flywheel.cluster.credentials import configuration, credentials
from flywheel.cluster.errors import ApiError
from flywheel.core.resource.api import LEASE, POD, Reference
from flywheel.core.resource.kind import AnyKind
from flywheel.core.settings import Settings
from flywheel.engine import health, metrics
from flywheel.engine.apply.event_recorder import EventRecorder
from flywheel.engine.cache import informer
from flywheel.engine.cache.resync import NotInstalled, Resync
from flywheel.engine.cache.store import Store
from flywheel.engine.leader import Leader
from flywheel.engine.reconcile import Reconciler
from flywheel.engine.workers import Workers

logger = logging.getLogger(__name__)

SYNC_POLL_SECONDS = 0.1  # seconds
SYNC_QUIET_SECONDS = 1.0
DRAIN_SECONDS = 5.0
LEASE_NAME = "flywheel-operator"
LEASE_TIMEOUT_SECONDS = (2.0, 5.0)  # connect, read; seconds: a renewal that takes longer has missed its point


@dataclass(frozen=True)
class Process:
    """What belongs to this process and not to the installation."""

    identity: str
    lease_namespace: str
    http: str
    die_after_writes: int | None

    @staticmethod
    def from_environment(environment: Mapping[str, str]) -> "Process":
        """Read POD_NAME, POD_NAMESPACE, FLYWHEEL_LEASE_NAMESPACE, FLYWHEEL_HTTP, FLYWHEEL_DIE_AFTER_WRITES.

        Raises:
            ValueError: FLYWHEEL_DIE_AFTER_WRITES is not a number.
        """
        deadly = environment.get("FLYWHEEL_DIE_AFTER_WRITES", "")
        return Process(
            identity=environment.get("POD_NAME") or f"{socket.gethostname()}-{os.getpid()}",
            lease_namespace=environment.get("FLYWHEEL_LEASE_NAMESPACE")
            or environment.get("POD_NAMESPACE")
            or "default",
            http=environment.get("FLYWHEEL_HTTP") or ":8080",
            die_after_writes=int(deadly) if deadly else None,
        )


class Operator:
    """One process. `run` returns its exit code."""

    def __init__(self, kinds: Sequence[AnyKind], environment: Mapping[str, str]) -> None:
        self._process = Process.from_environment(environment)
        self._settings = Settings.from_environment(environment)
        self._connection = configuration(environment)
        self._kinds = kinds
        self._own = [kind.api for kind in kinds]
        children = {POD, *(api for kind in kinds for api in kind.owns)}
        self._children = sorted(children - set(self._own))
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        self._lost = asyncio.Event()
        self._elected = asyncio.Event()
        self._health = health.Health()

        client = Client(self._connection, lambda method, code: metrics.requests.labels(method, str(code)).inc())
        self._store = Store(kinds, lambda keys: self._workers.wake(keys))
        self._resync = Resync(client, self._store, self._own, self._children, self._settings.namespaces)
        self._leader = Leader(
            Client(self._connection, timeout=LEASE_TIMEOUT_SECONDS),
            Reference(LEASE, self._process.lease_namespace, LEASE_NAME),
            self._process.identity,
            elected=lambda: self._tell(self._elected),
            lost=lambda: self._tell(self._lost),
        )
        writer = Writer(client, self._leader.may_write, self._process.die_after_writes)
        recorder = EventRecorder(writer, self._process.identity)
        look = Reconciler(kinds, self._store, client, writer, recorder, self._settings, lambda: datetime.now(UTC))
        self._workers = Workers(look)
        self._health.oldest_look = self._workers.oldest_look
        metrics.leading.labels(name=LEASE_NAME).set_function(lambda: float(self._leader.leading))
        for api in (*self._own, *self._children):
            metrics.store_objects.labels(kind=api.kind).set_function(partial(self._store.count, api))

    async def run(self) -> int:
        """0 after SIGTERM; 1 if the Lease was lost, a watch failed or something is not installed."""
        server = health.serve(self._health, self._process.http)
        watched = asyncio.Event()  # kopf stops on its own flag, after the Lease is released
        started = asyncio.Event()
        tasks = [
            self._loop.create_task(self._watch(started, watched)),
            self._loop.create_task(self._work(started)),
            self._loop.create_task(self._beat()),
            self._loop.create_task(self._lost.wait()),
        ]
        stopped = self._loop.create_task(self._stop.wait())
        done, _ = await asyncio.wait([*tasks, stopped], return_when=asyncio.FIRST_COMPLETED)
        code = 0 if stopped in done else 1
        for task in done:
            if (error := task.exception()) is not None:
                logger.error("ending: %s", error, exc_info=None if _expected(error) else error)
        await self._end(tasks, watched)
        server.shutdown()
        server.server_close()
        return code

    async def _watch(self, started: asyncio.Event, stop: asyncio.Event) -> None:
        await informer.watch(
            self._own,
            self._children,
            self._store,
            lambda: credentials(self._connection),
            self._settings.namespaces,
            started,
            stop,
        )

    async def _work(self, started: asyncio.Event) -> None:
        await started.wait()
        for each in (signal.SIGTERM, signal.SIGINT):
            self._loop.add_signal_handler(each, self._stop.set)
        await self._gate()
        self._health.ready = True
        self._leader.start()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._heal())
            await self._elected.wait()
            group.create_task(self._workers.run())

    async def _gate(self) -> None:
        """Until the store has seen every listed object. A decision on half a picture would make twins and delete what is wanted.

        What was deleted between our list and the watch's will never be seen: when nothing comes any more, it is listed anew. Not more
        often, since a list of 30,000 objects takes a second from the watch that is to bring them.
        """
        while True:
            try:
                unseen = await asyncio.to_thread(self._resync.listed)
            except ApiError as error:
                logger.warning("listing failed: %s", error)
                await asyncio.sleep(SYNC_QUIET_SECONDS)
                continue
            before, quiet_since = -1, self._loop.time()
            while self._loop.time() - quiet_since < SYNC_QUIET_SECONDS:
                while unseen and self._store.knows(unseen[-1]):
                    unseen.pop()
                if not unseen:
                    logger.info("caches are warm")
                    return
                if self._store.count() != before:
                    before, quiet_since = self._store.count(), self._loop.time()
                await asyncio.sleep(SYNC_POLL_SECONDS)

    async def _heal(self) -> None:
        while True:
            await asyncio.sleep(self._settings.resync.total_seconds() * random.uniform(0.9, 1.1))
            try:
                await asyncio.to_thread(self._resync.heal)
            except (ApiError, NotInstalled) as error:
                logger.warning("resync failed: %s", error)
                continue
            self._workers.wake({key for api in self._own for key in self._store.addresses(api)}, low=True)

    async def _beat(self) -> None:
        while True:
            before = self._loop.time()
            await asyncio.sleep(1.0)
            self._health.beat(self._loop.time() - before - 1.0)

    async def _end(self, tasks: Sequence[asyncio.Task[object]], watched: asyncio.Event) -> None:
        self._health.ready = False
        await self._workers.drain(DRAIN_SECONDS)
        await asyncio.to_thread(self._leader.release)
        watched.set()
        for task in tasks[1:]:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _tell(self, event: asyncio.Event) -> None:
        self._loop.call_soon_threadsafe(event.set)


def _expected(error: BaseException) -> bool:
    return isinstance(error, (NotInstalled, informer.WatchFailed))
