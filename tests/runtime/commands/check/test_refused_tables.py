"""Files that people bring and no table can be made of: the message says where and what to do."""

import bz2
import gzip
import io
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pytest

Check = Callable[..., Any]
ROWS = range(40)


def lines(template: str) -> dict[str, str]:
    return {"a.jsonl": "".join(template.replace("N", str(n)).replace("L", str(n % 2)) + "\n" for n in ROWS)}


def csv(first: str, delimiter: str = ";", end: str = "\n") -> dict[str, str]:
    rows = [first, delimiter.join(["id", "late"]), *(f"{n}{delimiter}{n % 2}" for n in ROWS)]
    return {"a.csv": end.join(rows) + end}


@pytest.mark.parametrize(
    ("source", "reason", "message"),
    [
        pytest.param(
            lines('{"late": L, "": N}'), "HeaderInvalid", "Column 2 of file 'a.jsonl' has no name; name it or leave it out.",
            id="a key without a name",
        ),
        pytest.param(
            lines('{"late": L, "x": "a\\ud800b"}'), "BrokenJSONL",
            r"Line 1 of file 'a.jsonl' has the half of a character, \ud800, as text has that was cut between the two halves; "
            "write one JSON object on every line.",
            id="half of a pair in a value",
        ),
        pytest.param(
            lines('{"late": L, "x\\udc00": N}'), "BrokenJSONL", r"Line 1 of file 'a.jsonl' has the half of a character, \udc00, "
            "as text has that was cut between the two halves; write one JSON object on every line.",
            id="half of a pair in a key",
        ),
    ],
)  # fmt: skip
def test_json_lines_are_refused_with_their_place(
    run_check: Check, source: dict[str, str], reason: str, message: str
) -> None:
    result = run_check(source, target="late")

    assert (result.code, result.failure) == (2, {"reason": reason, "message": message})


def test_a_key_without_a_name_can_be_ignored(run_check: Check) -> None:
    result = run_check(lines('{"late": L, "": N}'), target="late", ignore=[""])

    assert result.code == 0, result.failure
    assert [column["name"] for column in result.output("data/schema.json")["columns"]] == ["late"]


def test_both_halves_of_a_pair_are_a_character(run_check: Check) -> None:
    assert run_check(lines('{"late": L, "x": "\\ud83d\\ude00N"}'), target="late").code == 0


def test_lines_without_the_only_wanted_key_have_no_value(run_check: Check) -> None:
    source = "{}\n" * 40 + "".join(f'{{"late": {n % 2}}}\n' for n in ROWS)

    result = run_check({"a.jsonl": source}, target="late")

    assert result.code == 0, result.failure
    assert result.output("metrics.json")["rows"] == 80
    (warning,) = [each for each in result.output("facts.json")["warnings"] if "no 'late'" in each]
    assert warning == "TargetNull: 40 rows have no 'late' and are left out of the splits."


@pytest.mark.parametrize("end", ["\n", "\r\n"], ids=["LF", "CR LF"])
@pytest.mark.parametrize("first", ["sep=;", "SEP=;", '"sep=;"', "sep=,", "sep=\t", "sep=|"])
def test_excels_hint_is_no_header(run_check: Check, first: str, end: str) -> None:
    delimiter = first.strip('"')[-1]

    result = run_check(csv(first, delimiter, end), target="late")

    message = (
        f"The first line of file 'a.csv' is {first.strip()}, a hint for Excel that names no column; remove the line."
    )
    assert (result.code, result.failure) == (2, {"reason": "HeaderInvalid", "message": message})


@pytest.mark.parametrize("name", ["sep", "sep=", "sep=x", "sep=;unit"])
def test_a_column_may_be_called_like_the_hint(run_check: Check, name: str) -> None:
    rows = "".join(f"{n},{n % 2}\n" for n in ROWS)

    assert run_check({"a.csv": f"{name},late\n{rows}"}, target="late").code == 0


TABLE = b"id,late\n" + b"".join(b"%d,%d\n" % (n, n % 2) for n in ROWS)
OBJECTS = b"".join(b'{"id": %d, "late": %d}\n' % (n, n % 2) for n in ROWS)


def zipped(name: str) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr(name, TABLE)
    return content.getvalue()


@pytest.mark.parametrize(
    ("name", "content", "reason", "finding"),
    [
        pytest.param("a.csv", TABLE.decode().encode("utf-16"), "NotUTF8", "is UTF-16, not UTF-8; convert it, for example with iconv -f utf-16", id="UTF-16"),
        pytest.param("a.jsonl", OBJECTS.decode().encode("utf-16"), "NotUTF8", "iconv -f utf-16 -t utf-8.", id="JSON in UTF-16"),
        pytest.param("a.csv", zipped("xl/workbook.xml"), "FormatUnknown", "save the sheet as CSV.", id="a workbook called CSV"),
        pytest.param("a.xlsx", zipped("xl/workbook.xml"), "FormatUnknown", "from its name; save the sheet as CSV.", id="a workbook"),
        pytest.param("a.csv.zip", zipped("a.csv"), "FormatUnknown", "unpack it, or pack it by gzip.", id="an archive"),
        pytest.param("a.csv", bz2.compress(TABLE), "FormatUnknown", "is packed by bzip2; unpack it", id="bzip2"),
        pytest.param("a.csv.gz", gzip.compress(gzip.compress(TABLE)), "FormatUnknown", "by gzip twice", id="gzip twice"),
        pytest.param("a.csv", b"PAR1\x15\x04", "FormatUnknown", "is Parquet; name it .parquet", id="Parquet called CSV"),
        pytest.param("a.jsonl", b"[" + OBJECTS.replace(b"}\n", b"},\n") + b"{}]", "BrokenJSONL", "jq -c '.[]'", id="an array"),
    ],
)  # fmt: skip
def test_a_file_of_another_kind_is_named(
    run_check: Check, name: str, content: bytes, reason: str, finding: str
) -> None:
    result = run_check({name: content}, target="late")

    assert (result.code, result.failure["reason"]) == (2, reason)
    assert f"'{name}'" in result.failure["message"]
    assert finding in result.failure["message"]


WIDE = "9007199254740993"  # beyond 2^53: neighbours become one Float


def keys(kind: str, folder: Path) -> dict[str, str | bytes]:
    """Rows with different keys `k` beyond what Float holds, in a kind of file."""
    values = [f"{int(WIDE) + n}.25" for n in ROWS]
    if kind == "CSV":
        return {"a.csv": "k,late\n" + "".join(f"{value},{n % 2}\n" for n, value in enumerate(values))}
    path = folder / "a.parquet"
    duckdb.sql(f"COPY (SELECT ({WIDE} + range + 0.25)::{kind} AS k, range % 2 AS late FROM range(40)) TO '{path}'")
    return {"a.parquet": path.read_bytes()}


@pytest.mark.parametrize("role", ["keys", "group"])
@pytest.mark.parametrize("kind", ["DECIMAL(38,2)", "DECIMAL(18,2)", "CSV"])
def test_different_decimal_keys_never_become_equal(run_check: Check, tmp_path: Path, kind: str, role: str) -> None:
    source = keys(kind, tmp_path)
    spec: dict[str, Any] = {"keys": ["k"]} if role == "keys" else {"split": {"by": "Group", "group": "k"}}

    refused = run_check(source, target="late", **spec)
    retained = run_check(source, target="late", columns=[{"name": "k", "type": "String"}], **spec)

    assert (refused.code, refused.failure["reason"]) == (2, "OutOfRange")
    assert "Column 'k' has decimal numbers with more digits than Float holds" in refused.failure["message"]
    assert "String, which keeps every digit" in refused.failure["message"]
    assert retained.code == 0, retained.failure
    files = [str(retained.data / f"{split}.parquet") for split in ("train", "validation", "test")]
    found = duckdb.read_parquet(files).aggregate("count(DISTINCT k), min(k)").fetchall()
    assert found == [(40, f"{WIDE}.25")]


def test_decimal_numbers_that_float_holds_are_keys(run_check: Check, tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    duckdb.sql(f"COPY (SELECT (range + 0.25)::DECIMAL(38,2) AS k, range % 2 AS late FROM range(40)) TO '{path}'")

    result = run_check({"a.parquet": path.read_bytes()}, target="late", keys=["k"])

    assert result.code == 0, result.failure


@pytest.mark.parametrize("name", ["PAR1", "PK", "BZh9"])
def test_a_column_may_be_called_like_the_first_bytes_of_another_kind(run_check: Check, name: str) -> None:
    rows = "".join(f"{n},{n % 2}\n" for n in ROWS)

    assert run_check({"a.csv": f"{name},late\n{rows}"}, target="late").code == 0
