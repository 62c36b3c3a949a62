"""A model made smaller, and what that costs.

model.onnx ──dynamic int8──▶ model.onnx'      golden.json gets the answers of model.onnx'
     │                           │            evaluation.json gets its metrics on the test split, if the data is there
     └───── the same rows ───────┘            quantization.json says gap, sizes and both sides' metrics
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from flywheel_runtime.contract.errors import Failure
from flywheel_runtime.models import golden_rows, quantized_evaluation
from flywheel_runtime.models.dynamic_quantization import quantized
from flywheel_runtime.models.golden_rows import Answers

REPORT = "quantization.json"


def quantize_artifact(artifact: Path, path: str, data: Path) -> dict[str, Any]:
    """Rewrite the artifact; what was measured. A model in which nothing can be quantised stays as it is. Raises Failure."""
    model = artifact / path
    if not model.is_file():
        raise Failure("ModelMissing", f"the source has no file '{path}'; correct spec.path or the source")
    before = model.read_bytes()
    after, weights = quantized(before)
    if not weights:
        return {"v": 1, "mode": "Dynamic", "weights": 0, "gap": 0.0, "sizeBefore": len(before), "size": len(before)}
    given, recorded = golden_rows.read(artifact / "golden.json", before)
    old, new = golden_rows.answers(before, given), golden_rows.answers(after, given)
    report = {
        "v": 1,
        "mode": "Dynamic",
        "weights": weights,
        "rows": golden_rows.count(given),
        "golden": recorded is not None,
        "gap": golden_rows.gap(old, new),
        "sizeBefore": len(before),
        "size": len(after),
    }
    if recorded is not None:
        write_json(artifact / "golden.json", {**recorded, "outputs": _listed(new)})
    evaluation, metrics = quantized_evaluation.again(artifact, data, before, after)
    if evaluation is not None:
        write_json(artifact / "evaluation.json", evaluation)
    _write_bytes(model, after)
    return {**report, **({"metricsBefore": metrics} if metrics else {})}


def _listed(answers: Answers) -> dict[str, Any]:
    return {name: values.tolist() for name, values in answers.items()}


def write_json(path: Path, document: Mapping[str, Any]) -> None:
    """Write a document as JSON by rename."""
    _write_bytes(path, json.dumps(document, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode())


def _write_bytes(path: Path, content: bytes) -> None:
    """By rename: a container that is started again finds the old file or the new one."""
    unfinished = path.with_name(f".{path.name}.part")
    unfinished.write_bytes(content)
    unfinished.replace(path)
