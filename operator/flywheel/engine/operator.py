"""The life of the operator:

watch ──> sync (every listed object was seen) ──> ready ──> leader ──> workers ──> SIGTERM: drain, release the Lease, end
"""

import asyncio
import logging
import os
import random
import signal
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
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
from flywheel.engine.policy_check import report_policies
from flywheel.engine.reconcile import Reconciler
from flywheel.engine.upgrade_time import read_upgrade_time
from flywheel.engine.workers import Workers

logger = logging.getLogger(__name__)

SYNC_POLL_SECONDS = 0.1
SYNC_QUIET_SECONDS = 1.0
HEARTBEAT_SECONDS = 1.0
DRAIN_SECONDS = 5.0
LEASE_NAME = "flywheel-operator"
_EXPECTED = (NotInstalled, informer.WatchFailed)  # their message says all, so no traceback is logged
LEASE_TIMEOUT_SECONDS = (2.0, 5.0)  # connect, read; a slower renewal would come too late


@dataclass(frozen=True)
class Process:
    """Settings of this process, as opposed to the installation."""

    identity: str
    lease_namespace: str
    http_address: str
    exit_after_writes: int | None

    @staticmethod
    def from_environment(environment: Mapping[str, str]) -> "Process":
        """Reads POD_NAME, POD_NAMESPACE, FLYWHEEL_LEASE_NAMESPACE, FLYWHEEL_HTTP, FLYWHEEL_DIE_AFTER_WRITES.

        Raises:
            ValueError: FLYWHEEL_DIE_AFTER_WRITES is not a number.
        """
        writes = environment.get("FLYWHEEL_DIE_AFTER_WRITES", "")
        return Process(
            identity=environment.get("POD_NAME") or f"{socket.gethostname()}-{os.getpid()}",
            lease_namespace=environment.get("FLYWHEEL_LEASE_NAMESPACE")
            or environment.get("POD_NAMESPACE")
            or "default",
            http_address=environment.get("FLYWHEEL_HTTP") or ":8080",
            exit_after_writes=int(writes) if writes else None,
        )


class Operator:
    """The operator's process."""

    def __init__(self, kinds: Sequence[AnyKind], environment: Mapping[str, str]) -> None:
        self._process = Process.from_environment(environment)
        self._settings = Settings.from_environment(environment)
        self._connection = configuration(environment)
        self._kinds = kinds
        self._kind_apis = [kind.api for kind in kinds]
        children = {POD, *(api for kind in kinds for api in kind.owns)}
        self._child_apis = sorted(children - set(self._kind_apis))
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        self._lost = asyncio.Event()
        self._elected = asyncio.Event()
        self._health = health.Health()

        self._client = client = Client(
            self._connection, lambda method, code: metrics.requests.labels(method, str(code)).inc()
        )
        self._store = Store(kinds, lambda keys: self._workers.enqueue(keys))
        self._resync = Resync(client, self._store, self._kind_apis, self._child_apis, self._settings.namespaces)
        self._leader = Leader(
            Client(self._connection, timeout=LEASE_TIMEOUT_SECONDS),
            Reference(LEASE, self._process.lease_namespace, LEASE_NAME),
            self._process.identity,
            on_elected=lambda: self._set(self._elected),
            on_lost=lambda: self._set(self._lost),
        )
        writer = Writer(client, self._leader.may_write, self._process.exit_after_writes)
        recorder = EventRecorder(writer, self._process.identity)
        self._reconciler = Reconciler(
            kinds, self._store, client, writer, recorder, self._settings, lambda: datetime.now(UTC)
        )
        self._workers = Workers(self._reconciler)
        self._health.longest_running_seconds = self._workers.longest_running_seconds
        metrics.leading.labels(name=LEASE_NAME).set_function(lambda: float(self._leader.leading))
        metrics.resource_gauges.read_from(kinds, self._store.objects)
        for api in (*self._kind_apis, *self._child_apis):
            metrics.store_objects.labels(kind=api.kind).set_function(partial(self._store.count, api))

    async def run(self) -> int:
        """Returns the exit code: 0 after SIGTERM; 1 if the Lease was lost, a watch failed or something is not installed."""
        server = health.serve(self._health, self._process.http_address)
        stop_watch = asyncio.Event()  # kopf stops on its own flag, after the Lease is released
        started = asyncio.Event()
        watch = informer.watch(
            self._kind_apis,
            self._child_apis,
            self._store,
            lambda: credentials(self._connection),
            self._settings.namespaces,
            started,
            stop_watch,
        )
        tasks = [
            self._loop.create_task(watch),
            self._loop.create_task(self._work(started)),
            self._loop.create_task(self._heartbeat()),
            self._loop.create_task(self._lost.wait()),
        ]
        stopped = self._loop.create_task(self._stop.wait())
        done, _ = await asyncio.wait([*tasks, stopped], return_when=asyncio.FIRST_COMPLETED)
        code = 0 if stopped in done else 1
        for task in done:
            if (error := task.exception()) is not None:
                logger.error("ending: %s", error, exc_info=None if isinstance(error, _EXPECTED) else error)
        await self._shut_down(tasks, stop_watch)
        server.shutdown()
        server.server_close()
        return code

    async def _work(self, started: asyncio.Event) -> None:
        await started.wait()
        for each in (signal.SIGTERM, signal.SIGINT):
            self._loop.add_signal_handler(each, self._stop.set)
        await self._wait_for_sync()
        await asyncio.to_thread(report_policies, self._client)
        upgraded_at = await asyncio.to_thread(read_upgrade_time, self._client, self._process.lease_namespace)
        self._reconciler.settings = replace(self._settings, upgraded_at=upgraded_at)
        self._health.ready = True
        self._leader.start()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._resync_periodically())
            await self._elected.wait()
            group.create_task(self._workers.run())

    async def _wait_for_sync(self) -> None:
        """Waits until the store has seen every listed object. Decisions on a partial state would create duplicates and delete wanted children.

        An object that was deleted between this list and the watch's is never seen, so the list is repeated when nothing arrives any more.
        It is not repeated more often, since a list of 30,000 objects takes a second of the watch's time.
        """
        while True:
            try:
                unseen = await asyncio.to_thread(self._resync.list_references)
            except ApiError as error:
                logger.warning("listing failed: %s", error)
                await asyncio.sleep(SYNC_QUIET_SECONDS)
                continue
            before, quiet_since = -1, self._loop.time()
            while self._loop.time() - quiet_since < SYNC_QUIET_SECONDS:
                while unseen and self._store.has_seen(unseen[-1]):
                    unseen.pop()
                if not unseen:
                    logger.info("caches are synced")
                    return
                if self._store.count() != before:
                    before, quiet_since = self._store.count(), self._loop.time()
                await asyncio.sleep(SYNC_POLL_SECONDS)

    async def _resync_periodically(self) -> None:
        while True:
            await asyncio.sleep(self._settings.resync.total_seconds() * random.uniform(0.9, 1.1))
            try:
                await asyncio.to_thread(self._resync.repair)
            except (ApiError, NotInstalled) as error:
                logger.warning("resync failed: %s", error)
                continue
            self._workers.enqueue(
                {key for api in self._kind_apis for key in self._store.references(api)}, low_priority=True
            )

    async def _heartbeat(self) -> None:
        while True:
            before = self._loop.time()
            await asyncio.sleep(HEARTBEAT_SECONDS)
            self._health.heartbeat(self._loop.time() - before - HEARTBEAT_SECONDS)

    async def _shut_down(self, tasks: Sequence[asyncio.Task[object]], stop_watch: asyncio.Event) -> None:
        self._health.ready = False
        await self._workers.drain(DRAIN_SECONDS)
        await asyncio.to_thread(self._leader.release)
        stop_watch.set()
        for task in tasks[1:]:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _set(self, event: asyncio.Event) -> None:
        self._loop.call_soon_threadsafe(event.set)
