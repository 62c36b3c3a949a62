"""The test split once more: a gate must judge the model that is served, not the one that it was made from."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from flywheel_runtime.contract.errors import Failure
from flywheel_runtime.models import golden_rows

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
    from flywheel_runtime.models import test_set
    from flywheel_runtime.statistics import scoring
    from flywheel_runtime.statistics.metric_names import KNOWN

    signature = json.loads((artifact / "signature.json").read_bytes())
    schema = json.loads((data / "schema.json").read_bytes())
    if signature.get("target") != schema["target"] or test_set.mismatch(schema, signature):
        return None
    with test_set.opened(data, schema, signature) as split:
        given = split.rows(MOST_ROWS)
        truth = split.truth()[:MOST_ROWS]
    task = signature["task"]

    def measured(model: bytes) -> dict[str, float]:
        label, probabilities = split.numbers(golden_rows.answers(model, given))
        return scoring.score(list(KNOWN[task]), task, truth, label, probabilities)

    try:
        return measured(after), measured(before), len(truth)
    except Failure as failure:
        if failure.reason != test_set.NOT_SCORABLE:
            raise
        return None
