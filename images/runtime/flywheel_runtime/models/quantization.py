"""A model made smaller, and what that costs.

model.onnx ──dynamic int8──▶ model.onnx'      golden.json gets the outputs of model.onnx'
     │                           │            evaluation.json gets its metrics on the test split, if the data is there
     └───── the same rows ───────┘            quantization.json has the gap, the sizes and the metrics of both
"""

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from flywheel_runtime.contract.errors import Failure, one_line
from flywheel_runtime.contract.step import replace_file
from flywheel_runtime.models import golden_rows

REPORT = "quantization.json"
# What the data, or a model that was not trained by trainer sklearn, may lack.
UNSCORABLE = frozenset({"ModelNotScorable", "DataMismatch", "TargetMissing"})
Metrics = Mapping[str, float]


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
        "rows": len(next(iter(inputs.values()), ())),
        "golden": document is not None,
        "gap": golden_rows.relative_gap(old, new),
        "sizeBefore": len(before),
        "size": len(after),
    }
    if document is not None:
        write_json(
            artifact / "golden.json", {**document, "outputs": {name: values.tolist() for name, values in new.items()}}
        )
    evaluation, metrics_before = _evaluate_again(artifact, data, before, after)
    if evaluation is not None:
        write_json(artifact / "evaluation.json", evaluation)
    replace_file(model, after)
    return {**report, **({"metricsBefore": metrics_before} if metrics_before else {})}


def quantize_weights(model: bytes) -> tuple[bytes, int]:
    """The quantised model, and how many weights are int8 now: 0 where there is nothing to quantise, as in a tree. Raises Failure.

    `reduce_range`: with all 8 bits, processors without VNNI overflow in u8 by s8 sums, and give other outputs than those with it
    (onnxruntime's documentation, "Quantize ONNX Models", on AVX2 and AVX512). With 7 bits all processors give the same.
    """
    from onnxruntime.quantization import QuantType, quantize_dynamic

    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "before.onnx", Path(folder) / "after.onnx"
        source.write_bytes(model)
        try:
            quantize_dynamic(
                source,
                target,
                weight_type=QuantType.QInt8,
                reduce_range=True,
                nodes_to_exclude=_list_front_nodes(model),
            )
        except Exception as error:  # the quantiser, onnx and protobuf raise many kinds
            message = f"the model cannot be quantised ({type(error).__name__}: {one_line(error)}); remove spec.quantize, or export it with another opset"
            raise Failure("QuantizationFailed", message) from error
        content = target.read_bytes()
    return content, _count_int8_weights(content)


def _list_front_nodes(model: bytes) -> list[str]:
    """The nodes that make rowwise features: tables of theirs are no weights, and must stay as they are."""
    import onnx

    from flywheel_runtime.models.onnx_inputs import FRONT_NODE

    return [node.name for node in onnx.load_from_string(model).graph.node if node.name.startswith(FRONT_NODE)]


def _count_int8_weights(model: bytes) -> int:
    import onnx

    graph = onnx.load_from_string(model).graph
    return sum(each.name.endswith("_quantized") for each in graph.initializer)


def _evaluate_again(artifact: Path, data: Path, before: bytes, after: bytes) -> tuple[dict[str, Any] | None, Metrics]:
    """The evaluation.json of the quantised model, and the metrics of the model before; (None, {}) where there is no evaluation.

    A gate must measure the model that is served, not the one that it was made from: both models are measured here, on the same rows.
    Without the data, or for a model that was not trained by trainer sklearn, nothing is known of the quantised model but its gap: the
    new evaluation has no metrics then.
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


def write_json(path: Path, document: Mapping[str, Any]) -> None:
    """Write a document as JSON by rename."""
    replace_file(path, json.dumps(document, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode())
