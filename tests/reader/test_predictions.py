"""Logged predictions: a response ends with the file that exceeds its bound, and the next request goes on after it."""

import asyncio
from datetime import UTC, datetime

import pytest
from arro3.core import Array, DataType

from flywheel_reader.endpoints.predictions import MAX_BYTES, _read_files
from flywheel_reader.store.bucket import Bucket
from tests.reader.routes import parquet_bytes
from tests.reader.running_reader import RunningReader

FOLDER = "predictions/delays/rows/"
START, END = datetime(2026, 11, 1, 10, 30, tzinfo=UTC), datetime(2026, 11, 1, 13, tzinfo=UTC)


class BusyHours:
    """A namespace's folder with four large files in each hour; counts what is read."""

    def __init__(self) -> None:
        self.read: list[str] = []

    async def list(self, folder: str) -> list[tuple[str, datetime]]:
        return [(f"{folder}pod=a/a-0-{number}.parquet", START) for number in range(4)]

    async def get(self, key: str, limit: int) -> bytes:
        self.read.append(key)
        return b"x" * min(limit, MAX_BYTES // 3)


def test_a_busy_hour_is_read_in_several_responses(monkeypatch: pytest.MonkeyPatch) -> None:
    bucket, after, found = BusyHours(), None, []
    monkeypatch.setattr(Bucket, "list", lambda _, folder: bucket.list(folder))
    monkeypatch.setattr(Bucket, "get", lambda _, key, limit: bucket.get(key, limit))
    store = Bucket.__new__(Bucket)
    while True:
        files, after = asyncio.run(_read_files(store, FOLDER, START, END, after))
        found.append(len(files))
        if after is None:
            break

    assert max(found) == 4
    assert len(bucket.read) == len(set(bucket.read)) == sum(found) == 12
    assert bucket.read == sorted(bucket.read)


@pytest.mark.integration
def test_after_leads_to_the_files_that_follow(reader: RunningReader) -> None:
    for number in range(2):
        name = f"dt=2026-11-01/hour=11/pod=a/a-0-{number}.parquet"
        reader.seeds.put(FOLDER + name, parquet_bytes({"row": Array([number], DataType.int64())}))
    path = "/v1/namespaces/shop/inferenceservices/delays/predictions?from=2026-11-01T10:00:00Z&to=2026-11-01T12:00:00Z"

    assert reader.get(path).json["items"] == [{"row": 0}, {"row": 1}]
    assert reader.get(f"{path}&after=dt=2026-11-01/hour=11/pod=a/a-0-0.parquet").json["items"] == [{"row": 1}]
    assert reader.get(f"{path}&after=../x").status == 400
