"""How a compiled expression differs from DuckDB's TRY() of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import duckdb
import numpy as np
import onnxruntime
from numpy.typing import NDArray

from flywheel_runtime.features.compiler import CompiledExpression, FeatureCompiler
from flywheel_runtime.features.errors import ExpressionRefused
from flywheel_runtime.features.input_columns import InputEncoding
from tests.runtime.features.random_rows import RandomRows

SMALLEST_FP32 = 1.1754944e-38  # normal number


class NativeModels:
    """Expressions over COLUMNS as models, each compiled once in a database that takes longer to open than they to compile."""

    def __init__(self, database: duckdb.DuckDBPyConnection) -> None:
        self.database = database
        self._compiled: dict[str, tuple[Any, CompiledExpression] | str] = {}

    def compile(self, sql: str) -> tuple[Any, CompiledExpression] | str:
        """The model and what is known of it, or why it is refused."""
        if sql not in self._compiled:
            try:
                self._compiled[sql] = FeatureCompiler(self.database, InputEncoding.NATIVE).compile_native(sql)
            except ExpressionRefused as refusal:
                self._compiled[sql] = str(refusal)
        return self._compiled[sql]


@dataclass(frozen=True)
class Difference:
    """Rows in which the graph and DuckDB differ: in NULL, in bits, as FP32, and by how many units in the last place at most."""

    compiled: CompiledExpression
    nulls: int
    values: int
    as_fp32: int
    ulps: float
    example: str

    @property
    def is_none(self) -> bool:
        """Whether no row differs."""
        return not self.nulls and not self.values


def compare_expression(
    models: NativeModels, rows: RandomRows, sql: str, single_rows: Sequence[int] = ()
) -> Difference | None:
    """Run the graph on all rows at once, and then on some of them alone; None for an expression that is refused."""
    found = models.compile(sql)
    if isinstance(found, str):
        return None
    model, compiled = found
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    inputs = rows.inputs([each.name for each in session.get_inputs() if not each.name.endswith("?")])
    values, null = (output.ravel() for output in session.run(None, inputs))
    expected, expected_null = rows.select(f"TRY(\n{sql}\n)")
    if values.dtype == object:
        expected = expected.astype(object)
    batch = _differ(compiled, values, null, expected, expected_null)
    for row in single_rows:
        one = {name: column[row : row + 1] for name, column in inputs.items()}
        value, is_null = (output.ravel() for output in session.run(None, one))
        here = slice(row, row + 1)
        alone = _differ(compiled, value, is_null, expected[here], expected_null[here])
        if batch.is_none and not alone.is_none:
            return alone
    return batch


def _differ(
    compiled: CompiledExpression,
    values: NDArray[Any],
    null: NDArray[np.bool_],
    expected: NDArray[Any],
    expected_null: NDArray[np.bool_],
) -> Difference:
    both = ~null & ~expected_null
    wrong_null = null != expected_null
    wrong = both & ~_same(values, expected)
    places = np.flatnonzero(wrong | wrong_null)
    example = ""
    if len(places):
        row = places[0]
        found, right = (
            "NULL" if mask[row] else repr(array[row]) for mask, array in ((null, values), (expected_null, expected))
        )
        example = f"{compiled.sql}: row {row} is {found}, not {right}"
    is_real = values.dtype.kind == "f"
    as_fp32 = int((both & ~_same_fp32(values, expected)).sum()) if is_real else int(wrong.sum())
    ulps = _ulps(values[wrong], expected[wrong]) if is_real else float(wrong.any())
    return Difference(compiled, int(wrong_null.sum()), int(wrong.sum()), as_fp32, ulps, example)


def _same(values: NDArray[Any], expected: NDArray[Any]) -> NDArray[np.bool_]:
    """Equal bits but for the sign of zero; NaN is NaN."""
    same = np.asarray(values == expected, bool)
    return same | (np.isnan(values) & np.isnan(expected)) if values.dtype.kind == "f" else same


def _same_fp32(values: NDArray[Any], expected: NDArray[Any]) -> NDArray[np.bool_]:
    with np.errstate(over="ignore", under="ignore"):
        return _same(values.astype(np.float32), expected.astype(np.float32))


def _ulps(values: NDArray[Any], expected: NDArray[Any]) -> float:
    if not len(values):
        return 0.0
    if not (np.isfinite(values) & np.isfinite(expected)).all():
        return float("inf")
    return float(np.max(np.abs(values - expected) / np.spacing(np.abs(expected))))
