"""A model made smaller, and what that costs.

model.onnx ──dynamic int8──▶ model.onnx'      golden.json gets the outputs of model.onnx'
     │                           │            evaluation.json gets its metrics on the test split, if the data is there
     └───── the same rows ───────┘            quantization.json has the gap, the sizes and the metrics of both
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from flywheel_runtime.contract.errors import Failure
from flywheel_runtime.models import golden_rows, quantized_evaluation
from flywheel_runtime.models.golden_rows import Tensors
from flywheel_runtime.models.int8_weights import quantize_weights

REPORT = "quantization.json"


def quantize_artifact(artifact: Path, path: str, data: Path) -> dict[str, Any]:
    """Rewrite the artifact and return the report. A model in which nothing can be quantised stays as it is. Raises Failure."""
    model = artifact / path
    if not model.is_file():
        raise Failure("ModelMissing", f"the source has no file '{path}'; correct spec.path or the source")
    before = model.read_bytes()
    after, weights = quantize_weights(before)
    if not weights:
        return {"v": 1, "mode": "Dynamic", "weights": 0, "gap": 0.0, "sizeBefore": len(before), "size": len(before)}
    inputs, document = golden_rows.read_golden_rows(artifact / "golden.json", before)
    old, new = golden_rows.run_model(before, inputs), golden_rows.run_model(after, inputs)
    report = {
        "v": 1,
        "mode": "Dynamic",
        "weights": weights,
        "rows": golden_rows.row_count(inputs),
        "golden": document is not None,
        "gap": golden_rows.relative_gap(old, new),
        "sizeBefore": len(before),
        "size": len(after),
    }
    if document is not None:
        write_json(artifact / "golden.json", {**document, "outputs": _as_json(new)})
    evaluation, metrics_before = quantized_evaluation.evaluate_again(artifact, data, before, after)
    if evaluation is not None:
        write_json(artifact / "evaluation.json", evaluation)
    _write_bytes(model, after)
    return {**report, **({"metricsBefore": metrics_before} if metrics_before else {})}


def _as_json(outputs: Tensors) -> dict[str, Any]:
    return {name: values.tolist() for name, values in outputs.items()}


def write_json(path: Path, document: Mapping[str, Any]) -> None:
    """Write a document as JSON by rename."""
    _write_bytes(path, json.dumps(document, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode())


def _write_bytes(path: Path, content: bytes) -> None:
    """By rename: a container that is started again finds the old file or the new one."""
    unfinished = path.with_name(f".{path.name}.part")
    unfinished.write_bytes(content)
    unfinished.replace(path)
