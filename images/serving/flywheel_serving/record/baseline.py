"""The frozen bins of `baseline.json`, which training wrote into the artifact."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from flywheel_serving.datatypes import DTYPES
from flywheel_serving.signature import Signature

BYTES_READ = 32 * 1024 * 1024


class BaselineInvalid(Exception):
    """The file is there and cannot be used; the message says why."""


@dataclass(frozen=True)
class Baseline:
    """`numbers`: edges of a numeric input; `texts`: categories of a text input; `flags`: categories of an input of 0 and 1.

    `predictions` are the edges of what `scores` names: an output, and whether its last column is the score.
    """

    digest: str
    numbers: dict[str, Sequence[float]]
    texts: dict[str, Sequence[str]]
    flags: dict[str, Sequence[str]]
    predictions: Sequence[float]
    scores: tuple[str, bool] | None
    dtype: np.dtype[Any] | None  # of all numbers, where they have one


def read(path: Path, signature: Signature) -> Baseline | None:
    """The bins of inputs that the model has one by one; None without a file. Raises BaselineInvalid."""
    if not path.is_file():
        return None
    try:
        with path.open("rb") as file:
            content = file.read(BYTES_READ)
        return _parsed(json.loads(content), "sha256:" + hashlib.sha256(content).hexdigest(), signature)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        words = f"{path.name} cannot be used: {type(error).__name__}: {error}; train and register the model again"
        raise BaselineInvalid(words) from error


def _parsed(document: dict[str, Any], digest: str, signature: Signature) -> Baseline:
    features, singles = document["features"], {s.name: s.datatype for s in signature.inputs if is_single(s.shape)}
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
    return Baseline(digest, numbers, texts, flags, edges, _scores(signature) if len(edges) > 1 else None, dtype)


def _scores(signature: Signature) -> tuple[str, bool] | None:
    """As the trainer bins them: probabilities of the last class, else the predicted value, else a label that is a number."""
    outputs = {spec.name: spec for spec in signature.outputs}
    for name, last in (("probabilities", True), ("prediction", False), ("label", False)):
        if name in outputs and outputs[name].datatype != "BYTES":
            return name, last
    return None


def is_single(shape: tuple[int, ...]) -> bool:
    """Whether a tensor of this shape holds one value for each row."""
    return bool(shape) and shape[0] == -1 and all(axis == 1 for axis in shape[1:])
