"""The log of records: a wrong head, a hole and a slow store cost one namespace little, and no other anything."""

import asyncio
import gzip
import json

import pytest

from flywheel_reader.errors import StoreUnreachable
from flywheel_reader.store.bucket import Bucket, ObjectMissing
from flywheel_reader.tracking import log as log_module
from flywheel_reader.tracking.index import ROW_BYTES, RecordIndex
from flywheel_reader.tracking.log import SEGMENT_RECORDS, TrackingLog
from tests.reader.seeds import Seeds, new_record


class Folder(Bucket):
    """A namespace's objects in memory; counts what is read."""

    def __init__(self) -> None:
        self.namespace = "shop"
        self.objects: dict[str, bytes] = {}
        self.read: list[str] = []
        self.seconds = 0.0

    async def get(self, key: str, limit: int) -> bytes:
        self.read.append(key)
        await asyncio.sleep(self.seconds)
        if key not in self.objects:
            raise ObjectMissing
        return self.objects[key]


def log_of(folder: Folder) -> TrackingLog:
    return TrackingLog(folder, 1 << 30, asyncio.Semaphore(1), lambda: None)


@pytest.mark.parametrize("head", [10**15, 3 * SEGMENT_RECORDS, True, -1, "x"])
def test_a_wrong_head_is_not_believed(head: object) -> None:
    folder = Folder()
    Seeds(folder.objects.__setitem__).records([new_record(number) for number in range(1, 4)])
    folder.objects["tracking/head.json"] = json.dumps({"number": head}).encode()
    log = log_of(folder)

    asyncio.run(log.refresh())

    assert (len(log.index), log.index.number, log.index.left_out) == (3, 3, 0)
    assert len(folder.read) < 100


def test_what_is_before_a_lost_segment_is_left_out() -> None:
    folder = Folder()
    records = [new_record(number) for number in range(1, 5 * SEGMENT_RECORDS + 2)]
    Seeds(folder.objects.__setitem__).records(records, segments=True)
    for number in (2, 3):
        del folder.objects[f"tracking/segments/{number:010d}.json.gz"]
        del folder.objects[f"tracking/log/{(number - 1) * SEGMENT_RECORDS + 1:010d}.json"]
    log = log_of(folder)

    asyncio.run(log.refresh())

    assert len(log.index) == 2 * SEGMENT_RECORDS + 1
    assert log.index.left_out == 3 * SEGMENT_RECORDS


@pytest.mark.parametrize("content", [b"\n" * (17 << 20), b"ab\n" * (5 << 20)], ids=["large", "of many lines"])
def test_a_segment_that_is_none_is_read_record_by_record(content: bytes) -> None:
    folder = Folder()
    Seeds(folder.objects.__setitem__).records([new_record(number) for number in range(1, 2 * SEGMENT_RECORDS)])
    folder.objects["tracking/segments/0000000001.json.gz"] = gzip.compress(content)
    log = log_of(folder)

    asyncio.run(log.refresh())

    assert len(log.index) == 2 * SEGMENT_RECORDS - 1


def test_a_store_that_is_too_slow_is_not_asked_again_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_module, "REFRESH_SECONDS", 0.05)
    folder = Folder()
    folder.seconds = 30
    log = log_of(folder)

    async def refresh_twice() -> None:
        for _ in range(2):
            with pytest.raises(StoreUnreachable, match="not read within"):
                await log.refresh()

    asyncio.run(asyncio.wait_for(refresh_twice(), 5))

    assert len(folder.read) == 1


def test_one_id_again_and_again_takes_bounded_memory() -> None:
    index = RecordIndex(100 * ROW_BYTES)

    for number in range(1, 5000):
        index.add([b'{"id": "same", "kind": "Experiment"}'], number)

    assert len(index._json) <= 100
    assert len(index) == 1


def test_a_number_that_no_record_has_is_no_number() -> None:
    index = RecordIndex(1 << 20)

    index.add([b'{"id": "a", "number": 1e30}', b'{"id": "b", "number": "x"}', b'{"id": "c", "number": 3}'], 3)

    assert len(index) == 3
    assert len(index.rows_until(2)) == 2
