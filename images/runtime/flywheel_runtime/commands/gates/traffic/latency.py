"""How long single rows take, of the real mix: both models in turn, so that a busy machine slows both."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from flywheel_runtime.commands.gates.traffic.model_answers import AnsweringModel, as_input
from flywheel_runtime.commands.gates.traffic.request_log import RowBatch
from flywheel_runtime.models.golden_rows import Tensors

ROWS_OF_A_BATCH, MAX_ROWS = 256, 512
WARM_UP_ROWS = 8
MAX_SECONDS = 20.0


@dataclass
class LatencySample:
    """Some rows of each batch, as requests of one row."""

    rows: list[Tensors] = field(default_factory=list)

    def add(self, batch: RowBatch) -> None:
        """Keep rows that are spread evenly over the batch."""
        room = min(ROWS_OF_A_BATCH, MAX_ROWS - len(self.rows), len(batch))
        for row in np.unique(np.linspace(0, len(batch) - 1, room, dtype=int)) if room > 0 else ():
            self.rows.append(batch.take_features(np.array([row])))


def measure_latency(models: Sequence[AnsweringModel], sample: LatencySample) -> list[dict[str, Any]]:
    """The median and the 99th percentile of each model in milliseconds, of calls in this process without a server. Raises Unmeasurable.

    A model that does not take the columns of a row, as the champion of an earlier row, is not measured on it.
    """
    milliseconds: list[list[float]] = [[] for _ in models]
    end = time.perf_counter() + MAX_SECONDS
    for number, row in enumerate([*sample.rows[:WARM_UP_ROWS], *sample.rows]):
        for model, measured in zip(models, milliseconds, strict=True):
            if not model.inputs.keys() <= row.keys():
                continue
            inputs = {name: as_input(declared, row[name]) for name, declared in model.inputs.items()}
            start = time.perf_counter()
            model.compute(inputs)
            if number >= WARM_UP_ROWS:
                measured.append(1_000 * (time.perf_counter() - start))
        if time.perf_counter() > end:
            break
    return [_describe(each) for each in milliseconds]


def _describe(milliseconds: list[float]) -> dict[str, Any]:
    if not milliseconds:
        return {"rows": 0}
    p50, p99 = np.percentile(milliseconds, [50, 99])
    return {"rows": len(milliseconds), "p50Ms": round(float(p50), 4), "p99Ms": round(float(p99), 4)}
