"""Typed anomalies: an Error fails the check with its kind as the reason, a Warning is in facts and report."""

from typing import Any

import pytest

pytestmark = pytest.mark.integration  # several whole steps in each test

HEADER = "id,size,carrier,late\n"


def orders(rows: int = 200, header: str = HEADER, **replaced: Any) -> dict[str, str]:
    """A CSV of orders; `size=lambda i: …` replaces a column."""
    columns: dict[str, Any] = {
        "id": lambda i: i,
        "size": lambda i: i % 10,
        "carrier": lambda i: ("UA", "DL")[i % 2],
        "late": lambda i: i * 7 % 3 % 2,
    } | replaced
    names = header.strip().split(",")
    return {"a.csv": header + "".join(",".join(str(columns[n](i)) for n in names) + "\n" for i in range(rows))}


SPEC: dict[str, Any] = {"target": "late", "keys": ["id"], "showValues": True}

ERRORS = [
    pytest.param(
        orders(size=lambda i: "big" if i == 3 else i),
        {},
        "TypeMismatch",
        ["Integer", "1 of its", "'big'"],
        id="a word in a number column",
    ),
    pytest.param(
        orders(size=lambda i: 2.5 if i == 3 else i), {}, "TypeMismatch", ["'2.5'"], id="a fraction in an Integer column"
    ),
    pytest.param(
        orders(header="id,carrier,late\n"), {}, "MissingColumn", ["'size'", "last good version"], id="a column is gone"
    ),
    pytest.param(
        orders(),
        {"columns": [{"name": "size", "min": "1", "max": "8"}]},
        "OutOfRange",
        ["40 values", "min 1 and max 8", "'0'"],
        id="values outside the declared range",
    ),
    pytest.param(
        orders(),
        {"columns": [{"name": "carrier", "categories": ["UA"]}]},
        "NewCategory",
        ["100 rows", "spec.columns", "'DL'"],
        id="a category that is not declared",
    ),
    pytest.param(
        orders(size=lambda i: "" if i < 3 else i),
        {"columns": [{"name": "size", "nullable": False}]},
        "NullRateUp",
        ["3 of 200", "nullable: false"],
        id="missing values where none may be",
    ),
    pytest.param(orders(id=lambda i: i // 2), {}, "DuplicateKeys", ["100 values", "(2 times)"], id="repeated keys"),
    pytest.param(
        orders(),
        {"checks": [{"name": "small", "sql": "SELECT * FROM data WHERE size > 8 -- big"}]},
        "CheckFailed",
        ["'small'", "20 violating rows"],
        id="an SQL check with violating rows",
    ),
]
WARNINGS = [
    pytest.param(
        orders(carrier=lambda i: "ZZ" if i < 4 else "UA"),
        {},
        "NewCategory",
        ["4 rows", "'ZZ'"],
        id="a category that the last version did not have",
    ),
    pytest.param(orders(size=lambda i: i), {}, "OutOfRange", ["0 to 9"], id="numbers outside the last version's range"),
    pytest.param(
        orders(header=HEADER.replace(",late", ",gate,late"), gate=lambda i: i % 5),
        {},
        "ExtraColumn",
        ["'gate'", "left out"],
        id="a new column",
    ),
    pytest.param(
        orders(size=lambda i: "" if i % 4 == 0 else i % 10),
        {},
        "NullRateUp",
        ["25.0%", "0.0%"],
        id="more missing values than before",
    ),
    pytest.param(
        orders(carrier=lambda i: "UA"), {}, "Constant", ["the same value", "200 rows"], id="a column of one value"
    ),
    pytest.param(
        orders(carrier=lambda i: "UA" if i % 2 else ""),
        {},
        "Constant",
        ["one value in 100 of 200 rows", "only whether it is there"],
        id="a column of one value that some rows lack",
    ),
    pytest.param(
        orders(late=lambda i: "" if i < 5 else i * 7 % 3 % 2),
        {},
        "TargetNull",
        ["5 rows"],
        id="rows without a target are left out",
    ),
    pytest.param(
        orders(),
        {"checks": [{"name": "small", "sql": "FROM data WHERE size > 8;", "severity": "Warning"}]},
        "CheckFailed",
        ["20 violating rows"],
        id="an SQL check that only warns",
    ),
    pytest.param(
        orders(),
        {"ignore": ["carier"]},
        "MissingColumn",
        ["spec.ignore", "'carier'", "is 'carrier' meant?"],
        id="a misspelled name in ignore",
    ),
    pytest.param(
        orders(),
        {"ignore": ["note"]},
        "MissingColumn",
        ["'note'", "correct or remove the name"],
        id="nothing to ignore",
    ),
]


@pytest.mark.parametrize(("files", "spec", "reason", "words"), ERRORS)
def test_an_error_fails_the_check(
    run_check: Any, files: dict[str, str], spec: dict[str, Any], reason: str, words: list[str]
) -> None:
    first = run_check(orders(), **SPEC)

    result = run_check(files, previous=first, **SPEC | spec)

    assert (first.code, result.code, result.failure["reason"]) == (0, 2, reason)
    assert [word for word in words if word not in result.failure["message"]] == [], result.failure["message"]


@pytest.mark.parametrize(("files", "spec", "kind", "words"), WARNINGS)
def test_a_warning_goes_into_the_report(
    run_check: Any, files: dict[str, str], spec: dict[str, Any], kind: str, words: list[str]
) -> None:
    first = run_check(orders(), **SPEC)

    result = run_check(files, previous=first, **SPEC | spec)

    assert (first.output("facts.json")["warnings"], result.code) == ([], 0)
    warning = next(line for line in result.output("facts.json")["warnings"] if line.startswith(f"{kind}: "))
    assert [word for word in words if word not in warning] == [], warning
    assert kind in [anomaly["kind"] for anomaly in result.output("data/report.json")["anomalies"]]


@pytest.mark.parametrize(
    ("files", "spec"),
    [
        pytest.param(orders(size=lambda i: "s3cret" if i == 3 else i), {}, id="a cell of another type"),
        pytest.param(orders(carrier=lambda i: "s3cret"), {"columns": [{"name": "carrier", "categories": ["UA"]}]}, id="a category"),
        pytest.param(orders(carrier=lambda i: "s3cret" if i < 4 else "UA"), {}, id="a new category"),
        pytest.param(orders(id=lambda i: f"s3cret{i // 2}"), {"columns": [{"name": "id", "type": "String"}]}, id="keys"),
        pytest.param(
            orders(carrier=lambda i: "s3cret"), {"checks": [{"name": "all", "sql": "SELECT * FROM data"}]}, id="rows of a check"
        ),
        pytest.param(
            orders(carrier=lambda i: "s3cret"),
            {"checks": [{"name": "warns", "sql": "SELECT carrier FROM data", "severity": "Warning"}]},
            id="rows of a check that warns",
        ),
        pytest.param(
            orders(carrier=lambda i: "s3cret"),
            {"checks": [{"name": "tells", "sql": "SELECT error(max(carrier)) FROM data"}]},
            id="an error that SQL raises with them",
        ),
        pytest.param(
            orders(carrier=lambda i: "s3cret"),
            {"checks": [{"name": "casts", "sql": "SELECT carrier::INTEGER FROM data"}]},
            id="an error of a cast",
        ),
        pytest.param(orders(late=lambda i: "s3cret"), {"columns": [{"name": "late", "type": "String"}]}, id="the only class"),
    ],
)  # fmt: skip
def test_values_of_the_data_stay_out_of_the_status(run_check: Any, files: dict[str, str], spec: dict[str, Any]) -> None:
    first = run_check(orders(), **SPEC)

    result = run_check(files, previous=first, **SPEC | spec | {"showValues": False})

    status = result.output("facts.json") if result.code == 0 else result.failure
    assert "s3cret" not in str(status), status


LEAKS = [
    pytest.param(lambda i: i % 3, True, id="a copy of the target"),
    pytest.param(lambda i: -1 if i % 3 % 2 else i + 5, True, id="a number that falls where the target rises"),
    pytest.param(lambda i: "yes" if i % 3 % 2 else "no", True, id="the target in words"),
    pytest.param(lambda i: i % 3 % 2 if i % 11 else 0, False, id="a hint that is right nine times in ten"),
    pytest.param(lambda i: i * 7919 % 1000, False, id="a number that says nothing"),
    pytest.param(lambda i: f"order-{i}", False, id="a name of each row"),
]


@pytest.mark.parametrize(("hint", "leaks"), LEAKS)
def test_a_feature_that_gives_the_target_away_is_a_leak(run_check: Any, hint: Any, leaks: bool) -> None:
    files = orders(1000, "id,size,carrier,hint,late\n", hint=hint, late=lambda i: i % 3 % 2, size=lambda i: i % 4)

    result = run_check(files, **SPEC)

    found = [a["column"] for a in result.output("data/report.json")["anomalies"] if a["kind"] == "LabelLeak"]
    assert found == (["hint"] if leaks else [])


def many_classes(count: int) -> dict[str, str]:
    return orders(1000, late=lambda i: f"class-{i % count:03d}")


NEW_AND_GONE = [
    pytest.param(
        orders(late=lambda i: "cab"[i % 3]), orders(late=lambda i: "ac"[i % 2]), "ac", "MissingClass", "'b'", id="gone"
    ),
    pytest.param(
        orders(late=lambda i: "ac"[i % 2]), orders(late=lambda i: "cab"[i % 3]), "abc", "NewCategory", "'b'", id="new"
    ),
    pytest.param(
        orders(late=lambda i: (2, 10, 3)[i % 3]),
        orders(late=lambda i: (10, 2)[i % 2]),
        ["2", "10"],
        "MissingClass",
        "'3'",
        id="a number is gone",
    ),
    pytest.param(many_classes(99), many_classes(100), 100, "NewCategory", "'class-099'", id="new among many"),
]


@pytest.mark.parametrize(("before", "after", "classes", "kind", "shown"), NEW_AND_GONE)
def test_classes_that_are_new_or_gone_are_reported_and_the_others_keep_their_order(
    run_check: Any, before: dict[str, str], after: dict[str, str], classes: Any, kind: str, shown: str
) -> None:
    first = run_check(before, **SPEC)

    result = run_check(after, previous=first, **SPEC)

    found = result.output("data/schema.json")["classes"]
    assert found == list(classes) if not isinstance(classes, int) else len(found) == classes
    assert found == sorted(found, key=lambda name: (len(name), name))
    warnings = [each for each in result.output("facts.json")["warnings"] if each.startswith((kind, "MissingClass"))]
    assert (len(warnings), warnings[0].startswith(f"{kind}: "), shown in warnings[0]) == (1, True, True), warnings


def test_all_errors_are_in_one_message(run_check: Any) -> None:
    columns = [{"name": "size", "max": "7"}, {"name": "carrier", "categories": ["UA"]}]

    message = run_check(orders(), **SPEC | {"columns": columns}).failure["message"]

    assert "'size'" in message
    assert "'carrier'" in message


def test_facts_keep_within_their_size_and_say_what_they_leave_out(run_check: Any) -> None:
    header = "id," + ",".join(f"empty{i}" for i in range(60)) + ",late\n"
    columns: dict[str, Any] = {f"empty{i}": lambda _: "" for i in range(60)}

    result = run_check(orders(header=header, **columns), **SPEC)

    facts = (result.root / "outputs" / "facts.json").read_bytes()
    assert len(facts) <= 2000
    assert result.output("facts.json")["warnings"][-1].endswith("more in report.json")
    assert len(result.output("data/report.json")["anomalies"]) == 60
