"""The model artifact (images/README.md): what a server, a gate, a monitor and a reader need to know of a model."""

import importlib.metadata
import json
import os
import resource
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from flywheel_runtime.commands.train.config import TrainConfig
from flywheel_runtime.commands.train.validation import Validation
from flywheel_runtime.contract.step import write_json
from flywheel_runtime.datasets.features import Data, Feature
from flywheel_runtime.datasets.types import TIMESTAMP
from flywheel_runtime.models import onnx_export
from flywheel_runtime.models.golden_rows import json_value
from flywheel_runtime.models.onnx_export import ExportedModel
from flywheel_runtime.models.output_names import LABEL, PREDICTION, PROBABILITIES, find_output, get_output, name_outputs
from flywheel_runtime.statistics.curves import roc_points
from flywheel_runtime.statistics.metrics import Array, ScoredRows, describe_confusion

GOLDEN_ROWS = 50
PREDICTION_BINS = 50
SAMPLE_ROWS = 100


def describe_signature(data: Data, seen: list[str]) -> dict[str, Any]:
    """Inputs and outputs by the names and types of the Open Inference Protocol v2; `seen` are the classes of the fit."""
    inputs = [_describe_input(feature) for feature in data.features]
    names = name_outputs([feature.name for feature in data.features])
    if seen:
        is_text = onnx_export.class_values(data).dtype == object
        outputs = [
            {"name": names[LABEL], "datatype": "BYTES" if is_text else "INT64", "shape": [-1]},
            {"name": names[PROBABILITIES], "datatype": "FP32", "shape": [-1, len(seen)]},
        ]
    else:
        outputs = [{"name": names[PREDICTION], "datatype": "FP32", "shape": [-1]}]
    return {
        "v": 1,
        "task": data.schema["task"],
        "target": data.target,
        "classes": seen,
        "inputs": inputs,
        "outputs": outputs,
        "columns": [{"name": f.name, "type": f.type} for f in data.features],
        "leftOut": list(data.left_out),  # servers take and ignore them: the clients of an earlier version may send them
    }


def _describe_input(feature: Feature) -> dict[str, Any]:
    """An input of signature.json; `content` says of a number that it is a time, in microseconds since 1970 (UTC)."""
    described = {"name": feature.name, "datatype": "BYTES" if feature.is_text else "FP64", "shape": [-1, 1]}
    return described | ({"content": TIMESTAMP} if feature.is_timestamp else {})


def choose_golden_rows(exported: ExportedModel, data: Data) -> dict[str, Any]:
    """50 rows and their predictions, which a server on another processor must reproduce within `tolerance`.

    Rows without missing numbers if there are any, since JSON has only null for NaN; no row whose two best classes are
    so close that rounding could choose the other.
    """
    raw = data.raw("test" if data.count("test") else "train", onnx_export.MAX_COMPARED_ROWS)
    usable = ~_ties(exported.run(raw))
    complete = usable.copy()
    for feature in data.features:
        if not feature.is_text:
            complete &= ~np.isnan(raw[feature.name][:, 0])
    chosen = next((np.flatnonzero(rows) for rows in (complete, usable) if rows.any()), np.arange(len(usable)))
    rows = chosen[np.unique(np.linspace(0, len(chosen) - 1, GOLDEN_ROWS).astype(int))]
    inputs = {name: values[rows] for name, values in raw.items()}
    outputs = exported.run(inputs)
    return {
        "v": 1,
        "tolerance": onnx_export.TOLERANCE * exported.scale,
        "inputs": {name: [json_value(value) for value in values[:, 0]] for name, values in inputs.items()},
        "outputs": {name: values.tolist() for name, values in outputs.items()},
    }


def _ties(outputs: Mapping[str, Array]) -> Array:
    if find_output(outputs, PROBABILITIES) is None:
        return np.zeros(len(get_output(outputs, PREDICTION)), dtype=bool)
    best = np.sort(get_output(outputs, PROBABILITIES), axis=1)
    ties: Array = best[:, -1] - best[:, -2] <= 2 * onnx_export.TOLERANCE
    return ties


def count_baseline(data: Data, scored: Mapping[str, ScoredRows]) -> dict[str, Any]:
    """Frozen bins for monitoring: the train split's counts of each feature, and predictions in 50 bins for each split.

    Of two classes `positives` has the rows of the second in each bin, by which scores are calibrated; of more `confidence` has the rows by
    the probability of their predicted class. `scored` maps a split to rows that the model was not fitted to. Probabilities are those of the last class; values are binned
    between their least and greatest.
    """
    profile = json.loads((data.folder / "profile.json").read_text())
    features = {}
    for feature in data.features:
        column = profile["columns"][feature.name]
        features[feature.name] = {key: value for key, value in column.items() if key != "splits"}
        features[feature.name] |= {"counts": column["splits"]["train"]}
    scores = {
        split: (rows.probabilities[:, -1] if rows.is_classification else rows.predicted).astype(np.float32)
        for split, rows in scored.items()
        if len(rows)
    }
    edges = _prediction_edges(scores, is_probability=data.schema["task"] == "Classification")
    counts = {split: np.histogram(values, bins=edges)[0].tolist() for split, values in scores.items()}
    predictions: dict[str, Any] = {"edges": edges.tolist(), "counts": counts}
    if data.schema["task"] == "Classification" and len(data.classes) == 2:
        predictions["positives"] = {
            split: np.histogram(values[scored[split].y_true == 1], bins=edges)[0].tolist()
            for split, values in scores.items()
        }
    if len(data.classes) > 2:
        predictions["confidence"] = _count_confidence(scored)
    return {
        "v": 1,
        "rows": data.count("train"),
        "features": features,
        "target": profile.get("target"),
        "predictions": predictions,
    }


def _count_confidence(scored: Mapping[str, ScoredRows]) -> dict[str, Any]:
    """The rows of each split by the probability of the predicted class, in 50 bins, and those of them that were predicted rightly."""
    edges = np.linspace(0, 1, PREDICTION_BINS + 1)
    confidences = {split: rows.probabilities.max(axis=1) for split, rows in scored.items() if len(rows)}
    counts = {split: np.histogram(values, bins=edges)[0].tolist() for split, values in confidences.items()}
    correct = {
        split: np.histogram(values[scored[split].predicted == scored[split].y_true], bins=edges)[0].tolist()
        for split, values in confidences.items()
    }
    return {"edges": edges.tolist(), "counts": counts, "correct": correct}


def _prediction_edges(scores: Mapping[str, Array], is_probability: bool) -> Array:
    if is_probability or not scores:
        return np.linspace(0, 1, PREDICTION_BINS + 1)
    everything = np.concatenate(list(scores.values())).astype(np.float64)
    low, high = float(everything.min()), float(everything.max())
    return np.linspace(low, high if high > low else low + 1, PREDICTION_BINS + 1)


def describe_dummy(objective: str, validation: Validation) -> dict[str, Any]:
    """The objective of the best constant prediction on the validation rows, and how that constant was chosen."""
    return {"metric": objective, "value": validation.baseline, "strategy": validation.dummy.strategy}


def describe_evaluation(
    data: Data, objective: str, validation: Validation, test: Mapping[str, float], scored: ScoredRows
) -> dict[str, Any]:
    """Metrics on train, validation and test, those of a constant prediction, and of the test rows a confusion matrix, ROC points and a
    sample of predictions."""
    document: dict[str, Any] = {
        "v": 1,
        "train": dict(validation.train_metrics),
        "validation": dict(validation.metrics),
        "test": {"digest": data.schema["testDigest"], "rows": len(scored), "metrics": dict(test)},
    }
    if validation.baseline is not None:
        document["baseline"] = describe_dummy(objective, validation)
    document["predictionsSample"] = _sample(data, scored)
    if not scored.is_classification:
        return document
    document["confusionMatrix"] = describe_confusion(scored, data.classes)
    if scored.is_binary and 0 < scored.y_true.sum() < len(scored):
        document["roc"] = roc_points(scored.y_true, scored.probabilities[:, 1])
    return document


def _sample(data: Data, scored: ScoredRows) -> list[dict[str, Any]]:
    if not len(scored):
        return []
    rows = [int(row) for row in np.unique(np.linspace(0, len(scored) - 1, SAMPLE_ROWS).astype(int))]
    if not scored.is_classification:
        return [
            {"row": row, "actual": float(scored.y_true[row]), "predicted": float(scored.predicted[row])} for row in rows
        ]
    return [
        {
            "row": row,
            "actual": data.classes[int(scored.y_true[row])],
            "predicted": data.classes[int(scored.predicted[row])],
            "probabilities": [round(float(each), 6) for each in scored.probabilities[row]],
        }
        for row in rows
    ]


def describe_run(config: TrainConfig, data: Data, exported: ExportedModel, started: float) -> dict[str, Any]:
    """What was run, on what, where, and what it took."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    # A folder of an image may look like a distribution without a name.
    names = {
        dist.metadata["Name"]: dist.version for dist in importlib.metadata.distributions() if dist.metadata["Name"]
    }
    return {
        "v": 1,
        "estimator": config.estimator,
        "parameters": config.parameters,
        "seed": config.seed,
        "validation": config.validation.model_dump(exclude_none=True),
        "objective": config.objective,
        "features": [f.name for f in data.features],
        "leftOut": dict(data.left_out),
        "dataset": {"content": data.schema["content"], "testDigest": data.schema["testDigest"]},
        "image": os.environ.get("FLYWHEEL_IMAGE"),
        "node": os.environ.get("FLYWHEEL_NODE"),
        "gitRevision": os.environ.get("FLYWHEEL_GIT_REVISION"),
        "packages": names,
        "parity": {"maxDifference": exported.difference, "rows": exported.compared},
        "usage": {
            "seconds": round(time.time() - started, 3),
            "cpuSeconds": round(used.ru_utime + used.ru_stime, 3),
            "memoryPeakBytes": used.ru_maxrss * 1024,
            "gpuSeconds": None,
        },
    }


def write_artifact(folder: Path, exported: ExportedModel, documents: Mapping[str, Any]) -> None:
    """Write model.onnx and each document as <name>.json."""
    (folder / "model.onnx").write_bytes(exported.content)
    for name, document in documents.items():
        write_json(folder / f"{name}.json", document)
