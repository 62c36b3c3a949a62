"""A good check: the same source gives the same version, byte for byte, and the files say what is in it."""

import io
import json
from pathlib import Path
from typing import Any

import duckdb
import pytest

pytestmark = pytest.mark.integration  # several whole steps in each test

TIMES = [f"2013-01-{1 + i // 12:02d}T{i % 12:02d}:00:00-05:00" for i in range(300)]
ORDERS = "id,at,zip,size,price,express,city,late\n" + "".join(
    f"{i},{TIMES[i]},0{i % 90 + 1000},{i % 50},{i * 37 % 101 / 4},{'true' if i % 3 else 'false'},{'ABC'[i % 3]},{i * 7 % 5 % 2}\n"
    for i in range(300)
)
SPEC: dict[str, Any] = {"target": "late", "keys": ["id"], "eventTime": "at"}
BY_TIME = SPEC | {"split": {"by": "Time", "validation": "20%", "test": "10%"}}


def rows(path: Path, query: str = "*") -> list[tuple[Any, ...]]:
    with duckdb.connect() as connection:
        found: list[tuple[Any, ...]] = connection.execute(f"SELECT {query} FROM '{path}'").fetchall()
        return found


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


@pytest.mark.parametrize("spec", [SPEC, BY_TIME], ids=["random", "by time"])
def test_the_same_source_gives_the_same_bytes(run_check: Any, spec: dict[str, Any]) -> None:
    one, two = run_check({"a.csv": ORDERS}, **spec), run_check({"a.csv": ORDERS}, anew=True, **spec)

    assert files(one.data) == files(two.data)
    assert sorted(files(one.data)) == [
        "profile.json",
        "report.json",
        "schema.json",
        "test.parquet",
        "train.parquet",
        "validation.parquet",
    ]


def test_a_second_look_at_unchanged_data_is_the_same_version(run_check: Any) -> None:
    first = run_check({"a.csv": ORDERS}, **BY_TIME)

    second = run_check({"a.csv": ORDERS}, previous=first, **BY_TIME)

    assert files(first.data) == files(second.data)
    assert first.output("facts.json") == second.output("facts.json")


@pytest.mark.parametrize(
    ("content", "spec"),
    [
        pytest.param(ORDERS + "300,2013-02-01,01000,1,1,true,A,1\n", {}, id="a row more"),
        pytest.param(ORDERS, {"target": "express"}, id="another target"),
        pytest.param(ORDERS, {"split": {"by": "Random", "validation": "10%", "test": "10%"}}, id="another split"),
        pytest.param(ORDERS, {"columns": [{"name": "size", "type": "String"}]}, id="another type"),
    ],
)
def test_what_changes_the_output_changes_the_version(run_check: Any, content: str, spec: dict[str, Any]) -> None:
    before = run_check({"a.csv": ORDERS}, **BY_TIME).output("facts.json")["content"]

    assert run_check({"a.csv": content}, **BY_TIME | spec).output("facts.json")["content"] != before


def test_types_are_those_of_all_rows(run_check: Any) -> None:
    schema = run_check({"a.csv": ORDERS}, **SPEC).output("data/schema.json")

    assert {column["name"]: column["type"] for column in schema["columns"]} == {
        "id": "Integer",
        "at": "Timestamp",
        "zip": "String",
        "size": "Integer",
        "price": "Float",
        "express": "Boolean",
        "city": "String",
        "late": "Integer",
    }
    assert (schema["task"], schema["classes"], schema["rows"]) == (
        "Classification",
        ["0", "1"],
        {"train": 210, "validation": 45, "test": 45},
    )


def test_a_type_is_not_taken_from_the_first_rows(run_check: Any) -> None:
    lines = [f"{i},{i % 2}" for i in range(5000)] + ["x17,0"]

    schema = run_check({"a.csv": "id,late\n" + "\n".join(lines)}, target="late").output("data/schema.json")

    assert schema["columns"][0] == {"name": "id", "type": "String", "nullable": True}


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        pytest.param(["1", "2", "NA"], "Integer", id="NA is a missing number"),
        pytest.param(["1", "2.5", ""], "Float", id="a fraction"),
        pytest.param(["1e3", "nan", "-.5"], "Float", id="exponents"),
        pytest.param(["NA", "DE", "FR"], "String", id="NA is Namibia among words"),
        pytest.param(["00501", "10001", "2"], "String", id="leading zeros are kept"),
        pytest.param(["12345678901234567890", "1", "2"], "String", id="too long for an integer"),
        pytest.param(["true", "False", ""], "Boolean", id="true and false"),
        pytest.param(["2013-01-01", "2013-01-01 05:00:00", ""], "Timestamp", id="dates and times"),
        pytest.param(["2013", "2014", ""], "Integer", id="a year is a number"),
        pytest.param(["", "", ""], "String", id="nothing at all"),
    ],
)
def test_a_column_of_text_becomes(run_check: Any, values: list[str], kind: str) -> None:
    lines = [f"{values[i % 3]},{i},{i // 3 % 2}" for i in range(60)]

    schema = run_check({"a.csv": "value,id,late\n" + "\n".join(lines)}, target="late").output("data/schema.json")

    assert schema["columns"][0]["type"] == kind


def test_an_offset_moves_a_time_to_utc(run_check: Any) -> None:
    result = run_check({"a.csv": ORDERS}, **BY_TIME)

    assert rows(result.data / "train.parquet", '"at"::VARCHAR')[0] == ("2013-01-01 05:00:00",)


def test_rows_are_in_the_order_of_time(run_check: Any) -> None:
    shuffled = ORDERS.splitlines(keepends=True)
    content = shuffled[0] + "".join(shuffled[:0:-1])

    result = run_check({"a.csv": content}, **BY_TIME)

    ids = [row[0] for name in ("train", "validation", "test") for row in rows(result.data / f"{name}.parquet", "id")]
    assert ids == list(range(300))


def as_parquet(path: Path) -> bytes:
    with duckdb.connect() as connection:
        connection.execute(f"COPY (SELECT * FROM read_csv('{path}', all_varchar = true)) TO '{path}.parquet'")
        return Path(f"{path}.parquet").read_bytes()


def as_json_lines(path: Path) -> bytes:
    out = io.StringIO()
    header, *lines = path.read_text().splitlines()
    for line in lines:
        record = dict(zip(header.split(","), line.split(","), strict=True))
        typed = {"id": int(record["id"]), "size": int(record["size"]), "price": float(record["price"])}
        out.write(
            json.dumps(record | typed | {"express": record["express"] == "true", "late": int(record["late"])}) + "\n"
        )
    return out.getvalue().encode()


def test_json_lines_say_the_same_as_csv(run_check: Any, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(ORDERS)

    of_csv = run_check({"a.csv": ORDERS}, **BY_TIME)
    of_json = run_check({"a.jsonl": as_json_lines(tmp_path / "a.csv")}, **BY_TIME)

    assert rows(of_json.data / "test.parquet") == rows(of_csv.data / "test.parquet")
    assert of_json.output("facts.json")["testDigest"] == of_csv.output("facts.json")["testDigest"]


def test_text_in_parquet_stays_text_until_the_spec_says_more(run_check: Any, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(ORDERS)
    columns = [
        {"name": "size", "type": "Integer"},
        {"name": "late", "type": "Integer"},
        {"name": "at", "type": "Timestamp"},
    ]

    result = run_check({"a.parquet": as_parquet(tmp_path / "a.csv")}, **BY_TIME | {"columns": columns})

    types = {column["name"]: column["type"] for column in result.output("data/schema.json")["columns"]}
    assert (types["size"], types["price"]) == ("Integer", "String")


def test_a_folder_is_all_its_files(run_check: Any) -> None:
    header, *lines = ORDERS.splitlines(keepends=True)
    parts = {"2013/a.csv": header + "".join(lines[:100]), "2013/b.csv": header + "".join(lines[100:]), "_SUCCESS": ""}

    result = run_check(parts, **BY_TIME)

    assert result.output("metrics.json")["rows"] == 300
    assert [file["path"] for file in result.output("data/report.json")["files"]] == ["2013/a.csv", "2013/b.csv"]


def test_semicolons_windows_lines_and_a_byte_order_mark_are_read(run_check: Any) -> None:
    content = "\ufeff" + ORDERS.replace(",", ";").replace("\n", "\r\n")

    result = run_check({"a.csv": content}, **BY_TIME)

    assert result.output("data/schema.json")["columns"][0]["name"] == "id"
    assert result.output("metrics.json")["rows"] == 300


def test_the_profile_counts_every_row_of_every_split(run_check: Any) -> None:
    result = run_check({"a.csv": ORDERS.replace(",25,", ",,")}, **BY_TIME)

    profile = result.output("data/profile.json")
    assert profile["columns"]["size"]["splits"]["train"]["missing"] == 4
    for column in profile["columns"].values():
        for name, part in column["splits"].items():
            counted = part["missing"] + sum(part.get("bins", part.get("counts", ())))
            counted += sum(part.get(key, 0) for key in ("under", "over", "invalid", "other"))
            assert part["rows"] == profile["rows"][name]
            assert column["type"] == "Timestamp" or counted == part["rows"]


def test_bins_stay_those_of_the_first_version(run_check: Any) -> None:
    first = run_check({"a.csv": ORDERS}, **SPEC)
    larger = ORDERS.replace(",49,", ",4900,")

    second = run_check({"a.csv": larger}, previous=first, **SPEC)

    before, after = (r.output("data/profile.json")["columns"]["size"] for r in (first, second))
    assert after["edges"] == before["edges"]
    assert sum(part["over"] for part in after["splits"].values()) == 6


@pytest.mark.parametrize(
    ("target", "task", "classes"),
    [
        ("express", "Classification", ["false", "true"]),
        ("city", "Classification", ["A", "B", "C"]),
        ("late", "Classification", ["0", "1"]),
        ("size", "Regression", []),
        ("price", "Regression", []),
    ],
)
def test_the_task_follows_from_the_target(run_check: Any, target: str, task: str, classes: list[str]) -> None:
    result = run_check({"a.csv": ORDERS}, target=target, keys=["id"])

    schema = result.output("data/schema.json")
    assert (schema["task"], schema["classes"]) == (task, classes)
    assert result.output("facts.json")["classes"] == len(classes)


def test_data_without_a_target_is_a_version_too(run_check: Any) -> None:
    facts = run_check({"a.csv": ORDERS}).output("facts.json")

    assert (facts["task"], facts["classes"], facts["rows"]) == (None, 0, 300)
