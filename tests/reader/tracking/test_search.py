"""The index and its search: order, pages, kinds, retention, and what is left out beyond the bound."""

import json
from typing import Any

import pytest

from flywheel_reader.errors import BadFilter
from flywheel_reader.tracking import search as search_module
from flywheel_reader.tracking.columns import Column
from flywheel_reader.tracking.filters import parse_filter, parse_order
from flywheel_reader.tracking.index import MAX_COLUMNS, RecordIndex
from flywheel_reader.tracking.search import Found, Search, find_records, has_expired

BOTH = frozenset({"Experiment", "TrainingRun"})
DAY_MS = 24 * 3600 * 1000


def index_of(*records: dict[str, Any], max_bytes: int = 1 << 20) -> RecordIndex:
    index = RecordIndex(max_bytes)
    for number, record in enumerate(records, 1):
        full = {"id": f"r{number}", "kind": "Experiment", "number": number, "uid": "u", **record}
        index.add([json.dumps(full).encode()], number)
    return index


def search(index: RecordIndex, order: str = "", **changed: Any) -> Found:
    return find_records(index, Search(BOTH, order=parse_order(order), **changed))


def ids(found: Found) -> list[str]:
    return [item["id"] for item in found.items]


VALUES: list[Any] = [0.5, float("nan"), None, float("inf"), -1, float("-inf"), "NaN", True, 10**400]


@pytest.mark.parametrize("direction", ["ASC", "DESC"])
def test_missing_and_nan_are_last_and_infinite_ones_are_numbers(direction: str) -> None:
    index = index_of(*({"metrics": {"m": value}} for value in VALUES), {})

    found = ids(search(index, f"metrics.m {direction}"))

    present = ["r6", "r5", "r1", "r4"] if direction == "ASC" else ["r4", "r1", "r5", "r6"]
    assert found[:4] == present
    assert sorted(found[4:]) == ["r10", "r2", "r3", "r7", "r8", "r9"]


def test_equal_values_are_ordered_by_the_next_column() -> None:
    index = index_of({"trial": 2, "state": "a"}, {"trial": 1, "state": "a"}, {"trial": 3, "state": "b"})

    assert ids(search(index, "attributes.state DESC, attributes.trial")) == ["r3", "r2", "r1"]


def test_numbers_are_before_texts() -> None:
    index = index_of(*({"parameters": {"p": value}} for value in ("b", 2, "a", 1.5)))

    assert ids(search(index, "params.p")) == ["r4", "r2", "r3", "r1"]


def test_pages_show_what_the_first_page_knew() -> None:
    index = index_of(*({"trial": number} for number in range(5)))
    first = search(index, "attributes.trial", limit=2)
    index.add([json.dumps({"id": "new", "kind": "Experiment", "number": 6, "trial": -1}).encode()], 6)

    second = search(index, "attributes.trial", limit=2, offset=first.next_offset, until=first.until)
    third = search(index, "attributes.trial", limit=2, offset=second.next_offset, until=first.until)

    assert ids(first) + ids(second) + ids(third) == ["r1", "r2", "r3", "r4", "r5"]
    assert (first.total, third.next_offset) == (5, None)


def test_an_offset_beyond_the_end_is_an_empty_page() -> None:
    assert search(index_of({}), offset=2**32 - 1) == Found([], 1, None, 1)


def test_what_is_no_record_is_left_out_and_counted_as_read() -> None:
    index = RecordIndex(1 << 20)
    index.add([b"", b"[]", b"{", b'{"id": 7}', b"\xff\xfe", b'{"id": "x", "kind": "Experiment"}', b"[" * 5000], 7)

    assert (len(index), index.number) == (1, 7)


def test_columns_follow_new_and_replaced_records() -> None:
    index = index_of({"metrics": {"m": 1}}, {"metrics": {"m": 2}})
    assert ids(search(index, "metrics.m DESC")) == ["r2", "r1"]

    index.add([b'{"id": "r1", "kind": "Experiment", "number": 3, "metrics": {"m": 3}}'], 3)

    assert ids(search(index, "metrics.m DESC")) == ["r1", "r2"]
    assert len(index) == 2


def test_two_thousand_columns_are_searched_in_bounded_memory() -> None:
    index = index_of(*({"metrics": {f"m{column}": row for column in range(2000)}} for row in range(3)))

    for column in range(0, 2000, 10):
        assert ids(search(index, f"metrics.m{column} DESC", limit=1)) == ["r3"]

    assert len(index._columns) <= MAX_COLUMNS


def test_the_oldest_records_are_left_out_beyond_the_bound() -> None:
    index = index_of(*({"trial": number, "message": "x" * 100} for number in range(100)), max_bytes=5000)

    assert index.bytes <= 5000
    assert index.left_out == 100 - len(index) > 0
    assert ids(search(index, "attributes.trial DESC", limit=1)) == ["r100"]
    assert index.get("r1") is None


def test_a_page_is_bounded_in_bytes() -> None:
    index = index_of(*({"tags": {"long": "x" * (3 << 20)}} for _ in range(4)), max_bytes=1 << 30)

    found = search(index)

    assert len(found.items) == 2
    assert found.next_offset == 2


@pytest.mark.parametrize(
    ("retention", "age_days", "exists", "is_found"),
    [
        ("24h", 2, False, False),
        ("24h", 2, True, True),
        ("72h", 2, False, True),
        ("1d12h", 2, False, False),
        (None, 999, False, True),
        ("for ever", 999, False, True),
    ],
)
def test_retention_hides_records_of_objects_that_are_gone(
    retention: str | None, age_days: int, exists: bool, is_found: bool
) -> None:
    index = index_of({"retention": retention, "finishedAt": "1970-01-01T00:00:00Z"})
    now = age_days * DAY_MS
    existing = {"Experiment": frozenset({"u"} if exists else set())}

    assert bool(search(index, now_ms=now, existing=existing).items) is is_found
    assert has_expired(index, now) is (retention in ("24h", "1d12h"))


def test_only_the_kinds_and_the_scope_are_found() -> None:
    index = index_of(
        {"name": "a"}, {"name": "b"}, {"kind": "TrainingRun", "name": "a"}, {"kind": "Secret", "name": "a"}
    )
    scope = ((Column("attributes", "experiment"), "a"),)

    assert ids(find_records(index, Search(BOTH, scope))) == ["r1"]
    assert sorted(ids(find_records(index, Search(BOTH)))) == ["r1", "r2", "r3"]
    assert ids(find_records(index, Search(BOTH, comparisons=parse_filter("name = 'b'")))) == ["r2"]


def test_a_filter_that_takes_too_long_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search_module, "MAX_FILTER_SECONDS", -1.0)

    with pytest.raises(BadFilter, match="more than"):
        search(index_of({}), comparisons=parse_filter("name LIKE '%a%'"))
