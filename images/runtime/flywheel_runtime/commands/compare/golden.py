"""The golden rows of the left artifact, run through both models."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flywheel_runtime.contract.errors import Failure
from flywheel_runtime.models.golden_rows import Tensors, load_session, read_golden_rows, run_session


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
