"""The same rows through both models, and how far their answers are apart."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flywheel_runtime.contract.errors import Failure

Array = NDArray[Any]
Answers = dict[str, Array]
MADE_UP_ROWS = 64
SEED = 7
_DTYPES = {
    "tensor(float)": np.float32,
    "tensor(double)": np.float64,
    "tensor(float16)": np.float16,
    "tensor(bool)": np.bool_,
}


def read(golden: Path, model: bytes) -> tuple[Answers, dict[str, Any] | None]:
    """The rows of golden.json and that document; without one, 64 rows of standard normal numbers (the same each time). Raises Failure."""
    inputs = session(model).get_inputs()
    if not golden.is_file():
        random = np.random.default_rng(SEED)
        return {each.name: _made_up(each, random) for each in inputs}, None
    try:
        document = json.loads(golden.read_bytes())
        return {each.name: _given(each, document["inputs"][each.name]) for each in inputs}, document
    except (ValueError, KeyError, TypeError) as error:
        words = f"golden.json does not fit the model ({error!r}); register the version again"
        raise Failure("GoldenInvalid", words) from error


def answers(model: bytes, given: Answers) -> Answers:
    """Every output for these rows, by name. Raises Failure."""
    return asked(session(model), given)


def asked(loaded: Any, given: Answers) -> Answers:
    """Every output of a session for these rows, by name. Raises Failure."""
    names = [output.name for output in loaded.get_outputs()]
    try:
        return dict(zip(names, loaded.run(names, given), strict=True))
    except Exception as error:  # onnxruntime's exceptions have no common base
        words = " ".join(str(error).split())[:400]
        raise Failure("WarmUpFailed", f"the model did not answer ({words}); export it again") from error


def gap(old: Answers, new: Answers) -> float:
    """The greatest relative difference of any number: max |new - old| / (1 + |old|), over outputs of floating numbers.

    Two NaN differ by nothing, a NaN and a number by 1.
    """
    worst = 0.0
    for name, before in old.items():
        if before.dtype.kind != "f" or not before.size:
            continue
        left, right = before.astype(np.float64), new[name].astype(np.float64)
        with np.errstate(invalid="ignore"):
            difference = np.abs(right - left) / (1 + np.abs(left))
        difference = np.where(np.isnan(left) & np.isnan(right) | (left == right), 0.0, difference)
        worst = max(worst, float(np.nan_to_num(difference, nan=1.0, posinf=1.0).max()))
    return worst


def count(given: Answers) -> int:
    """How many rows there are."""
    return len(next(iter(given.values()))) if given else 0


def session(model: bytes, threads: int = 0) -> Any:
    """A model that can be asked; 0 threads are as many as there are cores. Raises Failure."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    try:
        return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's exceptions have no common base
        words = " ".join(str(error).split())[:400]
        raise Failure("ModelNotLoadable", f"the model cannot be loaded ({words}); export it again") from error


def dtype_of(declared: str) -> Any:
    """NumPy's type for ONNX's `tensor(...)`."""
    if declared == "tensor(string)":
        return np.dtype(object)
    return np.dtype(_DTYPES.get(declared) or declared.removeprefix("tensor(").removesuffix(")"))


def _shape(declared: Any) -> list[int]:
    """The first axis of any length is the row."""
    axes = [axis if isinstance(axis, int) and axis > 0 else 1 for axis in declared.shape]
    if declared.shape and not isinstance(declared.shape[0], int):
        axes[0] = MADE_UP_ROWS
    return axes


def _made_up(declared: Any, random: np.random.Generator) -> Array:
    shape = _shape(declared)
    if declared.type == "tensor(string)":
        return np.full(shape, "", dtype=object)
    numbers = random.standard_normal(shape)
    if "int" in declared.type:
        numbers = np.abs(numbers)
    made_up: Array = numbers.astype(dtype_of(declared.type))
    return made_up


def _given(declared: Any, values: Any) -> Array:
    found: Array = np.array(values, dtype=dtype_of(declared.type))  # null becomes NaN
    wanted = len(declared.shape)
    if found.ndim == wanted - 1 and declared.shape[-1] == 1:
        found = found[..., None]
    if found.ndim != wanted:
        raise ValueError(f"input '{declared.name}' has {found.ndim} axes and should have {wanted}")
    return found
