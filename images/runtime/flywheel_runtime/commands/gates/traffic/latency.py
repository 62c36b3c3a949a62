"""How long single rows take, of the real mix: both models in turn, so that a busy machine slows both."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from flywheel_runtime.commands.gates.traffic.model_answers import AnsweringModel, as_input
from flywheel_runtime.commands.gates.traffic.request_log import RowBatch
from flywheel_runtime.models.golden_rows import Tensors

ROWS_OF_A_BATCH, MAX_ROWS = 128, 256
WARM_UP_ROWS = 8
MAX_SECONDS = 20.0


@dataclass
class LatencySample:
    """Some rows of each batch, to be asked as requests of one row."""

    parts: list[Tensors] = field(default_factory=list)
    rows: int = 0

    def add(self, batch: RowBatch) -> None:
        """Keep rows that are spread evenly over the batch."""
        room = min(ROWS_OF_A_BATCH, MAX_ROWS - self.rows, len(batch))
        if room > 0:
            chosen = np.unique(np.linspace(0, len(batch) - 1, room, dtype=int))
            self.parts.append(batch.take_features(chosen))
            self.rows += len(chosen)

    def requests(self, models: Sequence[AnsweringModel]) -> Iterator[list[Tensors | None]]:
        """The inputs of each model for one row after the other; None where a row lacks a column that the model takes."""
        for part in self.parts:
            typed = [_inputs(model, part) for model in models]
            for row in range(len(next(iter(part.values())))):
                yield [
                    None if each is None else {name: of[row : row + 1] for name, of in each.items()} for each in typed
                ]


def _inputs(model: AnsweringModel, part: Tensors) -> Tensors | None:
    if not model.inputs.keys() <= part.keys():
        return None
    return {name: as_input(declared, part[name]) for name, declared in model.inputs.items()}


def measure_latency(models: Sequence[AnsweringModel], sample: LatencySample) -> list[dict[str, Any]]:
    """The median and the 99th percentile of each model in milliseconds, of calls in this process without a server. Both have answered the rows before."""
    milliseconds: list[list[float]] = [[] for _ in models]
    end = time.perf_counter() + MAX_SECONDS
    for number, inputs_of_models in enumerate(sample.requests(models)):
        for model, inputs, measured in zip(models, inputs_of_models, milliseconds, strict=True):
            if inputs is None:
                continue
            start = time.perf_counter()
            model.model.session.run(None, inputs)
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
