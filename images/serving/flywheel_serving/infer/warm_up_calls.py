"""Calls before the first request: onnxruntime allocates what it needs, and the runner learns how long calls take."""

import asyncio
import time

import numpy as np

from flywheel_serving.infer.runner import ModelResult, Runner
from flywheel_serving.model.datatypes import Array

SINGLE_ROW_CALLS = 5
LONG_SECONDS = 0.05  # a model that takes this long is not computed on the event loop


async def run_warm_up_calls(runner: Runner, row: dict[str, Array], outputs: list[str], max_rows: int) -> None:
    """Calls the model for `row`, and for batches of it that double to `max_rows` rows while they are short."""
    for _ in range(SINGLE_ROW_CALLS):
        await _call(runner, row, outputs)
    rows, seconds = 1, 0.0
    while rows < max_rows and seconds < LONG_SECONDS:
        rows = min(2 * rows, max_rows)
        start = time.perf_counter()
        await _call(runner, {name: np.repeat(array, rows, axis=0) for name, array in row.items()}, outputs)
        seconds = time.perf_counter() - start


async def _call(runner: Runner, feeds: dict[str, Array], outputs: list[str]) -> None:
    ended: asyncio.Future[ModelResult] = asyncio.get_running_loop().create_future()
    runner.run(feeds, outputs, ended.set_result)
    await ended
