"""From the queue to looks in worker threads, 16 at once."""

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
    """Belongs to one event loop; `wake` may be called from any thread."""

    def __init__(self, look: Callable[[Reference], Result]) -> None:
        self._look = look
        self._loop = asyncio.get_running_loop()
        self._queue = Queue(time.monotonic)
        self._pool = ThreadPoolExecutor(MAX_CONCURRENT_RECONCILES, thread_name_prefix="worker")
        self._news = asyncio.Event()
        self._stopping = False
        self._tasks: set[asyncio.Task[None]] = set()
        metrics.longest_running.labels(name=QUEUE_NAME).set_function(self.oldest_look)
        metrics.unfinished.labels(name=QUEUE_NAME).set_function(lambda: sum(self._queue.flying.values()))
        metrics.queue_depth.labels(name=QUEUE_NAME).set_function(lambda: self._queue.waiting)

    def wake(self, keys: set[Reference], *, low: bool = False) -> None:
        """Look at these; `low`: when there is nothing better to do."""
        if keys:
            self._loop.call_soon_threadsafe(self._add, keys, low)

    def oldest_look(self) -> float:
        """For how many seconds the oldest look has been going on."""
        return max(self._queue.flying.values(), default=0.0)

    async def run(self) -> None:
        """Work until `drain`."""
        while not self._stopping:
            self._news.clear()
            while len(self._tasks) < MAX_CONCURRENT_RECONCILES and (taken := self._queue.take()) is not None:
                key, waited = taken
                metrics.queue_seconds.labels(name=QUEUE_NAME).observe(waited)
                task = self._loop.create_task(self._one(key))
                self._tasks.add(task)
            # A full house is woken by whoever leaves it.
            timeout = None if len(self._tasks) >= MAX_CONCURRENT_RECONCILES else self._queue.next_due()
            try:
                await asyncio.wait_for(self._news.wait(), timeout)
            except TimeoutError:
                continue

    async def drain(self, seconds: float) -> None:
        """Begin nothing new, and wait that long for what has begun."""
        self._stopping = True
        self._news.set()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=seconds)
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _add(self, keys: set[Reference], low: bool) -> None:
        for key in keys:
            self._queue.add(key, low=low)
            metrics.queue_adds.labels(name=QUEUE_NAME).inc()
        self._news.set()

    async def _one(self, key: Reference) -> None:
        kind = key.api.kind
        began = time.monotonic()
        metrics.active_workers.labels(controller=kind).inc()
        try:
            outcome = await self._loop.run_in_executor(self._pool, self._look, key)
        except Exception:
            logger.exception("%s: the look itself failed", key)
            outcome = RETRY
        finally:
            metrics.active_workers.labels(controller=kind).dec()
        self._queue.done(key, outcome)
        self._measure(kind, outcome, time.monotonic() - began)
        task = asyncio.current_task()
        if task is not None:
            self._tasks.discard(task)
        self._news.set()

    def _measure(self, kind: str, outcome: Result, seconds: float) -> None:
        result = "error" if outcome.failed else "success" if outcome.after is None else "requeue_after"
        metrics.reconciles.labels(controller=kind, result=result).inc()
        metrics.reconcile_seconds.labels(controller=kind).observe(seconds)
        metrics.work_seconds.labels(name=QUEUE_NAME).observe(seconds)
        if outcome.failed:
            metrics.reconcile_errors.labels(controller=kind).inc()
            metrics.queue_retries.labels(name=QUEUE_NAME).inc()
