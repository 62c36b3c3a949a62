"""An ASOF join that may take one of several rows is a warning; any other is none."""

from typing import Any

import pytest

from flywheel_runtime.datasets.preparation.asof_joins import find_ties
from flywheel_runtime.datasets.sql import connect

TABLES = {"trades": ["shop", "time"], "Rates": ["shop", "time", "rate"]}
ON = "t.shop = r.shop AND t.time >= r.time"


@pytest.fixture(scope="module")
def connection() -> Any:
    with connect() as found:
        found.execute("CREATE TABLE trades AS SELECT 'a' AS shop, 5 AS time")
        rates = "('a', 1, 0.1), ('a', 1, 0.2), ('a', 2, 0.3), ('b', 1, 0.4), (NULL, 3, 0.5), (NULL, 3, 0.6)"
        found.execute(f"CREATE TABLE Rates AS SELECT * FROM (VALUES {rates}) AS _(shop, time, rate)")
        yield found


@pytest.mark.parametrize(
    "query",
    [
        pytest.param(f"SELECT t.*, rate FROM trades t ASOF LEFT JOIN rates r ON {ON}", id="by a condition"),
        pytest.param("SELECT * FROM trades ASOF JOIN Rates USING (shop, time)", id="by shared columns"),
        pytest.param("SELECT * FROM trades ASOF JOIN Rates ON trades.SHOP = rates.shop AND trades.time > Rates.time", id="in other case"),
        pytest.param(f"SELECT * FROM (SELECT rate FROM trades t ASOF JOIN Rates r ON {ON})", id="inside a query"),
    ],
)  # fmt: skip
def test_several_rows_of_one_key_and_time_are_a_warning(connection: Any, query: str) -> None:
    [warning] = find_ties(connection, TABLES, query)

    assert (warning.kind, warning.severity, warning.count) == ("NotRepeatable", "Warning", 1)
    assert "Table 'Rates' has several rows for 1 value(s) of 'shop', 'time'" in warning.message


@pytest.mark.parametrize(
    "query",
    [
        pytest.param("SELECT * FROM trades t ASOF JOIN Rates r ON t.shop = r.shop AND t.time >= r.time AND $flywheel_value_0 > 1 JOIN trades USING (shop)", id="a condition with a parameter"),
        pytest.param("SELECT * FROM trades JOIN Rates USING (shop)", id="another join"),
        pytest.param(f"SELECT * FROM trades t ASOF JOIN Rates r ON {ON} AND t.time >= 0 AND t.rate = r.rate", id="a condition that is not understood"),
        pytest.param(f"SELECT * FROM trades t ASOF JOIN (FROM Rates QUALIFY row_number() OVER (PARTITION BY shop, time ORDER BY rate) = 1) r ON {ON}", id="one row of each"),
        pytest.param(f"WITH Rates AS (SELECT 'a' AS shop, 1 AS time) SELECT * FROM trades t ASOF JOIN Rates r ON {ON}", id="a name of the query"),
        pytest.param("SELECT * FROM Rates r ASOF JOIN trades t ON t.shop = r.shop AND r.time >= t.time", id="a table without such rows"),
        pytest.param("SELECT 1", id="no table"),
    ],
)  # fmt: skip
def test_other_queries_give_no_warning(connection: Any, query: str) -> None:
    assert find_ties(connection, TABLES, query) == []
