"""`python3 -m flywheel_serving.verify`: the step that admits a ModelVersion, in the image that will serve it.

In: `params.json` `{"format": "ONNX", "path": "model.onnx", "brought": false}` and the artifact in `inputs/model`.
Out: `facts.json`, `outputs/model` for a brought model, and `metrics.json` last. Exit 0, or 2 with `{"reason",
"message"}` in the termination message: what is refused here can never be served. FLYWHEEL_ROOT and
FLYWHEEL_TERMINATION_LOG move `/flywheel` and `/dev/termination-log`.
"""

import contextlib
import json
import logging
import math
import os
import shutil
import sys
import time
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from flywheel_serving import golden, isolation, logs, quantization
from flywheel_serving.errors import ModelRefused
from flywheel_serving.model import Model, read_signature
from flywheel_serving.signature import differences

FACTS_BYTES = 2_000
MESSAGE_BYTES = 2_000
LATENCY_CALLS = 200
WARM_UP_CALLS = 20
DONE, NEVER_WORKS = 0, 2

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Measured:
    """Times of one row in milliseconds, loading in seconds."""

    p50_ms: float
    p95_ms: float
    load_seconds: float
    golden_rows: int
    max_difference: float


def main() -> int:
    logs.start()
    root = Path(os.environ.get("FLYWHEEL_ROOT", "/flywheel"))
    # A file made to break the parser may kill the process: that is the file's fault and must not look like the node's.
    ended = isolation.run(lambda: _attempt(root))
    if ended.signal is None:
        return ended.code
    crash = (
        f"loading or running the model ended the process with {ended.signal}; export it again, or with another opset"
    )
    return _refuse(ModelRefused("ModelCrashed", crash))


def _attempt(root: Path) -> int:
    try:
        verify(root)
    except ModelRefused as refusal:
        return _refuse(refusal)
    return DONE


def _refuse(refusal: ModelRefused) -> int:
    log.error("%s", refusal, extra={"facts": {"reason": refusal.reason}})
    message = str(refusal).encode()[:MESSAGE_BYTES].decode(errors="ignore")
    path = Path(os.environ.get("FLYWHEEL_TERMINATION_LOG", "/dev/termination-log"))
    with contextlib.suppress(OSError):  # outside Kubernetes there is none; the log has the same words
        path.write_text(json.dumps({"reason": refusal.reason, "message": message}))
    return NEVER_WORKS


def verify(root: Path) -> None:
    """Checks the artifact below `root`, and writes what was measured. Raises ModelRefused."""
    params = _read_json(root / "params.json", "ParamsInvalid")
    if params.get("format", "ONNX") != "ONNX":
        raise ModelRefused("FormatNotAllowed", f"format {params['format']!r} is not allowed; the only one is ONNX")
    folder, path = root / "inputs" / "model", _model_path(root, params)
    brought = bool(params.get("brought"))
    quantized = quantization.read(params, folder)
    start = time.perf_counter()
    model = Model(path)
    loaded = time.perf_counter() - start
    if not brought:
        _check_signature(folder / "signature.json", model)
    rows = golden.read(path.parent / "golden.json", model.signature)
    measured = _measure(model, rows, loaded)
    evaluation = _evaluation(folder / "evaluation.json")
    outputs = root / "outputs"
    if brought:
        _write_artifact(outputs / "model", path, model)
    quantization.pack(quantized, folder, outputs / "model")
    _write_json(outputs / "facts.json", _facts(model, measured, {**evaluation, **quantization.facts(quantized)}))
    # Written last: it says that the outputs are whole.
    found = _metrics(path, measured, evaluation)
    _write_json(outputs / "metrics.json", {**found, **quantization.metrics(quantized)})
    log.info("verified %s: %.3f ms for one row", path.name, measured.p50_ms)


def _model_path(root: Path, params: dict[str, Any]) -> Path:
    relative = PurePosixPath(str(params.get("path") or "model.onnx"))
    if relative.is_absolute() or ".." in relative.parts:
        raise ModelRefused("PathInvalid", f"path {str(relative)!r} leaves the artifact; name a file inside it")
    return root / "inputs" / "model" / relative


def _check_signature(path: Path, model: Model) -> None:
    recorded = read_signature(path)
    if recorded is None:
        return  # a container in any language needs to leave no more than the model; its own signature then counts
    if found := differences(recorded, model.signature):
        raise ModelRefused("SignatureMismatch", f"{'; '.join(found[:3])}; train and register the model again")


def _measure(model: Model, rows: golden.Golden | None, load_seconds: float) -> Measured:
    played = rows or golden.synthesised(model.signature)
    difference = golden.replay(played, model)
    row = played.one_row()
    names = [spec.name for spec in model.signature.outputs]
    times = []
    for _ in range(WARM_UP_CALLS + LATENCY_CALLS):
        start = time.perf_counter()
        model.run(row, names)
        times.append(1_000 * (time.perf_counter() - start))
    p50, p95 = np.percentile(times[WARM_UP_CALLS:], [50, 95])
    return Measured(round(float(p50), 4), round(float(p95), 4), load_seconds, rows.rows if rows else 0, difference)


def _evaluation(path: Path) -> dict[str, Any]:
    """The `test` part of evaluation.json, empty where there is none."""
    if not path.is_file():
        return {}
    test = _read_json(path, "EvaluationInvalid").get("test") or {}
    if not isinstance(test, dict):
        raise ModelRefused("EvaluationInvalid", "evaluation.json: 'test' must be an object; train and register again")
    return test


def _metrics(path: Path, measured: Measured, evaluation: dict[str, Any]) -> dict[str, float]:
    given = evaluation.get("metrics") or {}
    passed = {name: value for name, value in given.items() if type(value) in (int, float) and math.isfinite(value)}
    return {**passed, "p50_ms": measured.p50_ms, "p95_ms": measured.p95_ms, "size_bytes": path.stat().st_size}


def _facts(model: Model, measured: Measured, evaluation: dict[str, Any]) -> dict[str, Any]:
    facts: dict[str, Any] = {
        "golden": {"rows": measured.golden_rows, "maxDifference": measured.max_difference},
        "loadSeconds": round(measured.load_seconds, 3),
    }
    if isinstance(evaluation.get("digest"), str):
        facts["testDigest"] = evaluation["digest"]
    if "quantization" in evaluation:
        facts["quantization"] = evaluation["quantization"]
    whole = {"signature": model.signature.document(), **facts}
    return whole if len(_dump(whole)) <= FACTS_BYTES else facts


def _write_artifact(folder: Path, path: Path, model: Model) -> None:
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
    """By rename, so that a reader finds the whole file or none."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.part")
    temporary.write_bytes(_dump(document))
    temporary.rename(path)


if __name__ == "__main__":
    sys.exit(main())
