"""A column that prepare makes is one that every caller must bring, and the warning says what to do instead."""

from pathlib import Path

import pytest

from flywheel_runtime.commands.prepare.added_columns import find_added_columns
from flywheel_runtime.datasets.preparation.query import Table

COLUMNS = {"flight": "String", "sched": "Timestamp", "dist": "Float", "air": "Float", "late": "Boolean"}
FLIGHTS = Table(
    "flights", Path(), {"columns": [{"name": name, "type": kind} for name, kind in COLUMNS.items()], "target": "late"}
)


@pytest.mark.parametrize(
    ("expression", "advice"),
    [
        pytest.param(
            "dist / nullif(air, 0)",
            "move it to rowwise of the step train (made: (dist / \"nullif\"(air, 0)))",
            id="of its own row",
        ),
        pytest.param("count(*) OVER (PARTITION BY sched)", "looks at other rows by a window", id="of other rows"),
        pytest.param("trim(flight)", "the function 'trim' cannot be compiled", id="of no function in ONNX"),
        pytest.param("CASE WHEN late THEN 1 END", "it reads the target 'late', which no caller knows", id="of the target"),
    ],
)  # fmt: skip
def test_an_added_column_is_named_with_advice(expression: str, advice: str) -> None:
    sql = f"SELECT *, {expression} AS made FROM flights WHERE dist > 0"

    [warning] = find_added_columns(sql, FLIGHTS, [*COLUMNS, "made"])

    assert warning.kind == "CallersMustBring"
    assert warning.message.startswith("Callers must bring 'made', which 'flights' lacks")
    assert advice in warning.message
    assert warning.message.endswith(".")


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT flights.*, weather.temp FROM flights JOIN weather USING (sched)",
        "(SELECT * FROM flights) UNION ALL (SELECT * FROM flights)",
        "WITH x AS (SELECT 1 AS temp) SELECT * FROM flights, x",
        "WITH x AS (SELECT * REPLACE (dist * 10 AS dist) FROM flights) SELECT *, dist * 2 AS temp FROM x",
        "WITH flights AS (SELECT * REPLACE (dist * 10 AS dist) FROM flights) SELECT *, dist * 2 AS temp FROM flights",
        "SELECT *, dist * 2 AS temp FROM (SELECT * REPLACE (dist * 10 AS dist) FROM flights)",
        "SELECT flights.*, dist * 2 AS temp FROM flights JOIN weather USING (sched)",
        "SELECT *, dist * 2 AS temp FROM weather",
        "SELECT *, dist * 2 AS temp FROM flights AS flights(flight, sched, air, dist, late)",
        "SELECT COLUMNS(*) + 1, dist * 2 AS temp FROM flights",
    ],
)
def test_a_column_that_the_first_table_alone_does_not_make_has_no_advice(sql: str) -> None:
    [warning] = find_added_columns(sql, FLIGHTS, [*COLUMNS, "temp"])

    assert "it comes from other rows, another table or a query inside the SQL" in warning.message


@pytest.mark.parametrize(
    "columns", ["* REPLACE (dist * 10 AS dist)", "dist * 10 AS Dist, air", "* RENAME (dist AS km, air AS dist)"]
)
def test_an_expression_over_a_column_that_the_query_changes_is_not_advised(columns: str) -> None:
    """The model would read the changed one."""
    [warning] = find_added_columns(f"SELECT {columns}, dist * 2 AS twice FROM Flights", FLIGHTS, [*COLUMNS, "twice"])

    assert "it reads 'dist' of 'flights', and 'dist' of the result is another value" in warning.message


def test_columns_of_the_source_give_no_warning() -> None:
    assert (
        find_added_columns("SELECT flight, dist + 1 AS dist, Late FROM flights", FLIGHTS, ["flight", "dist", "Late"])
        == []
    )
