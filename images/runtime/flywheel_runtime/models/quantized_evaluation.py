"""The test split once more: a gate must measure the model that is served, not the one that it was made from."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from flywheel_runtime.contract.errors import Failure

# What the data, or a model that was not trained by trainer sklearn, may lack.
UNSCORABLE = frozenset({"ModelNotScorable", "DataMismatch", "TargetMissing"})
Metrics = Mapping[str, float]


def evaluate_again(artifact: Path, data: Path, before: bytes, after: bytes) -> tuple[dict[str, Any] | None, Metrics]:
    """The evaluation.json of the quantised model, and the metrics of the model before; (None, {}) where there is no evaluation.

    Both models are measured here, on the same rows. Without the data, or for a model that was not trained by trainer sklearn, nothing
    is known of the quantised model but its gap: the new evaluation has no metrics then.
    """
    path = artifact / "evaluation.json"
    if not path.is_file():
        return None, {}
    test = json.loads(path.read_bytes()).get("test") or {}
    known = {name: value for name, value in (test.get("metrics") or {}).items() if isinstance(value, (int, float))}
    measured = _measure(artifact, data, before, after) if known else None
    if measured is None:
        return {"v": 1, "test": {**test, "metrics": {}}}, known
    metrics_before, metrics_after, rows = measured
    return {"v": 1, "test": {**test, "rows": rows, "metrics": metrics_after}}, metrics_before


def _measure(artifact: Path, data: Path, before: bytes, after: bytes) -> tuple[Metrics, Metrics, int] | None:
    """The metrics of both models, and the number of rows; None where they cannot be measured."""
    if not (data / "schema.json").is_file() or not (artifact / "signature.json").is_file():
        return None
    from flywheel_runtime.models.onnx_model import OnnxModel
    from flywheel_runtime.models.test_set import SAMPLE_ROWS, find_mismatch, open_test_set
    from flywheel_runtime.statistics.metrics import METRICS_OF_TASK, metric_values

    signature = json.loads((artifact / "signature.json").read_bytes())
    try:
        with open_test_set(data, SAMPLE_ROWS) as test:
            if signature.get("target") != test.data.target or find_mismatch(test.data.schema, signature):
                return None
            scored = [OnnxModel.load(content, signature).score(test) for content in (before, after)]
            metrics = [metric_values(METRICS_OF_TASK[test.task], each) for each in scored]
            return metrics[0], metrics[1], len(test)
    except Failure as failure:
        if failure.reason not in UNSCORABLE:
            raise
        return None
