"""Whether the graph of rowwise features gives what DuckDB does, on given rows, alone and in a batch.

Exact functions are equal, the others within 4 units in the last place and equal as FP32. The sign of a zero may differ.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flywheel_runtime.contract.errors import Failure
from flywheel_runtime.features.compiler import CompiledExpression, CompiledFeatures
from flywheel_runtime.models.golden_rows import load_session
from flywheel_runtime.models.rowwise.computed_rows import RequestRows

Array = NDArray[Any]
BATCH_ROWS = 256
MAX_SINGLE_ROWS = 1_000
MAX_ULPS = 4.0
NOT_EQUAL = "RowwiseNotEqual"


@dataclass(frozen=True)
class Rows:
    """Rows as requests bring them, each column (rows, 1), where they are from, and whether a message may quote them."""

    requests: Mapping[str, Array]
    origin: str
    shows_values: bool

    def __len__(self) -> int:
        return len(next(iter(self.requests.values())))

    def take(self, start: int, count: int) -> dict[str, Array]:
        """Some of the rows."""
        return {name: values[start : start + count] for name, values in self.requests.items()}

    def describe(self, row: int) -> str:
        """A row for a message."""
        if not self.shows_values:
            return f"row {row} of {self.origin}"
        values = ", ".join(f"{name} = {values[row, 0]}" for name, values in self.requests.items())
        return f"{self.origin} ({values})"


def measure_differences(compiled: CompiledFeatures, types: Mapping[str, str], rows: Rows) -> dict[str, float]:
    """The largest difference of each feature in units in the last place. Raises Failure RowwiseNotEqual beyond what is allowed."""
    table = RequestRows(rows.requests, types)
    try:
        floats = np.stack([table.select_floats(feature) for feature in compiled.features.values()], axis=1)
        _check_matrix(compiled, rows, floats)
        return _measure_values(compiled, table, rows)
    finally:
        table.close()


def check_training_rows(compiled: CompiledFeatures, rows: Rows, expected: Array) -> None:
    """Check that the graph gives the FP32 features (rows, features) that a model is fitted to. Raises Failure RowwiseNotEqual."""
    _check_matrix(compiled, rows, expected)


def _check_matrix(compiled: CompiledFeatures, rows: Rows, expected: Array) -> None:
    """The served matrix in batches of 256, and row by row."""
    session = load_session(compiled.model.SerializeToString(), threads=1)
    names = [each.name for each in session.get_inputs()]
    for size, count in ((BATCH_ROWS, len(rows)), (1, min(len(rows), MAX_SINGLE_ROWS))):
        for start in range(0, count, size):
            inputs = rows.take(start, size)
            found = session.run(None, {name: inputs[name] for name in names})[0]
            differs = ~same_values(found, expected[start : start + size])
            if differs.any():
                row, place = np.argwhere(differs)[0]
                name = list(compiled.features)[place]
                values = found[row, place], expected[start + row, place]
                raise _not_equal(name, compiled.features[name], rows, start + int(row), *values)


def _measure_values(compiled: CompiledFeatures, table: RequestRows, rows: Rows) -> dict[str, float]:
    """Each feature in its own type, in batches of 256."""
    session = load_session(compiled.comparison.SerializeToString(), threads=1)
    names = [each.name for each in session.get_inputs()]
    batches = []
    for start in range(0, len(rows), BATCH_ROWS):
        inputs = rows.take(start, BATCH_ROWS)
        batches.append(session.run(None, {name: inputs[name] for name in names}))
    outputs = [np.concatenate(each).ravel() for each in zip(*batches, strict=True)]
    found = {}
    for place, (name, feature) in enumerate(compiled.features.items()):
        values, null = outputs[2 * place : 2 * place + 2]
        found[name] = _measure(name, feature, rows, (values, null), table.select_values(feature))
    return found


def _measure(
    name: str, feature: CompiledExpression, rows: Rows, found: tuple[Array, Array], expected: tuple[Array, Array]
) -> float:
    """The largest difference of one feature. A NULL that only one side has is larger than any."""
    both = ~found[1] & ~expected[1]
    difference = np.where(found[1] != expected[1], np.inf, 0.0)
    unequal = both & ~same_values(found[0], expected[0])
    is_real = found[0].dtype.kind == "f"
    difference[unequal] = count_ulps(found[0][unequal], expected[0][unequal]) if is_real else np.inf
    worst = int(np.argmax(difference))
    if difference[worst] > (0.0 if feature.is_exact else MAX_ULPS):
        shown = (None if null[worst] else values[worst] for values, null in (found, expected))
        raise _not_equal(name, feature, rows, worst, *shown)
    return float(difference[worst])


def _not_equal(name: str, feature: CompiledExpression, rows: Rows, row: int, found: Any, expected: Any) -> Failure:
    inexact = f" It calls {', '.join(feature.inexact)}, whose last bits differ." if feature.inexact else ""
    advice = "write the expression with other functions (docs/feature-functions.md), or bring the value as a column"
    message = (
        f"rowwise '{name}': {rows.describe(row)} is {_shown(found)} in the model and {_shown(expected)} in DuckDB.{inexact} "
        f"Such a feature would differ between training and serving; {advice}."
    )
    return Failure(NOT_EQUAL, message)


def _shown(value: Any) -> str:
    return "NULL" if value is None or (isinstance(value, np.floating) and np.isnan(value)) else str(value)


def same_values(values: Array, expected: Array) -> NDArray[np.bool_]:
    """Where numbers have equal bits but for the sign of zero; NaN is NaN."""
    same = np.asarray(values == expected, bool)
    return same | (np.isnan(values) & np.isnan(expected)) if values.dtype.kind == "f" else same


def count_ulps(values: Array, expected: Array) -> Array:
    """The differences of reals (rows,) in units in the last place of the expected one; infinite where either is not finite."""
    finite = np.isfinite(values) & np.isfinite(expected)
    with np.errstate(invalid="ignore", over="ignore"):
        ulps = np.abs(values - expected) / np.spacing(np.abs(np.where(finite, expected, 1)))
    return np.where(finite, ulps, np.inf)
