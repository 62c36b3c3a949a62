"""`python3 -m flywheel_runtime quantize`, between fetch and verify: rewrites the artifact in `inputs/model`.

In: `params.json` `{"path": "model.onnx", "quantize": "Dynamic"}`, and the Dataset's artifact in `inputs/data` if there is one.
A model that cannot be quantised ends with 0 as well, and `quantization.json` with `{"reason", "message"}`: verify, which is the pod's main,
then refuses it, since the words of main alone are the version's own failure.
"""

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from flywheel_runtime.failure import Failure
from flywheel_runtime.fetch.hand_over import let_main_in
from flywheel_runtime.places import Places
from flywheel_runtime.quantize import rows, tested
from flywheel_runtime.quantize.dynamic import quantized
from flywheel_runtime.quantize.rows import Answers

REPORT = "quantization.json"


def main(env: Mapping[str, str] = os.environ) -> int:
    """0 whenever there is a report to read."""
    places = Places.of(env)
    params = json.loads(places.params.read_text(encoding="utf-8"))
    artifact = places.inputs / "model"
    try:
        report = quantize(artifact, str(params.get("path") or "model.onnx"), places.inputs / "data")
    except Failure as failure:
        report = {"v": 1, "reason": failure.reason, "message": failure.message}
    sys.stdout.write(f"{json.dumps(report)}\n")
    _write(artifact / REPORT, report)
    let_main_in(env, places, "quantize")
    return 0


def quantize(artifact: Path, path: str, data: Path) -> dict[str, Any]:
    """Rewrite the artifact; what was measured. A model in which nothing can be quantised stays as it is. Raises Failure."""
    model = artifact / path
    if not model.is_file():
        raise Failure("ModelMissing", f"the source has no file '{path}'; correct spec.path or the source", retry=False)
    before = model.read_bytes()
    after, weights = quantized(before)
    if not weights:
        return {"v": 1, "mode": "Dynamic", "weights": 0, "gap": 0.0, "sizeBefore": len(before), "size": len(before)}
    given, recorded = rows.read(artifact / "golden.json", before)
    old, new = rows.answers(before, given), rows.answers(after, given)
    report = {
        "v": 1,
        "mode": "Dynamic",
        "weights": weights,
        "rows": rows.count(given),
        "golden": recorded is not None,
        "gap": rows.gap(old, new),
        "sizeBefore": len(before),
        "size": len(after),
    }
    if recorded is not None:
        _write(artifact / "golden.json", {**recorded, "outputs": _listed(new)})
    evaluation, metrics = tested.again(artifact, data, before, after)
    if evaluation is not None:
        _write(artifact / "evaluation.json", evaluation)
    _write_bytes(model, after)
    return {**report, **({"metricsBefore": metrics} if metrics else {})}


def _listed(answers: Answers) -> dict[str, Any]:
    return {name: values.tolist() for name, values in answers.items()}


def _write(path: Path, document: Mapping[str, Any]) -> None:
    _write_bytes(path, json.dumps(document, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode())


def _write_bytes(path: Path, content: bytes) -> None:
    """By rename: a container that is started again finds the old file or the new one."""
    unfinished = path.with_name(f".{path.name}.part")
    unfinished.write_bytes(content)
    unfinished.replace(path)
