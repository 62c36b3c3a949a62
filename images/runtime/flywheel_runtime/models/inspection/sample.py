"""The test rows on which a model is inspected."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from flywheel_runtime.models import onnx_model
from flywheel_runtime.models.golden_rows import Tensors
from flywheel_runtime.models.onnx_model import OnnxModel
from flywheel_runtime.models.test_set import TestSet
from flywheel_runtime.statistics.failed_rows import find_answered
from flywheel_runtime.statistics.metrics import Array, ScoredRows

SEED = 0


@dataclass(frozen=True)
class Sample:
    """Rows that the model answers: its inputs by name, each (rows, …), and the true targets `y_true` (rows,)."""

    model: OnnxModel
    test: TestSet
    inputs: Tensors
    y_true: Array

    def __len__(self) -> int:
        return len(self.y_true)

    def take(self, rows: Array) -> "Sample":
        """Some of the rows, by their numbers."""
        inputs = {name: values[rows] for name, values in self.inputs.items()}
        return replace(self, inputs=inputs, y_true=self.y_true[rows])

    def score(self, changes: Mapping[str, Array]) -> ScoredRows:
        """The rows with the predictions for their inputs, of which `changes` replaces some; rows without a finite answer are left out."""
        predicted, probabilities = self.model.predict(self.test, {**self.inputs, **changes})
        scored = ScoredRows(self.y_true, predicted, probabilities)
        return scored.take(np.flatnonzero(find_answered(scored)))


def draw_sample(model: OnnxModel, test: TestSet, max_rows: int) -> Sample:
    """At most `max_rows` rows, a random one of each of so many equal stretches of the test split; the same each time.

    So a split in the order of time is covered as a whole, and rows that follow a cycle are not drawn in step with it.
    """
    edges = np.linspace(0, len(test), min(len(test), max_rows) + 1).astype(int)
    chosen = np.random.default_rng(SEED).integers(edges[:-1], edges[1:])
    batches = []
    for start in range(0, len(test), onnx_model.BATCH_ROWS):
        rows = chosen[(chosen >= start) & (chosen < start + onnx_model.BATCH_ROWS)] - start
        batches.append({name: values[rows] for name, values in model.read_inputs(test, start).items()})
    inputs = {name: np.concatenate([batch[name] for batch in batches]) for name in batches[0]}
    sample = Sample(model, test, inputs, test.y_true[chosen])
    scored = ScoredRows(sample.y_true, *model.predict(test, inputs))
    return sample.take(np.flatnonzero(find_answered(scored)))
