"""The step `compare`: whether a second run had the results of the first (images/README.md, "compare")."""

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from flywheel_runtime.contract.errors import Failure
from flywheel_runtime.contract.step import Step, canonical_json, is_room_for, log_line, step_command
from flywheel_runtime.models.golden_rows import Tensors, load_session, read_golden_rows, run_session
from flywheel_runtime.params import Params

TOLERANCE = 1e-9
MAX_DIFFERENCES = 20  # in facts.json
# In the run.json of trainer sklearn: where it ran, and what it took. All else must be the same.
VOLATILE_KEYS = ("usage", "node")
# What follows from the weights of a model: where its golden predictions agree, these may differ in their last digits.
FILES_OF_WEIGHTS = frozenset(
    {
        "model.onnx",
        "golden.json",
        "evaluation.json",
        "baseline.json",
        "loss_model.json",
        "loss_model.onnx",
        "quantization.json",
        "run.json",
        "explanation.json",
        "permutation_importance.json",
        "partial_dependence.json",
    }
)
DIGEST_DIGITS = 12
# Measured times: another run takes another time.
METRICS_OF_TIME = frozenset({"p50_ms", "p95_ms", "seconds", "load_seconds"})


class CompareConfig(Params):
    """The configuration in params.json; `tolerance` of a metric is relative to the greater value."""

    left_metrics: dict[str, float] = Field(default_factory=dict)
    right_metrics: dict[str, float] = Field(default_factory=dict)
    tolerance: float = Field(TOLERANCE, ge=0, lt=1)


@dataclass(frozen=True)
class Difference:
    """What differs (a file's path or a metric's name) and what it is on each side; None where it is not there."""

    kind: str  # file or metric
    name: str
    left: str | float | None
    right: str | float | None

    def as_json(self) -> dict[str, Any]:
        return {self.kind: self.name, "left": self.left, "right": self.right}

    @property
    def sentence(self) -> str:
        """The difference as a line of the log."""
        sides = (str(side) if side is not None else "not there" for side in (self.left, self.right))
        return f"{self.kind} {self.name} differs: {' and '.join(sides)}"


@step_command
def main(step: Step) -> None:
    """Compare inputs `left` and `right` and their metrics; the verdict is a fact; exits with 0, whatever it is."""
    config = CompareConfig.parse(step.params)
    left, right = config.left_metrics, config.right_metrics
    files = compare_files(step.input("left"), step.input("right"))
    golden = compare_golden_rows(step.input("left"), step.input("right")) if files else None
    excused = golden is not None and golden.is_within and may_follow_from_weights(files)
    allowed = max(config.tolerance, golden.tolerance) if excused and golden else config.tolerance
    metrics = compare_metrics(left, right)
    beyond = compare_metrics(left, right, allowed)
    verdict = "Different" if beyond or (files and not excused) else "WithinTolerance" if files or metrics else "Equal"
    differences = [*files, *metrics]
    counts: dict[str, float] = {"differing_files": len(files), "differing_metrics": len(metrics)}
    if golden is not None:
        counts["golden_difference"] = golden.largest
    step.finish(counts, _facts(verdict, differences))
    for each in differences:
        log_line(each.sentence)
    log_line(f"{verdict}: {len(files)} files and {len(metrics)} metrics differ")


def _facts(verdict: str, differences: list[Difference]) -> dict[str, Any]:
    """The verdict and as many differences as there is room for; `more` counts the rest."""
    facts: dict[str, Any] = {"verdict": verdict, "differs": []}
    for number, each in enumerate(differences[:MAX_DIFFERENCES]):
        longer = facts | {"differs": [*facts["differs"], each.as_json()]}
        if not is_room_for(longer | {"more": len(differences)}):
            return facts | {"more": len(differences) - number}
        facts = longer
    return facts | ({"more": len(differences) - MAX_DIFFERENCES} if len(differences) > MAX_DIFFERENCES else {})


def compare_metrics(left: Mapping[str, float], right: Mapping[str, float], tolerance: float = 0.0) -> list[Difference]:
    """Metrics that are on one side only, or further apart than `tolerance`, a share of the greater one; sorted by name."""
    return [
        Difference("metric", name, left.get(name), right.get(name))
        for name in sorted((left.keys() | right.keys()) - METRICS_OF_TIME)
        if name not in left or name not in right or not math.isclose(left[name], right[name], rel_tol=tolerance)
    ]


def compare_files(left: Path, right: Path) -> list[Difference]:
    """Files that are on one side only, or not the same, sorted by their paths."""
    left_digests, right_digests = _digests(left), _digests(right)
    return [
        Difference("file", path, _shorten(left_digests.get(path)), _shorten(right_digests.get(path)))
        for path in sorted(left_digests.keys() | right_digests.keys())
        if left_digests.get(path) != right_digests.get(path)
    ]


def may_follow_from_weights(differences: list[Difference]) -> bool:
    """Whether all of these files are on both sides and follow from a model's weights."""
    return all(each.name in FILES_OF_WEIGHTS and each.left and each.right for each in differences)


def _digests(folder: Path) -> dict[str, str]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): _digest(path) for path in files}


def _digest(path: Path) -> str:
    if path.name == "run.json":
        try:
            stable = {key: value for key, value in json.loads(path.read_bytes()).items() if key not in VOLATILE_KEYS}
            return hashlib.sha256(canonical_json(stable).encode()).hexdigest()
        except (ValueError, AttributeError):
            pass  # a file of that name that another trainer wrote
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _shorten(digest: str | None) -> str | None:
    return digest and digest[:DIGEST_DIGITS]


@dataclass(frozen=True)
class GoldenDifference:
    """The greatest absolute difference of any number of the outputs, and what the left artifact's golden.json allows."""

    largest: float
    tolerance: float

    @property
    def is_within(self) -> bool:
        return self.largest <= self.tolerance


def compare_golden_rows(left: Path, right: Path) -> GoldenDifference | None:
    """None where a side has no model.onnx or cannot be run, or the left one has no golden rows."""
    models = [side / "model.onnx" for side in (left, right)]
    if not all(model.is_file() for model in models) or not (left / "golden.json").is_file():
        return None
    contents = [model.read_bytes() for model in models]
    try:
        inputs, document = read_golden_rows(left / "golden.json", contents[0])
        outputs = [run_session(load_session(content, threads=1), inputs) for content in contents]
        return GoldenDifference(_largest_difference(*outputs), float((document or {})["tolerance"]))
    except (Failure, KeyError, TypeError, ValueError):
        return None  # a model that cannot be run excuses no difference


def _largest_difference(left: Tensors, right: Tensors) -> float:
    """Infinity where names, shapes, or anything but floating numbers differ."""
    if left.keys() != right.keys():
        return float("inf")
    return max((_tensor_difference(values, right[name]) for name, values in left.items()), default=0.0)


def _tensor_difference(left: NDArray[Any], right: NDArray[Any]) -> float:
    if left.shape != right.shape or left.dtype != right.dtype:
        return float("inf")
    if left.dtype.kind != "f":
        return 0.0 if np.array_equal(left, right) else float("inf")
    difference = np.abs(left.astype(np.float64) - right.astype(np.float64))
    difference = np.where((left == right) | (np.isnan(left) & np.isnan(right)), 0.0, difference)
    return float(np.nan_to_num(difference, nan=np.inf, posinf=np.inf).max(initial=0.0))
