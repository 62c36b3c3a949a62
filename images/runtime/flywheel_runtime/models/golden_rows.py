"""The golden rows of an artifact: run through a model, and how far the outputs of two models differ."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flywheel_runtime.contract.errors import Failure, describe_fault, one_line

Array = NDArray[Any]
Tensors = dict[str, Array]
RANDOM_ROWS = 64
MAX_EXACT_INTEGER = 2**53  # of a 64-bit float: larger ones would be written with digits that they do not have
SEED = 7
_DTYPES = {
    "tensor(float)": np.float32,
    "tensor(double)": np.float64,
    "tensor(float16)": np.float16,
    "tensor(bool)": np.bool_,
}


def read_golden_rows(golden: Path, model: bytes) -> tuple[Tensors, dict[str, Any] | None]:
    """The inputs in golden.json and that document; without one, 64 rows of standard normal numbers (the same each time). Raises Failure."""
    inputs = load_session(model).get_inputs()
    if not golden.is_file():
        random = np.random.default_rng(SEED)
        return {each.name: _random_input(each, random) for each in inputs}, None
    try:
        document = json.loads(golden.read_bytes())
        return {each.name: _as_declared(each, document["inputs"][each.name]) for each in inputs}, document
    except (ValueError, KeyError, TypeError) as error:
        message = f"golden.json does not fit the model ({describe_fault(error)}); register the version again"
        raise Failure("GoldenInvalid", message) from error


def json_value(value: Any) -> Any:
    """A text or a number as JSON has it; null for a number that is not finite."""
    if isinstance(value, str):
        return value
    number = float(value)
    if not np.isfinite(number):
        return None
    return int(number) if number.is_integer() and abs(number) <= MAX_EXACT_INTEGER else number


def run_model(model: bytes, inputs: Tensors) -> Tensors:
    """Every output of a model, by name. Raises Failure."""
    return run_session(load_session(model), inputs)


def run_session(session: Any, inputs: Tensors) -> Tensors:
    """Every output of a loaded model, by name. Raises Failure."""
    names = [output.name for output in session.get_outputs()]
    try:
        return dict(zip(names, session.run(names, inputs), strict=True))
    except Exception as error:  # onnxruntime's exceptions have no common base
        message = f"the model cannot be run ({one_line(error)}); export it again"
        raise Failure("WarmUpFailed", message) from error


def relative_gap(before: Tensors, after: Tensors) -> float:
    """The greatest relative difference of any number: max |after - before| / (1 + |before|), over outputs of floating numbers.

    Two NaN differ by 0, a NaN and a number by 1.
    """
    largest = 0.0
    for name, values in before.items():
        if values.dtype.kind != "f" or not values.size:
            continue
        left, right = values.astype(np.float64), after[name].astype(np.float64)
        with np.errstate(invalid="ignore"):
            difference = np.abs(right - left) / (1 + np.abs(left))
        difference = np.where(np.isnan(left) & np.isnan(right) | (left == right), 0.0, difference)
        largest = max(largest, float(np.nan_to_num(difference, nan=1.0, posinf=1.0).max()))
    return largest


def load_session(model: bytes, threads: int = 0) -> Any:
    """A model that can be run; 0 threads are as many as there are cores. Raises Failure."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    try:
        return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's exceptions have no common base
        finding = f"onnxruntime {onnxruntime.__version__} cannot load the model ({one_line(error)})"
        message = f"{finding}; export it again, with an IR version and an opset that this onnxruntime reads"
        raise Failure("ModelNotLoadable", message) from error


def dtype_of(declared: str) -> Any:
    """NumPy's type for ONNX's `tensor(...)`."""
    if declared == "tensor(string)":
        return np.dtype(object)
    return np.dtype(_DTYPES.get(declared) or declared.removeprefix("tensor(").removesuffix(")"))


def _shape(declared: Any) -> list[int]:
    """The first axis of any length is the row."""
    axes = [axis if isinstance(axis, int) and axis > 0 else 1 for axis in declared.shape]
    if declared.shape and not isinstance(declared.shape[0], int):
        axes[0] = RANDOM_ROWS
    return axes


def _random_input(declared: Any, random: np.random.Generator) -> Array:
    shape = _shape(declared)
    if declared.type == "tensor(string)":
        return np.full(shape, "", dtype=object)
    numbers = random.standard_normal(shape)
    if "int" in declared.type:
        numbers = np.abs(numbers)
    tensor: Array = numbers.astype(dtype_of(declared.type))
    return tensor


def _as_declared(declared: Any, values: Any) -> Array:
    tensor: Array = np.array(values, dtype=dtype_of(declared.type))  # null becomes NaN
    axes = len(declared.shape)
    if tensor.ndim == axes - 1 and declared.shape[-1] == 1:
        tensor = tensor[..., None]
    if tensor.ndim != axes:
        raise ValueError(f"input '{declared.name}' has {tensor.ndim} axes and should have {axes}")
    return tensor
