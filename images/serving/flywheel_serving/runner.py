"""Where inference runs: on the event loop while the model is quick, in threads when it is not."""

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor

from flywheel_serving.datatypes import Array
from flywheel_serving.model import Model

# A hop to a thread and back costs about 0.1 ms on a busy core, several times a small model's own work; a call of 1 ms
# is the longest that other connections are made to wait for.
INLINE_SECONDS = 0.001
INLINE_BYTES = 65_536
SMOOTHING = 0.2


class Runner:
    """Runs a model's calls, and learns from the small ones how long a small call takes."""

    def __init__(self, model: Model, threads: int) -> None:
        self._model = model
        self._pool = ThreadPoolExecutor(max(2, threads), thread_name_prefix="infer")
        self._small_seconds = INLINE_SECONDS  # until measured, a call goes to the pool

    async def run(self, feeds: dict[str, Array], outputs: list[str]) -> list[Array]:
        """One array for each name in `outputs`. Raises ModelFailed."""
        small = _size(feeds) <= INLINE_BYTES
        if small and self._small_seconds < INLINE_SECONDS:
            return self._timed(feeds, outputs, small)
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._pool, self._timed, feeds, outputs, small)

    def _timed(self, feeds: dict[str, Array], outputs: list[str], small: bool) -> list[Array]:
        start = time.perf_counter()
        results = self._model.run(feeds, outputs)
        if small:
            self._small_seconds += SMOOTHING * (time.perf_counter() - start - self._small_seconds)
        return results

    def close(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)


def _size(feeds: dict[str, Array]) -> int:
    """Bytes of all inputs; a text counts with its length, for a few long texts can be much work."""
    total = 0
    for array in feeds.values():
        total += array.nbytes
        if array.dtype == object and total <= INLINE_BYTES:
            total += sum(map(len, array.ravel()))
    return total
