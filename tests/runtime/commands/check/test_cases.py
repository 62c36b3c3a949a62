"""Tables as people bring them, each with the value that is right for it (cases/)."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pytest

pytestmark = pytest.mark.integration  # whole tables are checked

CASES = Path(__file__).parent / "cases"
Check = Callable[..., Any]
SPLITS = ("train", "validation", "test")


def files(case: str) -> dict[str, bytes]:
    folder = CASES / case / "src"
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def types(result: Any) -> dict[str, str]:
    return {column["name"]: column["type"] for column in result.output("data/schema.json")["columns"]}


def warnings(result: Any) -> list[str]:
    return [anomaly["message"] for anomaly in result.output("data/report.json")["anomalies"]]


def select(result: Any, query: str) -> list[tuple[Any, ...]]:
    """The answer of a query over `data`, all rows of the version."""
    data = duckdb.read_parquet([str(result.data / f"{split}.parquet") for split in SPLITS])
    found: list[tuple[Any, ...]] = data.query("data", query).fetchall()
    return found


READ: list[Any] = [
    pytest.param("csv-hive", {}, {"x": "Integer", "late": "Integer", "month": "Integer"}, id="a CSV in Hive folders"),
    pytest.param("mixed-eol", {}, {"id": "Integer", "size": "Integer", "late": "Integer"}, id="mixed line ends"),
    pytest.param(
        "sniff-header-unquoted", {}, {"id": "Integer", "size (cm, m, km, ft)": "Integer", "late": "Integer"},
        id="more commas in a name than delimiters",
    ),
    pytest.param("json-bom", {}, {"x": "Integer", "late": "Integer"}, id="a byte order mark"),
    pytest.param(
        "spaces-after-comma", {}, {"id": "Integer", "size": "Integer", "kind": "String", "late": "Integer"},
        id="a blank after each comma",
    ),
    pytest.param(
        "decimal-comma", {"csv": {"decimal": ","}},
        {"id": "Integer", "price": "Float", "weight": "Integer", "late": "Integer"}, id="decimal commas",
    ),
    pytest.param(
        "question-mark-missing", {"csv": {"missing": ["?"]}},
        {"id": "Integer", "size": "Integer", "kind": "String", "late": "Integer"}, id="? for missing",
    ),
    pytest.param(
        "dates-two-formats", {"csv": {"dateFormat": "%d/%m/%Y"}},
        {"id": "Integer", "day": "Timestamp", "late": "Integer"}, id="two forms of dates",
    ),
    pytest.param("pq-list", {"ignore": ["tags"]}, {"late": "Integer", "size": "Integer"}, id="a list that is ignored"),
    pytest.param("pq-binary", {"ignore": ["b"]}, {"late": "Integer", "size": "Integer"}, id="bytes that are ignored"),
    pytest.param(
        "pq-case-in-one", {"ignore": ["Size"]}, {"late": "Integer", "size": "Integer"}, id="one of two names is ignored"
    ),
    pytest.param(
        "pq-null", {}, {"late": "Integer", "size": "Integer", "nothing": "String"}, id="a column of nulls"
    ),
    pytest.param(
        "pq-decimal38-id", {"columns": [{"name": "acct", "type": "String"}]},
        {"late": "Integer", "size": "Integer", "acct": "String"}, id="38 digits as text",
    ),
    pytest.param("name-value-and-text", {}, {"value": "Float", "kind": "String", "late": "Integer"}, id="called value"),
    pytest.param("name-label-feature", {}, {"x": "Integer", "label": "Integer", "late": "Integer"}, id="called label"),
    pytest.param(
        "name-group-size", {"split": {"by": "Group", "group": "size"}},
        {"value": "String", "middle": "Integer", "size": "Integer", "x": "Integer", "late": "Integer"}, id="called size",
    ),
]  # fmt: skip


ROWS = "".join(f"{row},{row % 2}\n" for row in range(40))
NOTED = ROWS.replace("\n", ",x\n")
MATCHED = {
    "csv": {"a.csv": f"id,late,note\n{NOTED}"},
    "one file of two": {"a.csv": f"id,late\n{ROWS}", "b.csv": f"id,late,note\n{NOTED}"},
    "one line of many": {
        "a.jsonl": "".join(f'{{"id": {row}, "late": {row % 2}}}\n' for row in range(40)) + '{"note": "x"}\n'
    },
    "folder": {"note=x/a.csv": f"id,late\n{ROWS}"},
}


@pytest.mark.parametrize("files", MATCHED.values(), ids=MATCHED)
def test_a_name_in_ignore_that_any_file_has_is_no_warning(run_check: Any, files: dict[str, str]) -> None:
    result = run_check(files, target="late", ignore=["note"])

    assert (result.code, [line for line in result.output("facts.json")["warnings"] if "ignore" in line]) == (0, [])


@pytest.mark.parametrize(("case", "spec", "expected"), READ)
def test_a_table_is_read(run_check: Check, case: str, spec: dict[str, Any], expected: dict[str, str]) -> None:
    result = run_check(files(case), target="late", **spec)

    assert result.code == 0, result.failure
    assert types(result) == expected


@pytest.mark.parametrize(
    ("case", "spec", "reason", "words"),
    [
        pytest.param("pq-case-in-one", {}, "RepeatedColumn", ["'size'", "'Size'"], id="names of one column"),
        pytest.param("pq-dup", {}, "RepeatedColumn", ["column 'x' twice"], id="one name twice"),
        pytest.param("pq-uint64", {}, "OutOfRange", ["'u'", "9223372036854775807"], id="beyond 63 bits"),
        pytest.param("pq-decimal38-id", {}, "OutOfRange", ["'acct'", "9223372036854775807"], id="38 digits"),
        pytest.param("pq-list", {}, "UnsupportedType", ["'tags'", "spec.ignore"], id="a list"),
        pytest.param("pq-binary", {}, "UnsupportedType", ["'b'", "spec.ignore"], id="bytes"),
    ],
)
def test_a_table_is_refused_by_name(
    run_check: Check, case: str, spec: dict[str, Any], reason: str, words: list[str]
) -> None:
    result = run_check(files(case), target="late", **spec)

    assert (result.code, result.failure["reason"]) == (2, reason)
    assert [word for word in words if word not in result.failure["message"]] == []


@pytest.mark.parametrize(
    ("case", "words"),
    [
        pytest.param("decimal-comma", ["'price'", "200 of its values", 'csv.decimal to ","'], id="decimal commas"),
        pytest.param("question-mark-missing", ["'size'", "94 %", "'?' (12 times)", "csv.missing"], id="? for missing"),
        pytest.param("dates-two-formats", ["'day'", "100 of its values are dates", "csv.dateFormat"], id="dates"),
        pytest.param("pq-null", ["'nothing'", "no value"], id="a column of nulls"),
    ],
)
def test_a_near_miss_is_a_warning(run_check: Check, case: str, words: list[str]) -> None:
    result = run_check(files(case), target="late")

    assert result.code == 0, result.failure
    (found,) = [warning for warning in warnings(result) if words[0] in warning]
    assert [word for word in words if word not in found] == []


@pytest.fixture
def as_text(tmp_path: Path) -> Callable[[str, str], dict[str, bytes]]:
    """A CSV case as a file of another format, in which every cell but the target is a string."""

    def written(case: str, format_: str) -> dict[str, bytes]:
        (content,) = files(case).values()
        (tmp_path / "a.csv").write_bytes(content)
        path = tmp_path / f"b.{format_}"
        options = "FORMAT json" if format_ == "jsonl" else "FORMAT parquet"
        rows = f"SELECT * REPLACE (late::INTEGER AS late) FROM read_csv('{tmp_path}/a.csv', all_varchar = true)"
        duckdb.sql(f"COPY ({rows}) TO '{path}' ({options})")
        return {path.name: path.read_bytes()}

    return written


@pytest.mark.parametrize("format_", ["jsonl", "parquet"])
@pytest.mark.parametrize(
    ("case", "column", "words"),
    [
        pytest.param("decimal-comma", "price", ["200 of its values", "write numbers and nulls"], id="decimal commas"),
        pytest.param("question-mark-missing", "size", ["94 %", "'?' (12 times)", "and nulls"], id="? for missing"),
        pytest.param(
            "dates-two-formats", "day", ["100 of its values are dates", "write times as 2013-01-31"], id="dates"
        ),
        pytest.param("question-mark-missing", "id", ["all of its values", "spec.columns to Float"], id="only numbers"),
    ],
)
def test_a_near_miss_in_text_of_a_typed_file_is_a_warning(
    run_check: Check,
    as_text: Callable[[str, str], dict[str, bytes]],
    format_: str,
    case: str,
    column: str,
    words: list[str],
) -> None:
    result = run_check(as_text(case, format_), target="late")

    (found,) = [each for each in warnings(result) if f"'{column}' is text in its file" in each]
    assert [word for word in words if word not in found] == []
    assert "csv." not in found


@pytest.mark.parametrize("format_", ["jsonl", "parquet"])
def test_numbers_that_a_file_has_as_text_are_numbers_if_the_spec_says_so(
    run_check: Check, as_text: Callable[[str, str], dict[str, bytes]], format_: str
) -> None:
    columns = [{"name": "id", "type": "Float"}]

    result = run_check(as_text("question-mark-missing", format_), target="late", columns=columns)

    assert types(result)["id"] == "Float"
    assert [each for each in warnings(result) if "'id' is text" in each] == []


@pytest.mark.parametrize(
    "spec", [{"keys": ["id"]}, {"columns": [{"name": "id", "type": "String"}]}], ids=["a key", "stated as text"]
)
def test_names_that_look_like_numbers_are_no_near_miss(
    run_check: Check, as_text: Callable[[str, str], dict[str, bytes]], spec: dict[str, Any]
) -> None:
    result = run_check(as_text("question-mark-missing", "parquet"), target="late", **spec)

    assert [each for each in warnings(result) if "'id' is text" in each] == []


def test_a_column_of_times_and_a_word_is_a_near_miss_of_the_word(run_check: Check) -> None:
    rows = "".join(f"{n},{'unknown' if n % 20 == 0 else f'2024-01-{n % 28 + 1:02}'},{n % 2}\n" for n in range(200))

    (found,) = warnings(run_check({"a.csv": "x,day,late\n" + rows}, target="late"))

    assert found == (
        "Column 'day' is text: 95 % of its values are times; the rest is 10 rows of other text: 'unknown' (10 times); "
        "if they mean a missing value, name them in csv.missing."
    )


def test_cells_are_what_the_spec_says(run_check: Check) -> None:
    commas = run_check(files("decimal-comma"), csv={"decimal": ","})
    marks = run_check(files("question-mark-missing"), csv={"missing": ["?"]})
    dates = run_check(files("dates-two-formats"), csv={"dateFormat": "%d/%m/%Y"})
    spaces = run_check(files("spaces-after-comma"))

    assert select(commas, "SELECT price FROM data WHERE id = 3") == [(3.35,)]
    assert select(marks, "SELECT count(*) - count(size) FROM data") == [(12,)]
    assert select(dates, "SELECT day::DATE::VARCHAR FROM data WHERE id < 2 ORDER BY id") == [
        ("2024-01-01",),
        ("2024-02-02",),
    ]
    assert select(spaces, "SELECT DISTINCT kind FROM data ORDER BY 1 LIMIT 1") == [("a0",)]


def test_a_renamed_folder_is_another_version(run_check: Check) -> None:
    before, after = (run_check(files(f"hive-rename/{name}")) for name in ("a", "b"))

    assert before.output("metrics.json") == after.output("metrics.json")
    contents = [result.output("data/schema.json")["content"] for result in (before, after)]
    assert contents[0] != contents[1]
    assert select(after, "SELECT DISTINCT month FROM data ORDER BY 1") == [(1,), (2,), (9,)]


@pytest.mark.parametrize("name", ["region=south/a.csv", "region=north/a.csv"])
@pytest.mark.parametrize("format_", ["csv", "jsonl", "parquet"])
def test_a_folder_gives_a_column_only_where_the_files_have_none(
    run_check: Check, tmp_path: Path, name: str, format_: str
) -> None:
    (tmp_path / "a.csv").write_text("id,region,late\n" + "".join(f"{n},north,{n % 2}\n" for n in range(200)))
    path = tmp_path / f"b.{format_}"
    options = {"csv": "FORMAT csv, HEADER", "jsonl": "FORMAT json", "parquet": "FORMAT parquet"}[format_]
    duckdb.sql(f"COPY (FROM '{tmp_path}/a.csv') TO '{path}' ({options})")

    result = run_check({name.replace("csv", format_): path.read_bytes()}, target="late")

    if "south" in name:
        assert (result.code, result.failure["reason"]) == (2, "FolderColumnDiffers")
        assert "'south'" in result.failure["message"]
    else:
        assert result.code == 0, result.failure
        assert types(result) == {"id": "Integer", "region": "String", "late": "Integer"}


# Written by the build of 22 November 2026.
DIGESTS = {
    "decimal-comma": "sha256:a3b25628c0b1db2a192fd90f527acfd7ec1bff674521d4797da432ecea7ca71e",
    "question-mark-missing": "sha256:ced7ac7f1dd537a0523aa03d43603bdd60096a757ca4bce644bdcfae63724b92",
}


@pytest.mark.parametrize("case", DIGESTS)
def test_a_table_without_folders_has_the_version_that_it_had(run_check: Check, case: str) -> None:
    result = run_check(files(case), target="late")

    assert result.output("data/schema.json")["content"] == DIGESTS[case]


def test_json_lines_have_the_version_that_they_had(run_check: Check) -> None:
    rows = [
        {
            "id": n,
            "x": n / 7,
            "when": f"2013-01-{n % 28 + 1:02}T05:00:00Z",
            "s": ["a", "b", ""][n % 3],
            "m": [1, "a"][n % 2],
            "b": n % 2 == 0,
            "n": None if n % 5 else n,
            "u": f"{n:08}",
        }
        for n in range(300)
    ]

    result = run_check({"a.jsonl": "".join(json.dumps(row) + "\n" for row in rows)}, target="b", eventTime="when")

    wanted = "sha256:9f89fb4653231fc9f7c7ddb71ed27d2b1f1bb112acad8a891e4b054efccd8d5a"
    assert result.output("data/schema.json")["content"] == wanted
