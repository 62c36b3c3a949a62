"""Golden rows: inputs with the answers that the model gave when it was trained; the server's warm-up."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from flywheel_serving import tensors
from flywheel_serving.datatypes import DTYPES, Array
from flywheel_serving.errors import ModelRefused, RequestError
from flywheel_serving.model import Model
from flywheel_serving.signature import Signature, TensorSpec

DEFAULT_TOLERANCE = 1e-4
ANY_ROWS = 2**63


@dataclass(frozen=True)
class Golden:
    """`inputs` of one call, as the model takes them; `outputs` by name (empty where nothing was recorded)."""

    inputs: dict[str, Array]
    outputs: dict[str, Array]
    tolerance: float
    batched: bool

    @property
    def rows(self) -> int:
        return len(next(iter(self.inputs.values()))) if self.batched else 1

    def one_row(self) -> dict[str, Array]:
        """The smallest call: the first row, or all where the model's first axis is not the row."""
        return {name: array[:1] for name, array in self.inputs.items()} if self.batched else self.inputs


def read(path: Path, signature: Signature) -> Golden | None:
    """The rows of golden.json, or None where there is none. Raises ModelRefused if they do not fit the signature."""
    if not path.is_file():
        return None
    try:
        document = json.loads(path.read_bytes())
        given = {spec.name: _array(document["inputs"][spec.name], spec.datatype) for spec in signature.inputs}
        datatypes = {spec.name: spec.datatype for spec in signature.outputs}
        outputs = {name: _array(data, datatypes[name]) for name, data in document["outputs"].items()}
        tolerance = float(document.get("tolerance", DEFAULT_TOLERANCE))
        return Golden(signature.fit(given, ANY_ROWS), outputs, tolerance, signature.batched)
    except (ValueError, KeyError, TypeError, RequestError) as error:
        finding = f"{path.name} does not fit the model: {type(error).__name__}: {error}; write the artifact again"
        raise ModelRefused("GoldenInvalid", finding) from error


def synthesised(signature: Signature) -> Golden:
    """One row of zeros and empty texts, with 1 for every axis of any length."""
    inputs = {spec.name: _zeros(spec) for spec in signature.inputs}
    return Golden(inputs, {}, DEFAULT_TOLERANCE, signature.batched)


def replay(golden: Golden, model: Model) -> float:
    """Runs all rows; the largest absolute difference among numbers. Raises ModelRefused beyond the tolerance."""
    names = [spec.name for spec in model.signature.outputs]
    try:
        answers = dict(zip(names, model.run(golden.inputs, names), strict=True))
    except RequestError as error:
        step = "check golden.json" if golden.outputs else "add a golden.json with a row that the model accepts"
        raise ModelRefused("WarmUpFailed", f"the model did not answer its warm-up: {error}; {step}") from error
    return max((_compare(name, golden, answers[name]) for name in golden.outputs), default=0.0)


def rows_do_not_mix(golden: Golden, model: Model) -> bool:
    """Whether rows in one call get the answers that they get alone, so that requests may share a call.

    An operator over the first axis (a mean of the batch, say) would answer each row by its neighbours. Three rows tell: where the golden
    rows are fewer, others are made from them.
    """
    names = [spec.name for spec in model.signature.outputs]
    if not golden.batched or not all(spec.shape and spec.shape[0] == -1 for spec in model.signature.outputs):
        return False
    rows = {name: _three(array) for name, array in golden.inputs.items()}
    try:
        together = model.run(rows, names)
        alone = [model.run({name: array[at : at + 1] for name, array in rows.items()}, names) for at in range(3)]
    except RequestError:
        return False
    return all(
        len(whole) == 3 and all(_alike(whole[at : at + 1], alone[at][index]) for at in range(3))
        for index, whole in enumerate(together)
    )


def _three(array: Array) -> Array:
    if len(array) >= 3:
        return array[:3]
    if array.dtype.kind not in "fiu":
        return np.repeat(array[:1], 3, axis=0)
    return np.concatenate([array[:1], array[:1] + 1, array[:1] + 3]).astype(array.dtype)


def _alike(left: Array, right: Array) -> bool:
    if left.shape != right.shape:
        return False
    return bool(np.allclose(left, right, 1e-3, 1e-4, True) if left.dtype.kind == "f" else (left == right).all())


def _compare(name: str, golden: Golden, found: Array) -> float:
    wanted = golden.outputs[name]
    if wanted.size != found.size:
        raise _mismatch(name, f"wanted shape {list(wanted.shape)}, found {list(found.shape)}")
    wanted, found = wanted.ravel(), found.ravel()
    if found.dtype.kind != "f":
        different = np.flatnonzero(wanted != found)
        if different.size:
            at = different[0]
            values = f"wanted {wanted.tolist()[at]!r}, found {found.tolist()[at]!r}"
            raise _mismatch(name, f"{values} in {different.size} of {found.size} values")
        return 0.0
    wanted, found = wanted.astype(np.float64), found.astype(np.float64)
    gap = np.where((wanted == found) | (np.isnan(wanted) & np.isnan(found)), 0.0, np.abs(wanted - found))
    worst = float(np.max(np.nan_to_num(gap, nan=np.inf), initial=0.0))
    if worst > golden.tolerance:
        raise _mismatch(name, f"differs by {worst:.3g}, the tolerance is {golden.tolerance:.3g}")
    return worst


def _mismatch(name: str, finding: str) -> ModelRefused:
    advice = (
        "it is not the model that was evaluated, or this runtime computes it otherwise; train and register it again"
    )
    return ModelRefused("GoldenMismatch", f"output {name!r} of the golden rows {finding}; {advice}")


def _array(data: Any, datatype: str) -> Array:
    shape, level = [], data
    while isinstance(level, list):
        shape.append(len(level))
        level = level[0] if level else None
    return tensors.from_json(data, datatype, shape)


def _zeros(spec: TensorSpec) -> Array:
    shape = [1 if axis == -1 else axis for axis in spec.shape]
    return np.full(shape, "" if spec.datatype == "BYTES" else 0, DTYPES[spec.datatype])
