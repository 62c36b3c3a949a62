"""Checks and measures one artifact, and writes what was found."""

import logging
import time
from pathlib import Path
from typing import Any

import numpy as np

from flywheel_serving.errors import ModelRefused
from flywheel_serving.explanation.expected_method import expect_method
from flywheel_serving.model.datatypes import Array
from flywheel_serving.model.graph import add_class_names, read_graph
from flywheel_serving.model.onnx_model import OnnxModel, read_signature
from flywheel_serving.model.row_comparison import compare_rows
from flywheel_serving.model.row_independence.proof import graph_row_mixing
from flywheel_serving.model.signature import signature_differences
from flywheel_serving.model.warm_up.observation import Observation, observe
from flywheel_serving.verify import artifact, importance, quantization, rowwise_features
from flywheel_serving.workers.kernels import unsafe_operator

MAX_FACTS_BYTES = 2_000
MAX_LEFT_OUT = 256  # names, as status.signature has them
MAX_FINDING_CHARACTERS = 200
MAX_NOTE_CHARACTERS = 400
MAX_OPERATOR_CHARACTERS = 64
LATENCY_CALLS = 200
WARM_UP_CALLS = 20
NO_ACCEPTED_ROW = "no row is known that it takes"

log = logging.getLogger(__name__)


def verify(root: Path) -> None:
    """Checks the artifact in `root`/inputs/model, and writes facts, metrics and outputs. Raises ModelRefused."""
    params = artifact.read_json(root / "params.json", "ParamsInvalid")
    if params.get("format", "ONNX") != "ONNX":
        raise ModelRefused("FormatNotAllowed", f"format {params['format']!r} is not allowed; the only one is ONNX")
    folder, outputs = root / "inputs" / "model", root / "outputs"
    path = artifact.path_inside(folder, str(params.get("path") or "model.onnx"))
    report = quantization.read_report(params, folder)
    start = time.perf_counter()
    model = OnnxModel(path)
    load_seconds = time.perf_counter() - start
    rowwise = None
    if not params.get("brought"):
        _check_signature(folder / "signature.json", model)
        rowwise = rowwise_features.read_rowwise(folder, model.metadata)
    example = artifact.read_example(params, folder)
    golden_path = path.parent / artifact.GOLDEN
    observed = _observe(artifact.recorded_rows(example, golden_path, model.signature), model)
    facts = {"loadSeconds": round(load_seconds, 3), **_measure(path, model, observed)}
    latency = _latency_ms(model, observed)
    evaluation = artifact.read_evaluation(folder / "evaluation.json")
    if params.get("brought"):
        artifact.write_brought(outputs / "model", path, model.signature)
        artifact.write_golden(outputs / "model", example, golden_path)
    elif example is not None:
        artifact.copy_documents(folder, outputs / "model", model.signature)
        artifact.write_golden(outputs / "model", example, golden_path)
    quantization.copy_artifact(report, folder, outputs / "model")
    document = _facts(model, facts, {**evaluation, **quantization.facts(report)})
    _add_shortened(document, "rowwise", rowwise)
    _add_shortened(document, "importance", importance.read_importance(folder, path))
    artifact.write_json(outputs / "facts.json", document)
    # Written last: its presence says that the outputs are complete.
    metrics = {**artifact.reported_metrics(evaluation), **latency, "size_bytes": path.stat().st_size}
    artifact.write_json(outputs / "metrics.json", {**metrics, **quantization.metrics(report)})
    log.info("verified %s", path.name, extra={"facts": latency})


def _check_signature(path: Path, model: OnnxModel) -> None:
    recorded = read_signature(path)
    if recorded is None:
        return  # a custom container may write the model alone; then the model's own signature counts
    if differences := signature_differences(recorded, model.signature):
        raise ModelRefused("SignatureMismatch", f"{'; '.join(differences[:3])}; train and register the model again")


def _observe(recorded: Any, model: OnnxModel) -> Observation:
    """What the model returns; its signature has the observed shapes from now on. Raises ModelRefused."""
    observed = observe(recorded, model)
    if not observed.has_rows:
        advice = (
            "export the model so that each row of its inputs has one in its outputs, with a first axis of any length"
        )
        raise ModelRefused("RowsMissing", f"{observed.finding}; {advice}")
    model.signature = observed.signature
    return observed


def _measure(path: Path, model: OnnxModel, observed: Observation) -> dict[str, Any]:
    """The facts about rows, and about where the model may be computed."""
    graph, classes = read_graph(path)
    model.signature = add_class_names(model.signature, classes)
    rows, recorded = observed.rows, observed.rows is not None and observed.is_recorded
    mixing = graph_row_mixing(graph) or (compare_rows(rows, model) if rows else NO_ACCEPTED_ROW)
    return {
        "golden": {"rows": rows.rows if rows and recorded else 0, "maxDifference": observed.difference},
        # Empty is a fact, too.
        "isolated": unsafe_operator(graph)[:MAX_OPERATOR_CHARACTERS],
        "explanation": expect_method(path, graph, rows.rows if rows and recorded else 0),
        **({"rowMixing": mixing[:MAX_FINDING_CHARACTERS]} if mixing else {}),
        **({"note": note[:MAX_NOTE_CHARACTERS]} if (note := _note(observed)) else {}),
    }


def _note(observed: Observation) -> str:
    """What a user should know of a model that is verified all the same."""
    if observed.left_out:
        names = ", ".join(f"'{name}'" for name in observed.left_out)
        return f"{observed.finding}; left out of its answers: {names}"
    if observed.rows is None:
        return f"{observed.finding}; give a row that it takes in spec.example, so that it is tried before it serves"
    return observed.finding


def _latency_ms(model: OnnxModel, observed: Observation) -> dict[str, float]:
    """Percentiles of the time of one call; none where no row is known that the model takes."""
    if observed.rows is None:
        return {}
    row: dict[str, Array] = observed.rows.one_row()
    names = [spec.name for spec in model.signature.outputs]
    times_ms = []
    for _ in range(WARM_UP_CALLS + LATENCY_CALLS):
        start = time.perf_counter()
        model.run(row, names)
        times_ms.append(1_000 * (time.perf_counter() - start))
    p50, p95 = np.percentile(times_ms[WARM_UP_CALLS:], [50, 95])
    return {"p50_ms": round(float(p50), 4), "p95_ms": round(float(p95), 4)}


def _add_shortened(facts: dict[str, Any], name: str, found: dict[str, Any] | None) -> None:
    """Adds `found` with as many of its first features as there is room for; the artifact has all of them."""
    if found is None:
        return
    for count in range(len(found["features"]), 0, -1):
        added = {name: {**found, "features": found["features"][:count]}}
        if len(artifact.dump_json({**facts, **added})) <= MAX_FACTS_BYTES:
            facts.update(added)
            return


def _facts(model: OnnxModel, measured: dict[str, Any], evaluation: dict[str, Any]) -> dict[str, Any]:
    facts = dict(measured)
    if isinstance(evaluation.get("digest"), str):
        facts["testDigest"] = evaluation["digest"]
    if "quantization" in evaluation:
        facts["quantization"] = evaluation["quantization"]
    signature = model.signature.document()
    ignored = signature.pop("leftOut", [])[:MAX_LEFT_OUT]
    for described in ({**signature, "leftOut": ignored} if ignored else signature, signature):
        with_signature = {"signature": described, **facts}
        if len(artifact.dump_json(with_signature)) <= MAX_FACTS_BYTES:
            return with_signature
    return facts
