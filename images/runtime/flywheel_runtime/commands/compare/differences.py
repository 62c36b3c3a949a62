"""What differs between two artifacts: files by path and content, metrics by name."""

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flywheel_runtime.contract.step import canonical_json

# In the run.json of trainer sklearn: where it ran, and what it took. All else must be the same.
VOLATILE_KEYS = ("usage", "node")
# What follows from the weights of a model: where its golden predictions agree, these may differ in their last digits.
FILES_OF_WEIGHTS = frozenset(
    {"model.onnx", "golden.json", "evaluation.json", "baseline.json", "quantization.json", "run.json"}
)
DIGEST_DIGITS = 12
# Measured times: another run takes another time.
METRICS_OF_TIME = frozenset({"p50_ms", "p95_ms", "seconds", "load_seconds"})


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
