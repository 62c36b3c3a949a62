"""The index of records on a real S3 server: its numbers, its head and its segments."""

import gzip
import json
from concurrent.futures import ThreadPoolExecutor

import pytest

from flywheel_runtime.store.artifacts import Store
from flywheel_runtime.tracking import index
from flywheel_runtime.tracking.index import append_record, join_segment, read_head, record_key, segment_key

pytestmark = pytest.mark.integration  # the other side is a real S3 server


def records(store: Store) -> list[dict[str, object]]:
    """What a reader finds that goes on from 1 until there is no further record."""
    found = list[dict[str, object]]()
    while store.exists(record_key(len(found) + 1)):
        found.append(json.loads(store.get(record_key(len(found) + 1), 1 << 20)))
    return found


def test_records_are_numbered_from_1_and_the_head_names_the_last(store: Store) -> None:
    numbers = [append_record(store, {"v": 1, "id": name}) for name in ("a", "b", "c")]

    assert numbers == [1, 2, 3]
    assert [(record["number"], record["id"]) for record in records(store)] == [(1, "a"), (2, "b"), (3, "c")]
    assert read_head(store) == 3


def test_many_writers_at_once_each_get_a_number_of_their_own_without_gaps(store: Store) -> None:
    writers = 24
    with ThreadPoolExecutor(writers) as pool:
        numbers = list(pool.map(lambda each: append_record(store, {"v": 1, "id": str(each)}), range(writers)))

    assert sorted(numbers) == list(range(1, writers + 1))
    assert {record["id"] for record in records(store)} == {str(each) for each in range(writers)}
    assert writers - read_head(store) < writers  # a hint, from which readers go on
    assert append_record(store, {"v": 1, "id": "next"}) == writers + 1


@pytest.mark.parametrize("there", [0, 1, 2, 3, 7, 8, 9, 20])
def test_a_lost_head_is_found_again_without_a_listing(store: Store, there: int) -> None:
    for each in range(there):
        append_record(store, {"v": 1, "id": str(each)})
    store.bucket.delete(store.root + index.HEAD_KEY)

    assert append_record(store, {"v": 1, "id": "next"}) == there + 1
    assert read_head(store) == there + 1


@pytest.mark.parametrize(
    "head", [b"", b"[]", b'{"v":1}', b'{"v":1,"number":"9"}', b'{"v":1,"number":2}', b'{"v":1,"number":900}']
)
def test_a_head_that_is_damaged_behind_or_of_no_record_loses_no_record(store: Store, head: bytes) -> None:
    for each in range(5):
        append_record(store, {"v": 1, "id": str(each)})
    store.replace(index.HEAD_KEY, head)

    assert append_record(store, {"v": 1, "id": "next"}) == 6
    assert len(records(store)) == 6
    assert read_head(store) == 6
    assert read_head(store) == 6


def test_a_record_whose_response_was_lost_is_written_once(store: Store) -> None:
    append_record(store, {"v": 1, "id": "a"})
    store.replace(index.HEAD_KEY, b"{}")  # as before that record, when the same request comes again

    text = index.canonical_bytes({"v": 1, "id": "b", "number": 2})
    store.create(record_key(2), text)

    assert append_record(store, {"v": 1, "id": "b"}) in (2, 3)  # found by its bytes where the head is known
    assert [record["id"] for record in records(store)][:2] == ["a", "b"]


def test_a_segment_has_its_records_and_the_segment_before_it_is_repaired(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(index, "SEGMENT_RECORDS", 4)
    for each in range(8):
        append_record(store, {"v": 1, "id": str(each)})

    join_segment(store, 8)  # the writer of record 4 was killed before it came to this

    for segment, ids in ((1, ["0", "1", "2", "3"]), (2, ["4", "5", "6", "7"])):
        lines = gzip.decompress(store.get(segment_key(segment), 1 << 20)).splitlines()
        assert [json.loads(line)["id"] for line in lines] == ids
