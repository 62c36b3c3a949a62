"""Predictions by name: one object for each row, with probabilities by class."""

from collections.abc import Sequence
from typing import Any

import orjson

from flywheel_serving.infer.requests import InferResponse
from flywheel_serving.model.datatypes import Array, is_float
from flywheel_serving.model.signature import TensorSpec
from flywheel_serving.model.tensors import MAX_JSON_VALUES, too_many_values


def encode(response: InferResponse, classes: Sequence[str], model: str) -> bytes:
    """The JSON body; not-a-number and infinities are null. Raises RequestTooLarge."""
    names = [spec.name for spec, _ in response.outputs]
    columns = [_values(spec, array, classes) for spec, array in response.outputs]
    if len(columns) == 1:
        predictions = [{names[0]: value} for value in columns[0]]
    else:
        predictions = [dict(zip(names, values, strict=True)) for values in zip(*columns, strict=True)]
    document: dict[str, Any] = {
        "model_name": model,
        "model_version": response.version,
        "predictions": predictions,
    }
    if response.id:
        document["id"] = response.id
    if response.explanation is not None:
        document["parameters"] = {"explanation": response.explanation}
    return orjson.dumps(document, option=orjson.OPT_SERIALIZE_NUMPY)


def _values(spec: TensorSpec, array: Array, classes: Sequence[str]) -> Sequence[Any]:
    """One value for each row: a number, a text, probabilities by class, or a list."""
    if array.size > MAX_JSON_VALUES:
        raise too_many_values(array)
    rows = len(array)
    if array.size == rows:
        flat = array.ravel()
        if array.dtype == object:
            return [str(value) for value in flat]
        # A 32-bit float keeps its own shortest digits.
        return list(flat) if is_float(spec.datatype) else flat.tolist()
    if array.ndim == 2 and array.shape[1] == len(classes) and is_float(spec.datatype):
        return [dict(zip(classes, row, strict=True)) for row in array]
    return array.tolist() if array.dtype == object else list(array)
