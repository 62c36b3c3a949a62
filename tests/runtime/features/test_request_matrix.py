"""The model that servers load: rows as requests bring them in, FP32 as DuckDB's FLOAT out, at any number of rows."""

import numpy as np
import onnx
import onnxruntime
import pytest

from flywheel_runtime.features.compiler import compile_features
from flywheel_runtime.features.errors import FeaturesRefused
from tests.runtime.features.equality import NativeModels
from tests.runtime.features.feature_functions import all_expressions
from tests.runtime.features.random_rows import COLUMNS, RandomRows

ROWS = 256

pytestmark = pytest.mark.integration


def exact_numbers(models: NativeModels) -> list[str]:
    """The expressions that are exact and a number."""
    found = {sql: models.compile(sql) for sql in all_expressions()}
    exact = {sql: sql for sql, each in found.items() if not isinstance(each, str) and each[1].is_exact}
    with pytest.raises(FeaturesRefused) as refused:
        compile_features(COLUMNS, exact)
    return [sql for sql in exact if "the feature is a" not in refused.value.reasons.get(sql, "")]


def test_all_exact_expressions_side_by_side_equal_duckdb_at_one_row_and_at_many(models: NativeModels) -> None:
    rows = RandomRows(ROWS, seed=5)
    expressions = exact_numbers(models)
    compiled = compile_features(COLUMNS, {f"feature {place}": sql for place, sql in enumerate(expressions)})
    onnx.checker.check_model(compiled.model)
    expected = rows.select_features(expressions)

    session = onnxruntime.InferenceSession(compiled.model.SerializeToString(), providers=["CPUExecutionProvider"])
    sent = rows.requests([each.name for each in session.get_inputs()])
    (matrix,) = session.run(None, sent)

    assert matrix.dtype == np.float32
    assert matrix.shape == (ROWS, len(expressions))
    differs = ~((matrix == expected) | (np.isnan(matrix) & np.isnan(expected)))
    assert [sql for sql, wrong in zip(expressions, differs.any(axis=0), strict=True) if wrong] == []
    for row in range(5):
        (alone,) = session.run(None, {name: values[row : row + 1] for name, values in sent.items()})
        np.testing.assert_array_equal(alone, matrix[row : row + 1])
    rows.database.close()
