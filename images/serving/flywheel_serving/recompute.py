"""`python3 -m flywheel_serving.recompute --model DIR`: the answer of a stored model to one logged row, and what each column contributed.

Standard input has the row's features as the log has them, `{"features": {"month": 1.0, "carrier": "UA"}}`; standard output has one JSON
object. Numbers of 32 and of 64 bits pass through JSON without a change; those that JSON lacks are texts, such as NaN.
"""

import json
import sys
from argparse import ArgumentParser
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from flywheel_serving.errors import ModelRefused, RequestError
from flywheel_serving.explanation.description import describe_rows
from flywheel_serving.explanation.errors import NotExplained
from flywheel_serving.explanation.method_choice import load_explainer
from flywheel_serving.model.datatypes import Array
from flywheel_serving.model.onnx_model import OnnxModel
from flywheel_serving.model.signature import Signature, TensorSpec
from flywheel_serving.model.tensors import from_json

DONE, REFUSED = 0, 2  # exit codes
MAX_INPUT_BYTES = 16 << 20
NOT_FINITE = {"NaN": float("nan"), "Infinity": float("inf"), "-Infinity": float("-inf")}  # as the reader writes them


def main(arguments: list[str] | None = None) -> int:
    """0 with the object on stdout; 2 with a sentence on stderr where the row cannot be computed."""
    parser = ArgumentParser(prog="flywheel_serving.recompute", description="Compute the answer to one logged row.")
    parser.add_argument("--model", type=Path, required=True, help="the folder with model.onnx, and what explains it")
    options = parser.parse_args(arguments)
    try:
        features = json.loads(sys.stdin.buffer.read(MAX_INPUT_BYTES))["features"]
        found = recompute_row(options.model, features)
    except (ModelRefused, RequestError, ValueError, KeyError, TypeError) as error:
        sys.stderr.write(f"{' '.join(str(error).split()) or type(error).__name__}\n")
        return REFUSED
    sys.stdout.write(json.dumps(found, ensure_ascii=False))
    return DONE


def recompute_row(folder: Path, features: Mapping[str, Any]) -> dict[str, Any]:
    """`outputs` by name, each a flat list in row-major order, with `contributions` or the reason why there are none.

    Raises ModelRefused, RequestError; ValueError for features that do not fit the model.
    """
    model = OnnxModel(folder / "model.onnx", threads=1)
    feeds = _feeds(model.signature, features)
    names = [spec.name for spec in model.signature.outputs]
    answers = model.run(feeds, names)
    return {
        "outputs": {name: _values(array) for name, array in zip(names, answers, strict=True)},
        "software": {"onnxruntime": onnxruntime.__version__, "numpy": np.__version__},
        **_explain(folder, feeds),
    }


def _feeds(signature: Signature, features: Mapping[str, Any]) -> dict[str, Array]:
    """The tensors of a call with this one row, as the server gave them to the model."""
    if missing := [spec.name for spec in signature.inputs if spec.name not in features]:
        raise ValueError(f"the row has no value of {', '.join(missing[:20])}, which the model reads")
    tensors = {spec.name: _tensor(spec, features[spec.name]) for spec in signature.inputs}
    return signature.fit(tensors, max_rows=1)


def _tensor(spec: TensorSpec, value: Any) -> Array:
    values = value if isinstance(value, list) else [value]
    if spec.datatype != "BYTES":
        values = [NOT_FINITE.get(each, each) if isinstance(each, str) else each for each in values]
    open_axes = sum(axis == -1 for axis in spec.shape[1:])
    if spec.any_rank or open_axes > 1:
        raise ValueError(f"input '{spec.name}' has the shape {list(spec.shape)}, which a logged row does not tell")
    known = int(np.prod([axis for axis in spec.shape[1:] if axis != -1], dtype=np.int64))
    inner = [axis if axis != -1 else len(values) // max(known, 1) for axis in spec.shape[1:]]
    return from_json(values, spec.datatype, [1, *inner] if spec.shape else [])


def _values(array: Array) -> list[Any]:
    """The values as Python's, each exactly the number that the model gave."""
    flat = array.ravel().tolist()
    return [str(each) for each in flat] if array.dtype == object else flat


def _explain(folder: Path, feeds: dict[str, Array]) -> dict[str, Any]:
    try:
        [found] = describe_rows(load_explainer(folder).explain_rows(feeds))
    except NotExplained as error:
        return {"notExplained": {"reason": error.reason, "message": str(error)}}
    return {"contributions": {key: found[key] for key in ("method", "scale", "outputs")}}


if __name__ == "__main__":
    sys.exit(main())
