"""SQL that cannot run, or should not, gets a sentence; nothing but the tables is in reach."""

import json
from pathlib import Path
from typing import Any

import duckdb
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from flywheel_runtime.datasets.preparation.bound_query import bind_parameters

ORDERS = "id,day,size,city,late\n" + "".join(
    f"{i},2013-01-{1 + i // 12:02d},{i % 50},{'ABC'[i % 3]},{i * 7 % 5 % 2}\n" for i in range(300)
)
EXTERNAL = "file system operations are disabled"


@pytest.fixture
def orders(checked: Any) -> Path:
    split = {"by": "Time", "validation": "20%", "test": "10%"}
    return Path(checked({"a.csv": ORDERS}, target="late", keys=["id"], eventTime="day", split=split))


@pytest.mark.parametrize(
    ("sql", "finding"),
    [
        pytest.param("SELECT * FROM read_text('/etc/passwd')", EXTERNAL, id="a file"),
        pytest.param("SELECT * FROM '/etc/passwd'", "does not exist", id="a file as a table"),
        pytest.param("SELECT * FROM '/tmp/other.parquet'", EXTERNAL, id="a Parquet file as a table"),
        pytest.param("SELECT * FROM read_csv('https://example.org/a.csv')", EXTERNAL, id="a URL"),
        pytest.param("SELECT * FROM read_blob('/proc/self/environ')", EXTERNAL, id="the environment"),
        pytest.param("SELECT * FROM glob('/*')", EXTERNAL, id="names of files"),
        pytest.param("SELECT * FROM query('SELECT * FROM read_text(''/etc/passwd'')')", EXTERNAL, id="SQL in SQL"),
        pytest.param("SELECT 1 FROM enable_logging(storage_path = '/tmp/log')", "", id="a log on the disk"),
        pytest.param("SELECT * FROM inputs", "does not exist", id="a variable of this program"),
        pytest.param("SELECT getenv('HOME')", "does not exist", id="a variable of the environment"),
        pytest.param("COPY orders TO '/tmp/out.csv'", "is no SELECT", id="COPY"),
        pytest.param("ATTACH '/tmp/x.db'", "is no SELECT", id="ATTACH"),
        pytest.param("INSTALL httpfs", "is no SELECT", id="INSTALL"),
        pytest.param("LOAD httpfs", "is no SELECT", id="LOAD"),
        pytest.param("SET enable_external_access = true", "is no SELECT", id="SET"),
        pytest.param("PRAGMA database_list", "is no SELECT", id="PRAGMA"),
        pytest.param("CREATE TABLE x AS SELECT 1", "is no SELECT", id="CREATE"),
        pytest.param("SELECT * FROM orders; COPY orders TO '/tmp/out.csv'", "2 statements", id="two statements"),
        pytest.param("SELECT * FROM orders) AS x; COPY (SELECT 1", "syntax error", id="a closed parenthesis"),
        pytest.param("WITH x AS (DELETE FROM orders RETURNING *) SELECT * FROM x", "", id="a DELETE inside"),
        pytest.param("", "0 statements", id="nothing"),
        pytest.param("-- nothing", "0 statements", id="a comment"),
        pytest.param("SELECT * FROM order", "syntax error", id="a word that is reserved"),
        pytest.param("SELECT dely FROM orders", "dely", id="a column that is not there"),
        pytest.param("SELECT size + city FROM orders", "", id="types that do not add"),
        pytest.param(
            "SELECT city::INTEGER AS n FROM orders", "ConversionException while it ran", id="a cast that fails"
        ),
        pytest.param(
            "SELECT *, 1 // (size - size) AS n FROM orders",
            "division by zero; write TRY(…) around the expression",
            id="a division by zero",
        ),
        pytest.param(
            "SELECT *, size % (size - size) AS n FROM orders",
            "division by zero; write TRY(…) around the expression",
            id="a remainder by zero",
        ),
        pytest.param("SELECT * FROM orders WHERE size = $1", "", id="a parameter of DuckDB's own"),
        pytest.param("SELECT 'x", "unterminated", id="an open quote"),
    ],
)
def test_sql_that_cannot_run(run_prepare: Any, orders: Path, sql: str, finding: str) -> None:
    result = run_prepare({"orders": orders}, sql)

    assert (result.code, result.failure["reason"]) == (2, "SqlInvalid")
    assert finding in result.failure["message"]
    assert "flywheel_value_" not in result.failure["message"]
    assert "SET error_on" not in result.failure["message"]
    assert not (result.root / "outputs" / "metrics.json").exists()


@pytest.mark.parametrize(
    ("sql", "reason", "finding"),
    [
        pytest.param("SELECT * FROM orders WHERE size > 900", "NoRows", "selects no row", id="no rows"),
        pytest.param(
            "SELECT * FROM orders WHERE flywheel_split <> 'test'", "SplitEmpty", "all 24 test rows", id="no test"
        ),
        pytest.param(
            "SELECT * REPLACE ('mine' AS flywheel_split) FROM orders",
            "SplitInvalid",
            "300 rows of the result have another flywheel_split than",
            id="its own split",
        ),
        pytest.param("SELECT size, late FROM orders", "SplitInvalid", "leaves out its column 'day'", id="no rule"),
        pytest.param("SELECT flywheel_split FROM orders", "SqlInvalid", "alone", id="no column"),
        pytest.param("SELECT *, [size] AS list FROM orders", "UnsupportedType", "'list'", id="a list"),
        pytest.param("SELECT *, 2::HUGEINT ** 100 AS n FROM orders", "Ok", "", id="a great float is a float"),
        pytest.param(
            "SELECT *, 9223372036854775807::HUGEINT + 1 AS n FROM orders", "TypeMismatch", "cast it", id="too great"
        ),
        pytest.param("SELECT * REPLACE (NULL AS late) FROM orders", "TargetAllNull", "'late'", id="no label"),
        pytest.param("SELECT * FROM orders WHERE late = 1", "OneClass", "'late'", id="one class"),
        pytest.param("SELECT * FROM orders WHERE size < $(params.y)", "ParameterUnknown", "$(params.x)", id="unknown"),
        pytest.param("SELECT * FROM orders WHERE city = '$(params.x)'", "SqlInvalid", "inside quotes", id="in quotes"),
        pytest.param('SELECT "$(params.x)" FROM orders', "SqlInvalid", "inside quotes", id="in a name"),
        pytest.param("SELECT $$ $(run.date) $$ FROM orders", "SqlInvalid", "inside quotes", id="in a dollar string"),
    ],
)
def test_data_that_cannot_be(run_prepare: Any, orders: Path, sql: str, reason: str, finding: str) -> None:
    result = run_prepare({"orders": orders}, sql, x=3)

    if reason == "Ok":
        assert result.code == 0
        return
    assert (result.code, result.failure["reason"]) == (2, reason)
    assert finding in result.failure["message"]


@pytest.mark.parametrize(
    ("params", "reason"),
    [
        pytest.param({"tables": []}, "ParamsInvalid", id="no table"),
        pytest.param({"tables": ["orders", "orders"]}, "ParamsInvalid", id="a table twice"),
        pytest.param({"sample": "0"}, "ParamsInvalid", id="a sample of nothing"),
        pytest.param({"sample": "a lot"}, "ParamsInvalid", id="a sample in words"),
        pytest.param({"run": {"date": "tomorrow"}}, "ParamsInvalid", id="a date in words"),
        pytest.param({"tables": ["orders", "other"], "sql": None}, "InputInvalid", id="an input that is not there"),
    ],
)
def test_parameters_that_cannot_be_read(run_prepare: Any, orders: Path, params: dict[str, Any], reason: str) -> None:
    result = run_prepare({"orders": orders}, "SELECT * FROM orders", more=params)

    assert (result.code, result.failure["reason"]) == (2, reason)


def test_two_tables_need_sql(run_prepare: Any, orders: Path) -> None:
    result = run_prepare({"orders": orders, "again": orders})

    assert (result.code, result.failure["reason"]) == (2, "SqlInvalid")
    assert "prepare.sql" in result.failure["message"]


@pytest.mark.parametrize("damage", ["schema.json", "test.parquet", "broken parquet"])
def test_an_input_that_is_no_data_set(run_prepare: Any, orders: Path, tmp_path: Path, damage: str) -> None:
    copy = tmp_path / "copy"
    copy.mkdir()
    for path in orders.iterdir():
        if path.name != damage:
            (copy / path.name).write_bytes(path.read_bytes())
    if damage == "broken parquet":
        (copy / "train.parquet").write_bytes(b"PAR1 nothing")

    result = run_prepare({"orders": copy})

    assert (result.code, result.failure["reason"]) == (2, "InputInvalid")
    assert "'orders'" in result.failure["message"]


def test_a_column_of_the_splits_name_is_refused(run_prepare: Any, orders: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    copy.mkdir()
    for path in orders.iterdir():
        (copy / path.name).write_bytes(path.read_bytes())
    schema = json.loads((copy / "schema.json").read_text())
    schema["columns"].append({"name": "Flywheel_Split", "type": "String", "nullable": True})
    (copy / "schema.json").write_text(json.dumps(schema))

    result = run_prepare({"orders": copy})

    assert (result.code, result.failure["reason"]) == (2, "InputInvalid")


def test_memory_has_its_own_words(run_prepare: Any, orders: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flywheel_runtime.contract.cgroup.memory_limit_bytes", lambda: 40 * 2**20)
    monkeypatch.setattr("flywheel_runtime.datasets.sql.MEMORY_FRACTION", 0.5)

    result = run_prepare({"orders": orders}, "SELECT list(a.id * b.id * c.id) AS n FROM orders a, orders b, orders c")

    assert (result.code, result.failure["reason"]) == (1, "OutOfMemory")


@settings(deadline=None)  # each example opens a DuckDB
@given(
    text=st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=30), kind=st.integers(0, 5)
)
@example(text="''", kind=0)
@example(text="*/ /* --", kind=3)
@example(text="$$ ' $x$", kind=0)
def test_the_value_is_found_behind_whatever_is_quoted_before_it(text: str, kind: int) -> None:
    """DuckDB itself says where a literal or comment ends: if we thought otherwise, the reference would stay or be refused."""
    literal, said = [
        ("'" + text.replace("'", "''") + "'", text),
        ("e'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'", text),
        (f"1 --{' '.join(text.splitlines())}\n", 1),
        (f"1 /*{text.replace('*/', '').replace('/*', '').strip('*/')} */", 1),
        ("1 AS " + '"x' + text.replace('"', '""') + '"', 1),
        (f"$t${text.replace('$', '')}$t$", text.replace("$", "")),
    ][kind]

    bound = bind_parameters(f"SELECT {literal}, $(params.x)", {"x": 7}, {})

    assert dict(bound.values) == {"flywheel_value_0": 7}
    with duckdb.connect() as connection:
        assert connection.execute(bound.sql, dict(bound.values)).fetchall() == [(said, 7)]


def test_nothing_of_a_value_is_in_the_sql() -> None:
    bound = bind_parameters("SELECT $(params.x), $(params.y), $(params.x)", {"x": "1; DROP TABLE a", "y": True}, {})

    assert bound.sql == "SELECT $flywheel_value_0, $flywheel_value_1, $flywheel_value_0"
    assert dict(bound.values) == {"flywheel_value_0": "1; DROP TABLE a", "flywheel_value_1": True}
