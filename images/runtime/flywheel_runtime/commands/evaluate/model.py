"""The model's answers to every test row, in batches, the same on every machine."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from flywheel_runtime.commands.evaluate.intervals import Judged
from flywheel_runtime.contract.errors import Failure
from flywheel_runtime.contract.step import path_in_artifact
from flywheel_runtime.models import golden_rows
from flywheel_runtime.models.golden_rows import Answers
from flywheel_runtime.models.test_set import TestSet

BATCH = 50_000  # rows


@dataclass(frozen=True)
class Model:
    """A loaded model: its session, what it takes and gives, and its digest."""

    session: Any
    signature: Mapping[str, Any]
    sha256: str


def load(artifact: Path, path: str, schema: Mapping[str, Any]) -> Model:
    """The model at `path`, with its signature.json or, without one, what the file itself declares.

    Raises:
        Failure: ModelMissing, PathInvalid, SignatureInvalid.
        Failure: ModelNotLoadable.
    """
    file = artifact / path_in_artifact(path)
    if not file.is_file():
        raise Failure("ModelMissing", f"The artifact has no file '{path}'; correct the path, or train again.")
    content = file.read_bytes()
    # One thread: with more, sums of floating numbers depend on how many.
    session = golden_rows.session(content, threads=1)
    recorded = artifact / "signature.json"
    signature = _recorded(recorded) if recorded.is_file() else _declared(session, schema)
    return Model(session, signature, hashlib.sha256(content).hexdigest())


def _recorded(path: Path) -> dict[str, Any]:
    try:
        signature: dict[str, Any] = json.loads(path.read_bytes())
        _ = [each["name"] for each in signature["inputs"]], signature.get("classes")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        message = (
            f"The artifact's signature.json cannot be read ({type(error).__name__}); train again, or leave it out."
        )
        raise Failure("SignatureInvalid", message) from error
    return signature


def _declared(session: Any, schema: Mapping[str, Any]) -> dict[str, Any]:
    inputs = [{"name": each.name} for each in session.get_inputs()]
    return {"task": schema["task"], "target": schema["target"], "classes": schema["classes"], "inputs": inputs}


def judge(model: Model, test: TestSet) -> Judged:
    """Truth and answers of all test rows.

    Raises:
        Failure: WarmUpFailed, ModelNotScorable.
    """
    truth = test.truth()
    labels, probabilities = [], []
    for start in range(0, len(truth), BATCH):
        given = _as_declared(model.session, test.rows(BATCH, start))
        label, found = test.numbers(golden_rows.asked(model.session, given))
        labels.append(label)
        probabilities.append(found)
    return Judged(truth, np.concatenate(labels), np.concatenate(probabilities))


def _as_declared(session: Any, given: Answers) -> Answers:
    """Numbers in the type that the model declares: one that was not trained here may want int64 or double."""
    kinds = {each.name: golden_rows.dtype_of(each.type) for each in session.get_inputs()}
    with np.errstate(invalid="ignore"):
        return {name: values.astype(kinds[name]) for name, values in given.items()}
