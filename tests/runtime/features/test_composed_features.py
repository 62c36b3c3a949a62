"""Expressions that Hypothesis composes of exact functions equal DuckDB's, bit for bit."""

from collections.abc import Iterator

import numpy as np
import onnxruntime
import pytest
from hypothesis import HealthCheck, assume, given, settings

from flywheel_runtime.features.compiler import FeatureCompiler
from flywheel_runtime.features.errors import ExpressionRefused
from flywheel_runtime.features.input_columns import InputEncoding
from flywheel_runtime.features.output_tensors import build_matrix_model, check_feature_type
from tests.examples import examples
from tests.runtime.features.composed_expressions import EXPRESSIONS
from tests.runtime.features.equality import NativeModels, compare_expression
from tests.runtime.features.random_rows import RandomRows

ROWS = 300
MAX_LETTERS = 500

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def rows() -> Iterator[RandomRows]:
    table = RandomRows(ROWS, seed=11)
    yield table
    table.database.close()


@settings(max_examples=examples(200, ci=60), deadline=None, suppress_health_check=list(HealthCheck))
@given(sql=EXPRESSIONS)
def test_composed_expressions_equal_duckdb(models: NativeModels, rows: RandomRows, sql: str) -> None:
    assume(len(sql) <= MAX_LETTERS)

    difference = compare_expression(models, rows, sql, range(2))

    assert difference is None or difference.is_none, difference.example


@settings(max_examples=examples(200, ci=60), deadline=None, suppress_health_check=list(HealthCheck))
@given(sql=EXPRESSIONS)
def test_composed_features_of_requests_equal_duckdb(models: NativeModels, rows: RandomRows, sql: str) -> None:
    """Columns of requests have no masks, and what is known of their NULL spares nodes that the graph of native types has."""
    assume(len(sql) <= MAX_LETTERS)
    compiler = FeatureCompiler(models.database, InputEncoding.REQUESTS)
    try:
        value, compiled = compiler.compile_expression(sql)
        check_feature_type(value)
    except ExpressionRefused:
        return
    assume(compiled.is_exact)
    expected = rows.select_features([sql])

    model = build_matrix_model(compiler.graph, [value])
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    sent = rows.requests([each.name for each in session.get_inputs()])
    (batch,) = session.run(None, sent)
    (alone,) = session.run(None, {name: values[:1] for name, values in sent.items()})

    differs = ~((batch == expected) | (np.isnan(batch) & np.isnan(expected)))[:, 0]
    assert not differs.any(), f"{sql}: row {differs.argmax()} is {batch[differs][0]}, not {expected[differs][0]}"
    np.testing.assert_array_equal(alone, batch[:1])
