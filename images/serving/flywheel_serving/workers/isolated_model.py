"""A model whose calls run in worker processes, with the interface of OnnxModel."""

import logging
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from flywheel_serving.errors import ModelCrashed, ModelRefused, Overloaded
from flywheel_serving.model.datatypes import Array
from flywheel_serving.workers.frames import MAX_ARRAY_BYTES
from flywheel_serving.workers.memory_share import share_memory
from flywheel_serving.workers.process import WorkerProcess

MAX_MEMORY_BYTES = 2**50
FIRST_PAUSE_SECONDS, MAX_PAUSE_SECONDS = 1.0, 30.0

log = logging.getLogger(__name__)


class IsolatedModel:
    """One worker, and further ones while calls overlap: at most `max_workers`. Thread-safe."""

    def __init__(
        self,
        path: Path,
        threads: int,
        *,
        max_workers: int = 2,
        memory_bytes: int = MAX_MEMORY_BYTES,
        max_output_bytes: int = MAX_ARRAY_BYTES,
    ) -> None:
        """Loads the model, which onnx_file.read_model has accepted, in a first worker. Raises ModelRefused.

        All workers together may have `memory_bytes`, and one call may have outputs of `max_output_bytes`.
        """
        self._path, self._threads, self._max_output_bytes = path, threads, max_output_bytes
        try:
            first = WorkerProcess(path, threads, max_output_bytes, memory_bytes)
        except ModelCrashed as error:
            raise ModelRefused("ModelCrashed", f"{path.name} cannot be loaded: {error}") from error
        self._share = share = share_memory(memory_bytes, max_workers, first.loaded_bytes)
        self._loading_bytes = first.data_bytes + share.call_bytes
        first.limit_growth(share.call_bytes)
        if share.workers < max_workers:
            log.info("%d of %d workers have room in %d bytes of memory", share.workers, max_workers, memory_bytes)
        self._idle = deque([first])  # its methods are atomic
        self._workers = {first}
        self._closed = threading.Event()
        self._restoring = threading.Lock()
        self._failed_starts = 0  # in succession, since the last start or result
        self.signature = first.signature
        self.providers = first.providers

    @property
    def max_workers(self) -> int:
        """The number of workers that have room in memory at once."""
        return self._share.workers

    @property
    def is_crashed(self) -> bool:
        """Whether it has no worker, and two starts of one have failed in succession."""
        return self._failed_starts > 1 and not self._workers

    @property
    def pids(self) -> list[int]:
        """The process ids of the workers."""
        return [worker.pid for worker in list(self._workers)]

    def run(self, feeds: dict[str, Array], outputs: list[str], seconds: float | None = None) -> list[Array]:
        """As OnnxModel.run. Raises ModelFailed, ModelCrashed, TimeLimitExceeded, and Overloaded if no worker can be started."""
        with self.lease() as worker:
            return worker.run(feeds, outputs, seconds)

    @contextmanager
    def lease(self) -> Iterator[WorkerProcess]:
        """A worker for one call: an idle one, or a new one that has loaded the model. Raises Overloaded if none can be started."""
        worker = self._take_worker()
        try:
            yield worker
            self._failed_starts = 0
        finally:
            if worker.is_alive:
                self._idle.append(worker)
            else:
                self._drop(worker, "has ended")

    def _take_worker(self) -> WorkerProcess:
        while self._idle:
            try:
                worker = self._idle.pop()
            except IndexError:  # another thread was faster
                break
            if worker.is_alive:
                return worker
            self._drop(worker, "has ended while it was idle")
        try:
            return self._start_worker()
        except (ModelCrashed, ModelRefused, OSError) as error:
            raise Overloaded(f"no worker of the model can be started ({error}); retry in a second") from error

    def _drop(self, worker: WorkerProcess, finding: str) -> None:
        log.warning("worker %d of the model %s; another one replaces it", worker.pid, finding)
        worker.kill()
        self._workers.discard(worker)

    def _start_worker(self) -> WorkerProcess:
        try:
            worker = WorkerProcess(self._path, self._threads, self._max_output_bytes, self._loading_bytes)
        except (ModelCrashed, ModelRefused, OSError):
            self._failed_starts += 1
            raise
        worker.limit_growth(self._share.call_bytes)
        self._failed_starts = 0
        self._workers.add(worker)
        return worker

    def restore(self) -> None:
        """Starts a worker if none is left, again and again until one has loaded the model."""
        pause_seconds = FIRST_PAUSE_SECONDS
        with self._restoring:  # the calls that lost the worker wait for the same one
            while not self._workers and not self._closed.is_set():
                try:
                    self._idle.append(self._start_worker())
                except (ModelCrashed, ModelRefused, OSError) as error:
                    log.warning("no worker of the model can be started, again in %g s: %s", pause_seconds, error)
                    self._closed.wait(pause_seconds)
                    pause_seconds = min(2 * pause_seconds, MAX_PAUSE_SECONDS)

    def close(self) -> None:
        """Ends all workers."""
        self._closed.set()
        for worker in list(self._workers):
            worker.kill()
