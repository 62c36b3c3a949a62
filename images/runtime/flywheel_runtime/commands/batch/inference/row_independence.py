"""Whether a model answers a row by its neighbours in the same call (a mean over the batch, say): then each row is asked alone, as online."""

import contextlib
from collections.abc import Mapping, Sequence

import numpy as np

from flywheel_runtime.commands.batch.inference.client import Array, Client
from flywheel_runtime.commands.batch.inference.model_inputs import Feature
from flywheel_runtime.contract.errors import RequestRejected

COMPARED_ROWS = (
    3  # rows: enough for a difference, as the server itself finds out (flywheel_serving/model/golden_rows.py)
)


def rows_mix(client: Client, features: Sequence[Feature], feeds: Mapping[str, Array]) -> bool:
    """Whether some rows get together what they do not get alone. Rows that are refused alone tell nothing."""
    inputs = tuple(feature.tensor for feature in features)
    alone: dict[int, dict[str, Array]] = {}
    for at in range(min(COMPARED_ROWS, *(len(array) for array in feeds.values()))):
        with contextlib.suppress(RequestRejected):
            alone[at] = client.infer(inputs, {name: array[at : at + 1] for name, array in feeds.items()})
    if not alone:
        return False
    try:
        together = client.infer(inputs, {name: array[list(alone)] for name, array in feeds.items()})
    except RequestRejected:
        return True
    return not all(
        _alike(together[name][place : place + 1], array)
        for place, answer in enumerate(alone.values())
        for name, array in answer.items()
    )


def _alike(left: Array, right: Array) -> bool:
    if left.shape != right.shape:
        return False
    # A sum in another order is no other answer.
    return bool(np.allclose(left, right, 1e-3, 1e-4, True) if left.dtype.kind == "f" else (left == right).all())
