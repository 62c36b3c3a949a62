"""The plans of the pinned DuckDB are as they were once looked at. `GOLDEN=write` accepts them: look at the difference first."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest

from flywheel_runtime.features.bound_plan import bind_expression
from flywheel_runtime.features.compiler import FeatureCompiler, open_database
from flywheel_runtime.features.errors import ExpressionRefused
from flywheel_runtime.features.expressions import ExpressionCompiler
from flywheel_runtime.features.graph import GraphBuilder
from flywheel_runtime.features.input_columns import InputEncoding
from flywheel_runtime.features.values import Compilation
from tests.golden_files import same_text
from tests.runtime.features.random_rows import COLUMNS

GOLDEN_PLANS = Path(__file__).with_name("golden") / "plans.json"
EXPRESSIONS = (
    "a + 1.5",
    "i * d",
    "-v // 3",
    "CASE WHEN a > 1 AND k THEN i ELSE 0 END",
    "coalesce(a, b, 'nan'::DOUBLE, '-inf'::DOUBLE)",
    "nullif(s, '')",
    "TRY(i // j)",
    "TRY_CAST(s AS DOUBLE)",
    "a + 1 BETWEEN 2 AND 3",
    "i NOT IN (1, 2, NULL)",
    "a IS NOT DISTINCT FROM b OR k IS NULL",
    "s ILIKE 'a%'",
    "year(ts - INTERVAL 3 HOUR)",
    "date_diff('day', dt, DATE '2020-02-29')",
    "regexp_matches(lower(s), '^a', 'i')",
    "hash(i) % 100",
)


@pytest.fixture
def database() -> Iterator[duckdb.DuckDBPyConnection]:
    with open_database(COLUMNS) as opened:
        yield opened


def without_locations(node: Any) -> Any:
    """The node without where it stands in the text."""
    if isinstance(node, dict):
        return {key: without_locations(each) for key, each in node.items() if not key.startswith("query_location")}
    return [without_locations(each) for each in node] if isinstance(node, list) else node


def test_plans_are_those_that_the_compiler_knows(database: duckdb.DuckDBPyConnection) -> None:
    plans = {sql: without_locations(bind_expression(database, sql).node) for sql in EXPRESSIONS}

    assert same_text(GOLDEN_PLANS, json.dumps(plans, indent=1, sort_keys=True, ensure_ascii=False) + "\n")


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"expression_class": "BOUND_LAMBDA"}, "the node BOUND_LAMBDA"),
        ({"type": "OPERATOR_NEW"}, "the function node OPERATOR_NEW"),
        ({"expression_class": "BOUND_CONJUNCTION", "type": "CONJUNCTION_XOR"}, "the conjunction CONJUNCTION_XOR"),
        ({"expression_class": "BOUND_OPERATOR", "type": "OPERATOR_NEW"}, "the operator OPERATOR_NEW"),
        ({"type": "COMPARE_NEW"}, "the comparison COMPARE_NEW"),
        ({"qname": {"path": ["newer"]}}, "the function 'newer' cannot be compiled"),
    ],
)
def test_a_node_that_is_unknown_is_refused(
    database: duckdb.DuckDBPyConnection, changes: dict[str, Any], reason: str
) -> None:
    compiler = FeatureCompiler(database, InputEncoding.NATIVE)
    a, _ = compiler.compile_expression("a")
    b, _ = compiler.compile_expression("b")
    bound = bind_expression(database, "a + b")
    nodes = ExpressionCompiler(Compilation(GraphBuilder(), database), [a, b])

    with pytest.raises(ExpressionRefused, match=reason):
        nodes.compile({**bound.node, **changes})
