"""Synthetic rows for models without golden rows or an example: of several sizes and values, since no one of them suits all models."""

from collections.abc import Iterator
from math import prod

import numpy as np

from flywheel_serving.model.datatypes import DTYPES, Array
from flywheel_serving.model.golden_rows import DEFAULT_TOLERANCE, InputRows
from flywheel_serving.model.signature import Signature, TensorSpec

SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 224, 256, 512)  # of every axis of any length but the row axis
NUMBERS, TEXTS = (0.0, 1.0, 0.5), ("", "a", "1")
MAX_RANK = 4  # that is tried for an input of any rank
MAX_VALUES = 2**22  # of one input


def synthetic_rows(signature: Signature) -> Iterator[InputRows]:
    """Calls of one row, without outputs: first every value with the smallest sizes, then larger sizes."""
    ranks = range(1, MAX_RANK + 1) if any(spec.any_rank for spec in signature.inputs) else (1,)
    sizes = SIZES if any(_has_free_axis(spec) for spec in signature.inputs) else SIZES[:1]
    for size in sizes:
        for rank in ranks:
            for number, text in zip(NUMBERS, TEXTS, strict=True):
                shapes = [_shape(spec, size, rank) for spec in signature.inputs]
                if size == SIZES[0] or max(map(prod, shapes)) <= MAX_VALUES:
                    inputs = {
                        spec.name: _filled(spec, shape, number, text)
                        for spec, shape in zip(signature.inputs, shapes, strict=True)
                    }
                    yield InputRows(inputs, {}, DEFAULT_TOLERANCE, signature.batched)


def _has_free_axis(spec: TensorSpec) -> bool:
    return -1 in spec.shape[1:]


def _shape(spec: TensorSpec, size: int, rank: int) -> tuple[int, ...]:
    if spec.any_rank:
        return (1,) * rank
    return tuple(axis if axis != -1 else size if position else 1 for position, axis in enumerate(spec.shape))


def _filled(spec: TensorSpec, shape: tuple[int, ...], number: float, text: str) -> Array:
    dtype = DTYPES[spec.datatype]
    value = text if spec.datatype == "BYTES" else number if dtype.kind == "f" else int(number > 0)
    return np.full(shape, value, dtype)
