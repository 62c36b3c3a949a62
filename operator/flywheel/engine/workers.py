"""Worker threads that reconcile what the queue returns."""

import asyncio
import logging
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from flywheel.core.resource.api import Reference
from flywheel.engine import metrics
from flywheel.engine.queue import RETRY, Queue, Result

logger = logging.getLogger(__name__)

MAX_CONCURRENT_RECONCILES = 16
QUEUE_NAME = "flywheel"


class Workers:
    """Belongs to one event loop; `enqueue` may be called from any thread."""

    def __init__(self, reconcile: Callable[[Reference], Result]) -> None:
        self._reconcile = reconcile
        self._loop = asyncio.get_running_loop()
        self._queue = Queue(time.monotonic)
        self._pool = ThreadPoolExecutor(MAX_CONCURRENT_RECONCILES, thread_name_prefix="worker")
        self._changed = asyncio.Event()
        self._stopping = False
        self._tasks: set[asyncio.Task[None]] = set()
        metrics.longest_running.labels(name=QUEUE_NAME).set_function(self.longest_running_seconds)
        metrics.unfinished.labels(name=QUEUE_NAME).set_function(lambda: sum(self._queue.in_flight.values()))
        metrics.queue_depth.labels(name=QUEUE_NAME).set_function(lambda: self._queue.depth)

    def enqueue(self, keys: set[Reference], *, low_priority: bool = False) -> None:
        """Queues resources; all others go before those of low priority."""
        if keys:
            self._loop.call_soon_threadsafe(self._add, keys, low_priority)

    def longest_running_seconds(self) -> float:
        """Returns the age of the oldest reconciliation in flight."""
        return max(self._queue.in_flight.values(), default=0.0)

    async def run(self) -> None:
        """Reconciles until `drain`."""
        while not self._stopping:
            self._changed.clear()
            while len(self._tasks) < MAX_CONCURRENT_RECONCILES and (taken := self._queue.take()) is not None:
                key, waited = taken
                metrics.queue_seconds.labels(name=QUEUE_NAME).observe(waited)
                self._tasks.add(self._loop.create_task(self._process(key)))
            # While all workers are busy, the next one that ends sets `_changed`.
            timeout = None if len(self._tasks) >= MAX_CONCURRENT_RECONCILES else self._queue.next_due()
            try:
                await asyncio.wait_for(self._changed.wait(), timeout)
            except TimeoutError:
                continue

    async def drain(self, timeout_seconds: float) -> None:
        """Starts nothing more, and waits that long for what is in flight."""
        self._stopping = True
        self._changed.set()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=timeout_seconds)
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _add(self, keys: set[Reference], low_priority: bool) -> None:
        for key in keys:
            self._queue.add(key, low_priority=low_priority)
            metrics.queue_adds.labels(name=QUEUE_NAME).inc()
        self._changed.set()

    async def _process(self, key: Reference) -> None:
        kind = key.api.kind
        started = time.monotonic()
        metrics.active_workers.labels(controller=kind).inc()
        try:
            result = await self._loop.run_in_executor(self._pool, self._reconcile, key)
        except Exception:
            logger.exception("%s: the reconciler itself failed", key)
            result = RETRY
        finally:
            metrics.active_workers.labels(controller=kind).dec()
        self._queue.finish(key, result)
        self._record_metrics(kind, result, time.monotonic() - started)
        task = asyncio.current_task()
        if task is not None:
            self._tasks.discard(task)
        self._changed.set()

    def _record_metrics(self, kind: str, result: Result, seconds: float) -> None:
        label = "error" if result.failed else "success" if result.requeue_after is None else "requeue_after"
        metrics.reconciles.labels(controller=kind, result=label).inc()
        metrics.reconcile_seconds.labels(controller=kind).observe(seconds)
        metrics.work_seconds.labels(name=QUEUE_NAME).observe(seconds)
        if result.failed:
            metrics.reconcile_errors.labels(controller=kind).inc()
            metrics.queue_retries.labels(name=QUEUE_NAME).inc()
