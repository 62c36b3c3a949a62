"""The frozen bins of `baseline.json`, which training wrote into the artifact."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from flywheel_serving.model.datatypes import DTYPES
from flywheel_serving.model.signature import Signature, TensorSpec

MAX_FILE_BYTES = 32 * 1024 * 1024
TAKEN_PREFIX = "predicted_"


class BaselineInvalid(Exception):
    """The file baseline.json cannot be used; the message says why."""


@dataclass(frozen=True)
class Baseline:
    """The bins of each input: edges in `numbers`, categories of texts in `texts`, categories of 0 and 1 in `flags`.

    `predictions` are the edges of the score; `score` names its output, and whether the score is its last column.
    """

    digest: str
    numbers: dict[str, Sequence[float]]
    texts: dict[str, Sequence[str]]
    flags: dict[str, Sequence[str]]
    predictions: Sequence[float]
    score: tuple[str, bool] | None
    dtype: np.dtype[Any] | None  # of all numbers, None if they have several


def read_baseline(path: Path, signature: Signature) -> Baseline | None:
    """The bins of inputs with a single value in each row; None without a file. Raises BaselineInvalid."""
    if not path.is_file():
        return None
    try:
        with path.open("rb") as file:
            content = file.read(MAX_FILE_BYTES)
        return _parse(json.loads(content), "sha256:" + hashlib.sha256(content).hexdigest(), signature)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        message = f"{path.name} cannot be used: {type(error).__name__}: {error}; correct the file, or train and register the model again"
        raise BaselineInvalid(message) from error


def _parse(document: dict[str, Any], digest: str, signature: Signature) -> Baseline:
    features, singles = document["features"], {s.name: s.datatype for s in signature.inputs if is_single_value(s)}
    numbers: dict[str, Sequence[float]] = {}
    texts: dict[str, Sequence[str]] = {}
    flags: dict[str, Sequence[str]] = {}
    for name, datatype in singles.items():
        feature = features.get(name)
        if feature is None:
            continue
        if datatype == "BYTES":
            texts[name] = [str(value) for value in feature["categories"]]
        elif "edges" in feature:
            numbers[name] = sorted(float(edge) for edge in feature["edges"])
        elif "categories" in feature:
            flags[name] = [str(value) for value in feature["categories"]]
    edges = [float(edge) for edge in (document.get("predictions") or {}).get("edges", [])]
    dtypes = {DTYPES[singles[name]] for name in numbers}
    dtype = dtypes.pop() if len(dtypes) == 1 else None
    return Baseline(digest, numbers, texts, flags, edges, _score(signature) if len(edges) > 1 else None, dtype)


def _score(signature: Signature) -> tuple[str, bool] | None:
    """What the trainer bins: the last class's probability, else the predicted value, else a label that is a number."""
    roles = {_role(spec.name): spec for spec in reversed(signature.outputs)}
    for role, last in (("probabilities", True), ("prediction", False), ("label", False)):
        if role in roles and roles[role].datatype != "BYTES":
            return roles[role].name, last
    return None


def _role(name: str) -> str:
    """An output's role: its name without the prefixes that it has where an input is called like its role."""
    while name.startswith(TAKEN_PREFIX):
        name = name.removeprefix(TAKEN_PREFIX)
    return name


def is_single_value(spec: TensorSpec) -> bool:
    """Whether the tensor holds one value for each row."""
    shape = spec.shape
    return bool(shape) and shape[0] == -1 and all(axis == 1 for axis in shape[1:]) and not spec.any_rank
