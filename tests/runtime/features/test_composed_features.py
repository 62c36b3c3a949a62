"""Expressions that Hypothesis composes of exact functions equal DuckDB's, bit for bit."""

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, assume, given, settings

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
