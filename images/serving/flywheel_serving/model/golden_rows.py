"""Golden rows: inputs with the outputs that the model gave after training. The server replays them as its warm-up."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from flywheel_serving.errors import ModelRefused, RequestError
from flywheel_serving.model import tensors
from flywheel_serving.model.datatypes import Array
from flywheel_serving.model.loaded_model import LoadedModel
from flywheel_serving.model.signature import Signature

DEFAULT_TOLERANCE = 1e-4
UNLIMITED_ROWS = 2**63
EXAMPLE_FIELD = "spec.example"


@dataclass(frozen=True)
class InputRows:
    """Rows of one call: `inputs` as the model takes them, and recorded `outputs` by name, possibly none. `source` says who gave them."""

    inputs: dict[str, Array]
    outputs: dict[str, Array]
    tolerance: float
    batched: bool
    source: str = ""

    @property
    def rows(self) -> int:
        return len(next(iter(self.inputs.values()))) if self.batched else 1

    def one_row(self) -> dict[str, Array]:
        """The smallest call: the first row, or all inputs if their first axis is not the row axis."""
        return {name: array[:1] for name, array in self.inputs.items()} if self.batched else self.inputs


def read_golden_rows(path: Path, signature: Signature) -> InputRows | None:
    """The rows of golden.json, or None without a file. Raises ModelRefused if they do not fit the signature."""
    if not path.is_file():
        return None
    try:
        document = json.loads(path.read_bytes())
    except ValueError as error:
        raise _invalid(path.name, error) from error
    return parse_golden_rows(document, signature, path.name)


def parse_golden_rows(document: Any, signature: Signature, source: str) -> InputRows:
    """The rows of a document like golden.json, whose `outputs` may be absent. Raises ModelRefused, naming `source`."""
    try:
        inputs = {spec.name: _array(document["inputs"][spec.name], spec.datatype) for spec in signature.inputs}
        datatypes = {spec.name: spec.datatype for spec in signature.outputs}
        outputs = {name: _array(data, datatypes[name]) for name, data in (document.get("outputs") or {}).items()}
        tolerance = _tolerance(document.get("tolerance", DEFAULT_TOLERANCE))
        return InputRows(signature.fit(inputs, UNLIMITED_ROWS), outputs, tolerance, signature.batched, source)
    except (ValueError, KeyError, TypeError, AttributeError, RequestError) as error:
        raise _invalid(source, error) from error


def _tolerance(value: Any) -> float:
    """The tolerance. Raises ValueError unless it is a finite number of 0 or more: no difference is larger than NaN."""
    tolerance = float(value)
    if not 0 <= tolerance < float("inf"):
        raise ValueError(f"tolerance: wanted a finite number of 0 or more, found {str(value)[:60]!r}")
    return tolerance


def _invalid(source: str, error: Exception) -> ModelRefused:
    finding = f"{source} does not fit the model: {type(error).__name__}: {error}"
    return ModelRefused("GoldenInvalid", f"{finding}; correct its rows, or write the artifact again")


def replay(golden: InputRows, model: LoadedModel, seconds: float | None = None) -> float:
    """The largest absolute difference between computed and recorded numbers. Raises ModelRefused beyond the tolerance."""
    names = [spec.name for spec in model.signature.outputs]
    try:
        computed = dict(zip(names, model.run(golden.inputs, names, seconds), strict=True))
    except RequestError as error:
        next_step = f"correct {golden.source or 'them'}"
        raise ModelRefused("WarmUpFailed", f"the model failed on its own rows: {error}; {next_step}") from error
    return max((_difference(name, golden, computed[name]) for name in golden.outputs), default=0.0)


def _difference(name: str, golden: InputRows, found: Array) -> float:
    wanted, source = golden.outputs[name], golden.source
    if wanted.size != found.size:
        raise _mismatch(name, source, f"wanted shape {list(wanted.shape)}, found {list(found.shape)}")
    wanted, found = wanted.ravel(), found.ravel()
    if found.dtype.kind != "f":
        different = np.flatnonzero(wanted != found)
        if different.size:
            finding = f"differs in {different.size} of {found.size} values, first in value {different[0] + 1}"
            raise _mismatch(name, source, finding)
        return 0.0
    wanted, found = wanted.astype(np.float64), found.astype(np.float64)
    differences = np.where((wanted == found) | (np.isnan(wanted) & np.isnan(found)), 0.0, np.abs(wanted - found))
    largest = float(np.max(np.nan_to_num(differences, nan=np.inf), initial=0.0))
    if largest > golden.tolerance:
        raise _mismatch(name, source, f"differs by {largest:.3g}, the tolerance is {golden.tolerance:.3g}")
    return largest


def _mismatch(name: str, source: str, finding: str) -> ModelRefused:
    """The refusal. Rows in spec.example are their author's, as those in golden.json of a model that nobody trained here are."""
    again = "correct them, or export the model again"
    if source != EXAMPLE_FIELD:
        again = "train and register it again; or, for a model that was made elsewhere, correct the file or export the model again"
    advice = f"this is not the model that gave these outputs, its converter changed it, or this runtime computes it differently; {again}"
    return ModelRefused("GoldenMismatch", f"output {name!r} of the golden rows {finding}, by {source}; {advice}")


def _array(data: Any, datatype: str) -> Array:
    shape, level = [], data
    while isinstance(level, list):
        shape.append(len(level))
        level = level[0] if level else None
    return tensors.from_json(data, datatype, shape)
