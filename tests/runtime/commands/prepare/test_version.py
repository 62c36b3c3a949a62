"""A prepare makes a data set from data sets: the same rows are the same bytes, and rows keep their split."""

import json
from pathlib import Path
from typing import Any

import duckdb
import pytest

pytestmark = pytest.mark.integration  # several whole steps in each test

TIMES = [f"2013-01-{1 + i // 12:02d}T{i % 12:02d}:00:00" for i in range(300)]
ORDERS = "id,day,size,price,express,city,late\n" + "".join(
    f"{i},{TIMES[i]},{i % 50},{i * 37 % 101 / 4},{'true' if i % 3 else 'false'},{'ABC'[i % 3]},{i * 7 % 5 % 2}\n"
    for i in range(300)
)
CITIES = "city,people,founded\nA,100,1900-01-01\nB,200,1950-06-01\nC,300,2000-01-01\n"
EVERYTHING = "SELECT * FROM orders"


@pytest.fixture
def orders(checked: Any) -> Path:
    split = {"by": "Time", "validation": "20%", "test": "10%"}
    return Path(checked({"a.csv": ORDERS}, target="late", keys=["id"], eventTime="day", split=split))


@pytest.fixture
def cities(checked: Any) -> Path:
    split = {"by": "Random", "validation": "0%", "test": "0%"}
    return Path(checked({"a.csv": CITIES}, keys=["city"], split=split))


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def rows(folder: Path, query: str) -> list[tuple[Any, ...]]:
    """The query's answer, with the tables train, validation and test."""
    with duckdb.connect() as connection:
        for name in ("train", "validation", "test"):
            connection.execute(f"CREATE VIEW {name} AS SELECT * FROM '{folder}/{name}.parquet'")
        found: list[tuple[Any, ...]] = connection.execute(query).fetchall()
        return found


def test_without_sql_the_table_comes_through(run_prepare: Any, orders: Path) -> None:
    result = run_prepare({"orders": orders})

    assert result.code == 0
    before, after = (folder / "schema.json" for folder in (orders, result.data))
    old, new = json.loads(before.read_text()), json.loads(after.read_text())
    assert {key: value for key, value in new.items() if key != "content"} == {
        key: value for key, value in old.items() if key != "content"
    }
    assert sorted(files(result.data)) == sorted(files(orders))


def test_a_filter_leaves_the_test_rows_and_their_digest_alone(run_prepare: Any, orders: Path) -> None:
    window = run_prepare({"orders": orders}, "SELECT * FROM orders WHERE day >= TIMESTAMP '2013-01-10'")

    old = run_prepare({"orders": orders}).output("facts.json")
    new = window.output("facts.json")
    assert new["testDigest"] == old["testDigest"]
    assert new["splits"] == {"train": 102, "validation": 60, "test": 30}
    assert new["content"] != old["content"]


def test_a_filter_of_test_rows_changes_their_digest(run_prepare: Any, orders: Path) -> None:
    fewer = run_prepare({"orders": orders}, "SELECT * FROM orders WHERE size < 40")

    assert (
        fewer.output("facts.json")["testDigest"] != run_prepare({"orders": orders}).output("facts.json")["testDigest"]
    )


@pytest.mark.parametrize(
    "sql",
    [
        pytest.param(EVERYTHING, id="everything"),
        pytest.param("SELECT * FROM orders ORDER BY random()", id="in another order"),
        pytest.param("SELECT * FROM orders WHERE random() < 0.9", id="by chance"),
        pytest.param(
            "SELECT o.*, mean FROM orders o JOIN (SELECT city, avg(price / 7) AS mean FROM orders GROUP BY city) USING (city)",
            id="sums of floating numbers",
        ),
        pytest.param("SELECT * FROM orders USING SAMPLE reservoir(100 ROWS) REPEATABLE (7)", id="a sample of DuckDB's"),
    ],
)
def test_the_same_question_has_the_same_bytes(run_prepare: Any, orders: Path, sql: str) -> None:
    one, two = run_prepare({"orders": orders}, sql), run_prepare({"orders": orders}, sql)

    assert one.code == two.code == 0
    assert files(one.data) == files(two.data)


def test_the_same_rows_are_the_same_bytes_whatever_the_query(run_prepare: Any, orders: Path) -> None:
    one = run_prepare({"orders": orders}, "SELECT * FROM orders WHERE size < 30")
    two = run_prepare({"orders": orders}, "SELECT * FROM orders WHERE size < $(params.most) ORDER BY price", most=30)

    assert files(one.data) == files(two.data)


def test_another_seed_is_another_chance(run_prepare: Any, orders: Path) -> None:
    sql = "SELECT * FROM orders WHERE random() < 0.5"

    assert files(run_prepare({"orders": orders}, sql).data) != files(
        run_prepare({"orders": orders}, sql, more={"seed": 8}).data
    )


def test_what_a_join_brings_is_inferred(run_prepare: Any, orders: Path, cities: Path) -> None:
    sql = """SELECT orders.*, people, founded, size * 1.5 AS bulk, size > 10 AS heavy, sum(size) OVER (PARTITION BY city) AS total
             FROM orders JOIN cities USING (city)"""

    schema = run_prepare({"orders": orders, "cities": cities}, sql).output("data/schema.json")

    assert {column["name"]: column["type"] for column in schema["columns"]} == {
        "id": "Integer",
        "day": "Timestamp",
        "size": "Integer",
        "price": "Float",
        "express": "Boolean",
        "city": "String",
        "late": "Integer",
        "people": "Integer",
        "founded": "Timestamp",
        "bulk": "Float",
        "heavy": "Boolean",
        "total": "Integer",
    }
    assert (schema["target"], schema["keys"], schema["eventTime"]) == ("late", ["id"], "day")
    assert schema["rows"] == {"train": 210, "validation": 60, "test": 30}


def test_a_prepared_table_is_a_table(run_prepare: Any, orders: Path) -> None:
    first = run_prepare({"orders": orders}, "SELECT * FROM orders WHERE size < 30")

    second = run_prepare({"less": first.data}, "SELECT * FROM less WHERE price > 5")

    assert second.code == 0
    assert rows(second.data, "SELECT count(*) FROM train WHERE size >= 30 OR price <= 5") == [(0,)]


def test_tables_may_have_any_name(run_prepare: Any, orders: Path, cities: Path) -> None:
    sql = 'SELECT data.* FROM data JOIN "joined-up" USING (city)'

    assert run_prepare({"data": orders, "joined-up": cities}, sql).code == 0


def test_rows_without_their_split_are_split_anew_by_the_first_tables_rule(run_prepare: Any, orders: Path) -> None:
    result = run_prepare({"orders": orders}, "SELECT * EXCLUDE (flywheel_split, size) FROM orders")

    assert result.output("facts.json")["splits"] == {"train": 210, "validation": 60, "test": 30}
    assert rows(result.data, "SELECT (SELECT max(day) FROM train) < (SELECT min(day) FROM test)") == [(True,)]


@pytest.mark.parametrize(
    ("sql", "task", "warning"),
    [
        pytest.param("SELECT * EXCLUDE (late) FROM orders", None, "TargetLost", id="no target"),
        pytest.param("SELECT * EXCLUDE (day) FROM orders", "Classification", "SplitColumnLost", id="no time"),
        pytest.param(
            "SELECT * REPLACE (size::VARCHAR AS size) FROM orders", "Classification", "TypeChanged", id="type"
        ),
        pytest.param("SELECT *, 1 AS one FROM orders", "Classification", "Constant", id="a constant"),
        pytest.param("SELECT *, late AS copy FROM orders", "Classification", "LabelLeak", id="a leak"),
        pytest.param("FROM orders UNION ALL FROM orders", "Classification", "DuplicateKeys", id="twice"),
        pytest.param("SELECT * FROM orders WHERE day < now()", "Classification", "NotRepeatable", id="now"),
        pytest.param("FROM orders USING SAMPLE 100 ROWS", "Classification", "NotRepeatable", id="a sample by chance"),
        pytest.param(
            "SELECT a.* FROM orders a ASOF JOIN orders b ON a.city = b.city AND a.size >= b.size",
            "Classification",
            "NotRepeatable",
            id="one of several rows",
        ),
    ],
)
def test_an_anomaly_of_the_result_is_a_warning(
    run_prepare: Any, orders: Path, sql: str, task: str | None, warning: str
) -> None:
    result = run_prepare({"orders": orders}, sql)

    facts = result.output("facts.json")
    assert (result.code, facts["task"]) == (0, task)
    assert facts["warnings"][0].partition(":")[0] == warning


def test_a_sample_is_the_same_rows_of_every_split_and_class(run_prepare: Any, orders: Path) -> None:
    whole = run_prepare({"orders": orders})
    some = [run_prepare({"orders": orders}, more={"sample": "0.2"}) for _ in range(2)]

    assert files(some[0].data) == files(some[1].data)
    count = "SELECT late, count(*) FROM {} GROUP BY late ORDER BY late"
    assert rows(whole.data, count.format("train")) == [(0, 126), (1, 84)]
    assert rows(some[0].data, count.format("train")) == [(0, 26), (1, 20)]
    assert rows(some[0].data, count.format("test")) == [(0, 18), (1, 12)]


def test_a_smaller_sample_is_part_of_a_greater_one(run_prepare: Any, orders: Path) -> None:
    small, large = (run_prepare({"orders": orders}, more={"sample": part}).data for part in ("0.3", "0.6"))

    ids = [{row[0] for row in rows(folder, "SELECT id FROM train")} for folder in (small, large)]
    assert ids[0] < ids[1]


@pytest.mark.parametrize(
    ("sql", "values", "expected"),
    [
        pytest.param("size = $(params.x)", {"x": 7}, "size = 7", id="an integer"),
        pytest.param("price > $(params.x)", {"x": 12.5}, "price > 12.5", id="a float"),
        pytest.param("city = $(params.x)", {"x": "A"}, "city = 'A'", id="text"),
        pytest.param("express = $(params.x)", {"x": False}, "NOT express", id="a boolean"),
        pytest.param("day < $(run.date) - INTERVAL 13 YEAR", {}, "day < '2013-11-21'", id="the run's date"),
        pytest.param("size IN ($(params.x), $(params.y), $(params.x))", {"x": 1, "y": 2}, "size IN (1, 2)", id="twice"),
        pytest.param("size = $( params.x ) -- $(params.x)", {"x": 7}, "size = 7", id="in a comment it is left alone"),
        pytest.param("size = /* $(no) /* '*/ */ $(params.x); -- done", {"x": 7}, "size = 7", id="comments in comments"),
        pytest.param("city = $(params.x)", {"x": "' OR true --"}, "false", id="an attack is a name of no city"),
        pytest.param("city <> 'it''s' AND size = $(params.x)", {"x": 7}, "size = 7", id="after a doubled quote"),
        pytest.param("city <> e'it\\'s' AND size = $(params.x)", {"x": 7}, "size = 7", id="after an escaped quote"),
        pytest.param("city <> $t$ ' $t$ AND size = $(params.x)", {"x": 7}, "size = 7", id="after a dollar string"),
    ],
)
def test_values_are_bound(run_prepare: Any, orders: Path, sql: str, values: Any, expected: str) -> None:
    # All test and validation rows stay, so that no split is empty.
    keep = "flywheel_split <> 'train' OR day < '2013-01-02' OR"

    bound = run_prepare({"orders": orders}, f"SELECT * FROM orders WHERE {keep} {sql}", **values)

    written = run_prepare({"orders": orders}, f"SELECT * FROM orders WHERE {keep} {expected}")
    assert bound.code == 0, bound.failure
    assert files(bound.data) == files(written.data)


def test_what_does_not_fit_into_memory_goes_to_the_disk(
    run_prepare: Any, orders: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flywheel_runtime.contract.cgroup.memory_limit_bytes", lambda: 128 * 2**20)
    sql = """SELECT o.* FROM orders AS o JOIN (
               SELECT id, md5(id || '-' || i) AS hash, row_number() OVER (ORDER BY hash) AS place
               FROM orders, range(5000) AS numbers(i) QUALIFY place % 5000 = 0) AS many USING (id)
             GROUP BY ALL"""

    result = run_prepare({"orders": orders}, sql)

    assert result.code == 0, result.failure


def test_a_random_split_by_keys_is_the_same_split_again(run_prepare: Any, checked: Any) -> None:
    data = Path(checked({"a.csv": ORDERS}, target="late", keys=["id"]))

    anew = run_prepare({"orders": data}, "SELECT * EXCLUDE (flywheel_split) FROM orders")

    facts = run_prepare({"orders": data}).output("facts.json")
    assert anew.output("facts.json")["testDigest"] == facts["testDigest"]


@pytest.mark.parametrize(
    ("sql", "rule", "warnings"),
    [
        pytest.param(
            "SELECT * EXCLUDE (flywheel_split) FROM orders",
            ("Group", "city"),
            ["Constant"],
            id="split anew by its groups",
        ),
        pytest.param(
            "SELECT * EXCLUDE (city) FROM orders",
            ("Random", None),
            ["SplitColumnLost", "Constant"],
            id="groups are lost",
        ),
    ],
)
def test_groups_stay_together(run_prepare: Any, checked: Any, sql: str, rule: Any, warnings: list[str]) -> None:
    split = {"by": "Group", "group": "city", "validation": "33%", "test": "33%"}
    data = Path(checked({"a.csv": ORDERS}, target="late", keys=["id"], split=split))

    result = run_prepare({"orders": data}, sql)

    schema, facts = result.output("data/schema.json"), result.output("facts.json")
    assert (schema["split"]["by"], schema["split"]["group"]) == rule
    assert [line.partition(":")[0] for line in facts["warnings"]] == warnings
    assert facts["splits"] == {"train": 100, "validation": 100, "test": 100}
