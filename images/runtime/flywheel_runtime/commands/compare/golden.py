"""The left artifact's golden rows through both models."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from flywheel_runtime.contract.errors import Failure
from flywheel_runtime.models import golden_rows
from flywheel_runtime.models.golden_rows import Answers


@dataclass(frozen=True)
class Answered:
    """The greatest difference of any number of the answers, and what the left artifact's golden.json allows."""

    largest: float
    tolerance: float

    @property
    def is_within(self) -> bool:
        return self.largest <= self.tolerance


def difference(left: Path, right: Path) -> Answered | None:
    """None where a side has no model.onnx or cannot be asked, or the left one has no golden rows."""
    models = [side / "model.onnx" for side in (left, right)]
    if not all(model.is_file() for model in models) or not (left / "golden.json").is_file():
        return None
    ours, theirs = (model.read_bytes() for model in models)
    try:
        given, document = golden_rows.read(left / "golden.json", ours)
        told = (golden_rows.asked(golden_rows.session(content, threads=1), given) for content in (ours, theirs))
        return Answered(_largest(*told), float((document or {})["tolerance"]))
    except (Failure, KeyError, TypeError, ValueError):
        return None  # what cannot be asked excuses nothing


def _largest(ours: Answers, theirs: Answers) -> float:
    """Infinity where outputs, shapes, or anything but floating numbers differ."""
    if ours.keys() != theirs.keys():
        return float("inf")
    worst = 0.0
    for name, left in ours.items():
        right = theirs[name]
        if left.shape != right.shape or left.dtype != right.dtype:
            return float("inf")
        if left.dtype.kind != "f":
            worst = max(worst, 0.0 if np.array_equal(left, right) else float("inf"))
            continue
        apart = np.abs(left.astype(np.float64) - right.astype(np.float64))
        apart = np.where((left == right) | (np.isnan(left) & np.isnan(right)), 0.0, apart)
        worst = max(worst, float(np.nan_to_num(apart, nan=np.inf, posinf=np.inf).max(initial=0.0)))
    return worst
