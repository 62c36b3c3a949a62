"""Checks and measures one artifact, and writes what was found."""

import json
import logging
import math
import shutil
import time
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from flywheel_serving.errors import ModelRefused
from flywheel_serving.model import golden_rows
from flywheel_serving.model.datatypes import Array
from flywheel_serving.model.onnx_file import read_model
from flywheel_serving.model.onnx_model import OnnxModel, read_signature
from flywheel_serving.model.row_comparison import compare_rows
from flywheel_serving.model.row_independence.proof import graph_row_mixing
from flywheel_serving.model.signature import signature_differences
from flywheel_serving.verify import quantization
from flywheel_serving.workers.kernels import unsafe_operator

MAX_FACTS_BYTES = 2_000
MAX_FINDING_CHARACTERS = 200
MAX_OPERATOR_CHARACTERS = 64
LATENCY_CALLS = 200
WARM_UP_CALLS = 20

log = logging.getLogger(__name__)


def verify(root: Path) -> None:
    """Checks the artifact in `root`/inputs/model, and writes facts, metrics and outputs. Raises ModelRefused."""
    params = _read_json(root / "params.json", "ParamsInvalid")
    if params.get("format", "ONNX") != "ONNX":
        raise ModelRefused("FormatNotAllowed", f"format {params['format']!r} is not allowed; the only one is ONNX")
    folder, path = root / "inputs" / "model", _model_path(root, params)
    is_brought = bool(params.get("brought"))
    report = quantization.read_report(params, folder)
    start = time.perf_counter()
    model = OnnxModel(path)
    load_seconds = time.perf_counter() - start
    if not is_brought:
        _check_signature(folder / "signature.json", model)
    rows = golden_rows.read_golden_rows(path.parent / "golden.json", model.signature)
    replayed = rows or golden_rows.zero_row(model.signature)
    difference = golden_rows.replay(replayed, model)
    latency = _latency_ms(model, replayed.one_row())
    evaluation = _evaluation(folder / "evaluation.json")
    outputs = root / "outputs"
    if is_brought:
        _write_artifact(outputs / "model", path, model)
    quantization.copy_artifact(report, folder, outputs / "model")
    golden = {"rows": rows.rows if rows else 0, "maxDifference": difference}
    graph = read_model(path)
    mixing = (graph_row_mixing(graph) or compare_rows(replayed, model))[:MAX_FINDING_CHARACTERS]
    measured = {
        "golden": golden,
        "loadSeconds": round(load_seconds, 3),
        "isolated": unsafe_operator(graph)[:MAX_OPERATOR_CHARACTERS],  # empty is a fact too
        **({"rowMixing": mixing} if mixing else {}),
    }
    _write_json(outputs / "facts.json", _facts(model, measured, {**evaluation, **quantization.facts(report)}))
    # Written last: its presence says that the outputs are complete.
    metrics = {**_reported_metrics(evaluation), **latency, "size_bytes": path.stat().st_size}
    _write_json(outputs / "metrics.json", {**metrics, **quantization.metrics(report)})
    log.info("verified %s: %.3f ms for one row", path.name, latency["p50_ms"])


def _model_path(root: Path, params: dict[str, Any]) -> Path:
    relative = PurePosixPath(str(params.get("path") or "model.onnx"))
    if relative.is_absolute() or ".." in relative.parts:
        raise ModelRefused("PathInvalid", f"path {str(relative)!r} leaves the artifact; name a file inside it")
    return root / "inputs" / "model" / relative


def _check_signature(path: Path, model: OnnxModel) -> None:
    recorded = read_signature(path)
    if recorded is None:
        return  # a custom container may write the model alone; then the model's own signature counts
    if differences := signature_differences(recorded, model.signature):
        raise ModelRefused("SignatureMismatch", f"{'; '.join(differences[:3])}; train and register the model again")


def _latency_ms(model: OnnxModel, row: dict[str, Array]) -> dict[str, float]:
    """Percentiles of the time of one call."""
    names = [spec.name for spec in model.signature.outputs]
    times_ms = []
    for _ in range(WARM_UP_CALLS + LATENCY_CALLS):
        start = time.perf_counter()
        model.run(row, names)
        times_ms.append(1_000 * (time.perf_counter() - start))
    p50, p95 = np.percentile(times_ms[WARM_UP_CALLS:], [50, 95])
    return {"p50_ms": round(float(p50), 4), "p95_ms": round(float(p95), 4)}


def _evaluation(path: Path) -> dict[str, Any]:
    """The object `test` of evaluation.json, empty without one."""
    if not path.is_file():
        return {}
    test = _read_json(path, "EvaluationInvalid").get("test") or {}
    if not isinstance(test, dict):
        raise ModelRefused("EvaluationInvalid", "evaluation.json: 'test' must be an object; train and register again")
    return test


def _reported_metrics(evaluation: dict[str, Any]) -> dict[str, float]:
    reported = evaluation.get("metrics") or {}
    return {name: value for name, value in reported.items() if type(value) in (int, float) and math.isfinite(value)}


def _facts(model: OnnxModel, measured: dict[str, Any], evaluation: dict[str, Any]) -> dict[str, Any]:
    facts = dict(measured)
    if isinstance(evaluation.get("digest"), str):
        facts["testDigest"] = evaluation["digest"]
    if "quantization" in evaluation:
        facts["quantization"] = evaluation["quantization"]
    with_signature = {"signature": model.signature.document(), **facts}
    return with_signature if len(_dump(with_signature)) <= MAX_FACTS_BYTES else facts


def _write_artifact(folder: Path, path: Path, model: OnnxModel) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(path, folder / "model.onnx")
    _write_json(folder / "signature.json", model.signature.document())


def _read_json(path: Path, reason: str) -> dict[str, Any]:
    try:
        document = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise ModelRefused(
            reason, f"{path.name} cannot be read: {error}; the artifact or the step is damaged"
        ) from error
    if not isinstance(document, dict):
        raise ModelRefused(reason, f"{path.name} must hold an object; the artifact or the step is damaged")
    return document


def _dump(document: dict[str, Any]) -> bytes:
    return json.dumps(document, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()


def _write_json(path: Path, document: dict[str, Any]) -> None:
    """Writes by renaming, so that a reader finds the complete file or none."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.part")
    temporary.write_bytes(_dump(document))
    temporary.rename(path)
