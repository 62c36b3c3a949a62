"""Every function equals DuckDB's, or differs as docs/feature-functions.md says; what cannot is refused."""

import math
from collections.abc import Iterator

import onnxruntime
import pytest

from tests.documents import CHECKOUT
from tests.golden_files import same_text
from tests.runtime.features.equality import Difference, NativeModels, compare_expression
from tests.runtime.features.feature_functions import all_expressions, read_groups, render_page
from tests.runtime.features.random_rows import RandomRows

PAGE = CHECKOUT / "docs" / "feature-functions.md"
LARGER_DIFFERENCES = {"sin", "cos", "tan", "tanh"}  # beside a zero
MAX_ULPS = 8
ROWS, LONG_RUN_ROWS = 1000, 10_000
SINGLE_ROWS = range(3)

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def rows() -> Iterator[RandomRows]:
    onnxruntime.set_default_logger_severity(4)
    table = RandomRows(ROWS)
    yield table
    table.database.close()


@pytest.mark.parametrize("group", list(read_groups()))
def test_the_graphs_of_a_group_equal_duckdb(models: NativeModels, rows: RandomRows, group: str) -> None:
    for sql in read_groups()[group]:
        check_equality(models, rows, sql)


@pytest.mark.long_run
@pytest.mark.parametrize("seed", [1, 2])
def test_the_graphs_equal_duckdb_on_many_rows(models: NativeModels, seed: int) -> None:
    table = RandomRows(LONG_RUN_ROWS, seed)
    for sql in all_expressions():
        check_equality(models, table, sql)
    table.database.close()


def check_equality(models: NativeModels, rows: RandomRows, sql: str) -> None:
    """An exact expression has no difference, an inexact one that of its class."""
    difference = compare_expression(models, rows, sql, SINGLE_ROWS)
    if difference is None:
        return  # why it is refused is on the page, which is compared
    if difference.compiled.is_exact:
        assert difference.is_none, difference.example
    else:
        check_closeness(difference)


def check_closeness(difference: Difference) -> None:
    """Values are equal as FP32 and, away from zeros, within few units in the last place. Texts differ in single letters."""
    inexact = set(difference.compiled.inexact)
    if "cast of VARCHAR to DOUBLE" in inexact:
        assert difference.values == 0, difference.example
    elif not inexact & {"upper", "ucase"}:
        assert difference.nulls == 0, difference.example
        assert difference.as_fp32 == 0, difference.example
        assert difference.ulps <= (math.inf if inexact & LARGER_DIFFERENCES else MAX_ULPS), difference.example


def test_the_page_of_functions_is_what_the_compiler_does(models: NativeModels) -> None:
    assert same_text(PAGE, render_page(models))
