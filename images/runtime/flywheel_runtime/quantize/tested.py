"""The test split once more: a gate must judge the model that is served, not the one that it was made from."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flywheel_runtime.quantize import rows

Array = NDArray[Any]
MOST_ROWS = 200_000  # more say nothing new, and would need more memory than verify has


def again(artifact: Path, data: Path, before: bytes, after: bytes) -> tuple[dict[str, Any] | None, Mapping[str, float]]:
    """evaluation.json of the quantised model, and the metrics that the model had before. (None, {}) where there is no evaluation.

    Both sides are measured here, on the same rows. Without the data, or for a model that was not trained by trainer sklearn, nothing is
    known of the quantised model but its gap: the new evaluation has no metrics then.
    """
    path = artifact / "evaluation.json"
    if not path.is_file():
        return None, {}
    old = json.loads(path.read_bytes())
    test = old.get("test") or {}
    known = {name: value for name, value in (test.get("metrics") or {}).items() if isinstance(value, (int, float))}
    scored = _scored(artifact, data, before, after) if known else None
    if scored is None:
        return {"v": 1, "test": {**test, "metrics": {}}}, known
    mine, theirs, count = scored
    return {"v": 1, "test": {**test, "rows": count, "metrics": mine}}, theirs


def _scored(
    artifact: Path, data: Path, before: bytes, after: bytes
) -> tuple[dict[str, float], dict[str, float], int] | None:
    """The metrics of the quantised model and of the one before, and on how many rows."""
    if not (data / "schema.json").is_file() or not (artifact / "signature.json").is_file():
        return None
    from flywheel_runtime.steps.trial import scoring

    signature = json.loads((artifact / "signature.json").read_bytes())
    found = _rows(data, signature)
    if found is None:
        return None
    given, truth, classes, values = found
    task = signature["task"]
    names = list(scoring.KNOWN[task])

    def measured(model: bytes) -> dict[str, float]:
        answers = rows.answers(model, given)
        if task == "Regression":
            return scoring.score(names, task, truth, answers["prediction"], np.empty((len(truth), 0)))
        full = np.zeros((len(truth), len(classes)))
        full[:, [classes.index(each) for each in signature["classes"]]] = answers["probabilities"]
        label = np.array([values.index(each) for each in answers["label"].tolist()])
        return scoring.score(names, task, truth, label, full)

    return measured(after), measured(before), len(truth)


def _rows(data: Path, signature: Mapping[str, Any]) -> tuple[rows.Answers, Array, list[str], list[Any]] | None:
    """Rows of the test split as a client would send them, the right answers, all classes, and the values that stand for them.

    None if the model was made from other columns, or if the test split is empty.
    """
    import duckdb

    from flywheel_runtime.steps.trial import onnx_model
    from flywheel_runtime.steps.trial.features import Data, Feature

    schema = json.loads((data / "schema.json").read_bytes())
    types = {column["name"]: column["type"] for column in schema["columns"]}
    inputs = [each["name"] for each in signature["inputs"]]
    if signature.get("target") != schema["target"] or not set(inputs) <= set(types) or not schema["rows"].get("test"):
        return None
    with duckdb.connect(config={"threads": 1}) as connection:
        columns = Data(data, schema, tuple(Feature(name, types[name]) for name in inputs), connection)
        given = columns.raw("test", MOST_ROWS)
        truth = Data(data, schema, (), connection).read("test").y[:MOST_ROWS]
    values = onnx_model.class_values(columns).tolist() if columns.classes else []
    return given, truth, columns.classes, values
