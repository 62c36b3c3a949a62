"""Bad input ends the check with exit 2, a reason, and a message that names the place and the next step."""

import gzip
from typing import Any

import pytest

ROWS = "".join(f"{i},{i % 7},{i % 2},2013-01-{i % 28 + 1:02d}\n" for i in range(40))
GOOD = "id,size,late,day\n" + ROWS
SPEC: dict[str, Any] = {"target": "late", "showValues": True}

BAD: list[Any] = [
    pytest.param({}, {}, "EmptySource", ["no file"], id="a source without a file"),
    pytest.param({"a.csv": ""}, {}, "EmptyFile", ["'a.csv' is empty"], id="an empty file"),
    pytest.param({"a.csv.gz": gzip.compress(b"")}, {}, "EmptyFile", ["'a.csv.gz'"], id="an empty file once unpacked"),
    pytest.param({"a.csv": GOOD, "b.csv": ""}, {}, "EmptyFile", ["'b.csv'"], id="one empty file in a folder"),
    pytest.param({"a.csv.gz": gzip.compress(GOOD.encode())[:60]}, {}, "BrokenGzip", ["'a.csv.gz'"], id="cut-off gzip"),
    pytest.param(
        {"a.csv.gz": gzip.compress(GOOD.encode())[:-5] + b"12345"},
        {},
        "BrokenGzip",
        ["CRC"],
        id="gzip whose checksum is wrong",
    ),
    pytest.param({"a.csv": "id,late\n"}, {}, "NoRows", ["header and no rows", "'a.csv'"], id="header only"),
    pytest.param(
        {"a.csv": "id,late\n1,0\n2\n"}, {}, "RaggedCSV", ["Line 3", "1 cells", "header has 2"], id="a short row"
    ),
    pytest.param({"a.csv": "id,late\n1,0\n2,1,5\n"}, {}, "RaggedCSV", ["Line 3", "3 cells"], id="a long row"),
    pytest.param(
        {"a.csv": 'id,late\n"1\nx",0\n2,1,5\n'}, {}, "RaggedCSV", ["Line 4"], id="a long row after a cell of two lines"
    ),
    pytest.param(
        {"a.csv": b"id,late\n1,\xe9\n"}, {}, "NotUTF8", ["byte 0xe9 at offset 10", "iconv"], id="Latin-1 near the start"
    ),
    pytest.param(
        {"a.csv": GOOD.encode() * 40_000 + b"1,2,\xe9,2\n"},
        {},
        "NotUTF8",
        [f"offset {len(GOOD) * 40_000 + 4}"],
        id="Latin-1 beyond the first megabyte",
    ),
    pytest.param({"a.csv": "id,late\n1,0\n".encode("utf-16")}, {}, "NotUTF8", ["iconv -f utf-16"], id="UTF-16"),
    pytest.param({"a.csv": ",late\n0,1\n"}, {}, "HeaderInvalid", ["Column 1", "index=False"], id="an index of pandas"),
    pytest.param({"a.csv": "Id,id\n0,1\n"}, {}, "RepeatedColumn", ["'Id' and 'id'"], id="one name twice"),
    pytest.param(
        {"Area=1/area=2/a.csv": GOOD}, {}, "RepeatedColumn", ["'Area' and 'area'"], id="two folders of one name"
    ),
    pytest.param(
        {"a.csv": GOOD, "b.csv": "id,size\n1,2\n"},
        {},
        "ColumnsDiffer",
        ["'b.csv'", "day, late"],
        id="files with other columns",
    ),
    pytest.param({"a.csv": GOOD, "b.jsonl": "{}"}, {}, "FormatMixed", ["CSV and JSONL"], id="two formats"),
    pytest.param({"a.dat": GOOD}, {}, "FormatUnknown", ["'a.dat'", "spec.format"], id="a name that tells no format"),
    pytest.param(
        {"a.jsonl": "".join(f'{{"id": {10**25 + n}, "late": {n % 2}}}\n' for n in range(9))},
        {"keys": ["id"]},
        "OutOfRange",
        ["'id'", "9223372036854775807"],
        id="whole numbers beyond 64 bits in JSON",
    ),
    pytest.param({"a.csv": "id,late\n1,\n2,\n"}, {}, "TargetAllNull", ["all 2 rows"], id="100 % null target"),
    pytest.param(
        {"a.csv": "id,late\n1,1\n2,1\n"}, {}, "OneClass", ["one class only in 2 rows", "2 rows"], id="one class only"
    ),
    pytest.param(
        {"a.csv": "id,late\n1,1.5\n2,-2e37\n"}, {}, "TargetInvalid", ["beyond 1e+37 in 1 rows"], id="a target too large"
    ),
    pytest.param({"a.csv": "id,late\n1,1.5\n2,1.5\n"}, {}, "TargetConstant", ["one value"], id="one number only"),
    pytest.param(
        {"a.csv": "id,late\n7,1\n7,0\n8,1\n"},
        {"keys": ["id"]},
        "DuplicateKeys",
        ["7 (2 times)", "spec.keys"],
        id="duplicate keys",
    ),
    pytest.param(
        {"a.csv": GOOD.replace("2013-01-05", "yesterday")},
        {"eventTime": "day"},
        "TimeUnparsable",
        ["'yesterday'", "spec.eventTime"],
        id="time column unparsable",
    ),
    pytest.param(
        {"a.csv": "id,late,day\n" + "".join(f"{n},{n % 2},\n" for n in range(40))},
        {"eventTime": "day"},
        "TimeUnparsable",
        ["'day' is spec.eventTime and has no value in any row"],
        id="time column empty",
    ),
    pytest.param(
        {"a.csv": GOOD},
        {"target": "lateness"},
        "MissingColumn",
        ["'lateness' of spec.target", "'id', 'size', 'late', 'day'"],
        id="target missing",
    ),
    pytest.param({"a.csv": GOOD}, {"keys": ["order"]}, "MissingColumn", ["spec.keys"], id="key missing"),
    pytest.param(
        {"a.csv": GOOD},
        {"checks": [{"name": "odd", "sql": "SELEC 1"}]},
        "CheckInvalid",
        ["'odd'", "SELEC"],
        id="SQL that does not parse",
    ),
    pytest.param(
        {"a.csv": GOOD},
        {"checks": [{"name": "odd", "sql": "SELECT nosuch FROM data"}]},
        "CheckInvalid",
        ["nosuch"],
        id="SQL that names no column",
    ),
    pytest.param(
        {"a.csv": GOOD},
        {"checks": [{"name": "odd", "sql": "SELECT 1; DROP TABLE data"}]},
        "CheckInvalid",
        ["one SELECT"],
        id="SQL with a second statement",
    ),
    pytest.param(
        {"a.csv": GOOD},
        {"checks": [{"name": "odd", "sql": "DELETE FROM data"}]},
        "CheckInvalid",
        ["one SELECT"],
        id="SQL that writes",
    ),
    pytest.param(
        {"a.csv": GOOD},
        {"checks": [{"name": "odd", "sql": "SELECT * FROM read_text('/etc/passwd')"}]},
        "CheckInvalid",
        ["disabled by configuration"],
        id="SQL that reads a file",
    ),
    pytest.param(
        {"a.csv": GOOD},
        {"checks": [{"name": "odd", "sql": "SELECT * FROM 'https://127.0.0.1/a.csv'"}]},
        "CheckInvalid",
        ["'odd'"],
        id="SQL that reads the network",
    ),
    pytest.param(
        {"a.parquet": b"PAR1 this is not Parquet PAR1"},
        {},
        "UnreadableParquet",
        ["'a.parquet'"],
        id="unreadable Parquet",
    ),
    pytest.param(
        {"a.jsonl": '{"id": 1, "late": 0}\n{"id": 2, "late"\n'},
        {},
        "BrokenJSONL",
        ["Line 2", "not JSON"],
        id="a broken JSON line",
    ),
    pytest.param(
        {"a.jsonl": '{"id": 1, "late": 0}\n[1]\n'},
        {},
        "BrokenJSONL",
        ["Line 2", "object"],
        id="a JSON line that is no object",
    ),
    pytest.param({"a.jsonl": '[{"id": 1}]'}, {}, "BrokenJSONL", ["Line 1"], id="JSON that is not lines"),
    pytest.param({"a.jsonl": '{"id": 1, "late": {"a": 1}}\n'}, {}, "UnsupportedType", ["'late'"], id="nested JSON"),
    pytest.param(
        {"a.csv": GOOD}, {"split": {"by": "Time"}}, "SplitInvalid", ["spec.eventTime"], id="Time without a time"
    ),
    pytest.param(
        {"a.csv": GOOD}, {"split": {"by": "Group"}}, "SplitInvalid", ["spec.split.group"], id="Group without a group"
    ),
    pytest.param({"a.csv": "id,late\n1,0\n2,1\n"}, {}, "SplitEmpty", ["more rows"], id="too few rows to share out"),
]


@pytest.mark.parametrize(("files", "spec", "reason", "words"), BAD)
def test_bad_input_is_refused_with_a_reason(
    run_check: Any, files: dict[str, Any], spec: dict[str, Any], reason: str, words: list[str]
) -> None:
    result = run_check(files, **SPEC | spec)

    assert (result.code, result.failure["reason"]) == (2, reason)
    assert [word for word in words if word not in result.failure["message"]] == [], result.failure["message"]
    assert not (result.root / "outputs" / "metrics.json").exists()
