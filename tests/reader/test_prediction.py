"""One logged prediction by its id: where it is looked for, and what is said where it is not."""

import asyncio
import hashlib
import json
from datetime import UTC, datetime, timedelta
from typing import Any, cast
from urllib.parse import quote

import pytest
from arro3.core import Array, DataType

from flywheel_reader.endpoints import prediction
from flywheel_reader.endpoints.prediction import Search, request_minute
from flywheel_reader.store.bucket import Bucket
from tests.reader.routes import parquet_bytes
from tests.reader.running_reader import RunningReader

NOW = datetime(2026, 11, 1, 12, tzinfo=UTC)
MINUTE = int(NOW.timestamp()) // 60
BOOT = "3f12b3b13160"


@pytest.mark.parametrize(
    ("id_", "minute"),
    [
        pytest.param(f"{BOOT}-{MINUTE - 5:x}-7", NOW - timedelta(minutes=5), id="an id of the server says its minute"),
        pytest.param(f"{BOOT}-7", None, id="one of an earlier release does not"),
        pytest.param("6f1f9f4e-0f0d-4f25-9a3e-3f12b3b13160", None, id="nor does a client's UUID"),
        pytest.param(f"{BOOT}-{MINUTE + 600:x}-7", None, id="a minute that has not come is none"),
    ],
)
def test_request_minute(id_: str, minute: datetime | None) -> None:
    assert request_minute(id_, NOW) == minute


def put_rows(reader: RunningReader, service: str, file: str, ids: list[str]) -> None:
    values = Array([float(place) for place in range(len(ids))], DataType.float64())
    content = parquet_bytes({"id": Array(ids, DataType.string()), "value": values})
    reader.seeds.put(f"predictions/{service}/rows/{file}", content)


def ask(reader: RunningReader, service: str, id_: str, around: str = "") -> Any:
    path = f"/v1/namespaces/shop/inferenceservices/{service}/prediction?id={quote(id_, safe='')}"
    return reader.get(path + (f"&around={around}" if around else ""))


@pytest.mark.integration
def test_all_rows_of_a_request_are_found(reader: RunningReader) -> None:
    wanted = f"{BOOT}-{MINUTE:x}-7"
    put_rows(reader, "two-rows", "dt=2026-11-01/hour=12/pod=a/a-0-0.parquet", ["x", wanted, wanted, "y"])

    found = ask(reader, "two-rows", wanted).json

    assert [row["value"] for row in found["items"]] == [1.0, 2.0]
    assert found["file"] == "dt=2026-11-01/hour=12/pod=a/a-0-0.parquet"


@pytest.mark.integration
def test_a_row_in_the_file_of_the_hour_before_is_found(reader: RunningReader) -> None:
    wanted = f"{BOOT}-{MINUTE:x}-7"
    put_rows(reader, "late-file", "dt=2026-11-01/hour=11/pod=a/a-0-0.parquet", [wanted])

    assert len(ask(reader, "late-file", wanted).json["items"]) == 1


@pytest.mark.integration
def test_an_id_that_no_name_of_kubernetes_is_like_is_found_by_its_time(reader: RunningReader) -> None:
    wanted = "bestellung 7/2 ?&#=é'; DROP"
    put_rows(reader, "own-ids", "dt=2026-10-01/hour=03/pod=a/a-0-0.parquet", ["a", wanted])

    assert len(ask(reader, "own-ids", wanted, "2026-10-01T03:30:00Z").json["items"]) == 1
    missed = ask(reader, "own-ids", wanted)
    assert (missed.status, missed.json["searched"]["files"]) == (404, 0)
    assert "say it with 'around'" in missed.json["error"]["message"]


class HourOfFiles:
    """A bucket whose first hour has so many files, none of which may have the id `zzz`."""

    def __init__(self, files: int) -> None:
        values = {"id": Array(["a", "b"], DataType.string()), "value": Array([1.0, 2.0], DataType.float64())}
        self.content, self.left, self.read = parquet_bytes(values), files, 0

    async def list(self, folder: str) -> list[tuple[str, datetime]]:
        files, self.left = self.left, 0
        return [(f"{folder}{number}.parquet", NOW) for number in range(files)]

    async def get_tail(self, key: str, size: int) -> tuple[bytes, int]:
        self.read += 1
        return self.content, len(self.content)


@pytest.mark.parametrize(
    ("limit", "value"),
    [pytest.param("MAX_SECONDS", 0.0, id="time"), pytest.param("MAX_READ_BYTES", 1, id="bytes")],
)
def test_a_search_ends_also_where_no_file_may_have_the_id(
    monkeypatch: pytest.MonkeyPatch, limit: str, value: float
) -> None:
    monkeypatch.setattr(prediction, limit, value)
    bucket = HourOfFiles(10 * prediction.PARALLEL)
    search = Search(cast("Bucket", bucket), "rows/", "zzz", None)

    asyncio.run(search.run(NOW))

    assert bucket.read <= prediction.PARALLEL
    assert not search.is_complete


@pytest.mark.integration
def test_other_files_with_the_id_are_named(reader: RunningReader) -> None:
    files = [f"dt=2026-10-0{day}/hour={hour}/pod={pod}/a.parquet" for day, hour, pod in ((1, "03", "a"), (1, "03", "b"), (1, "04", "a"), (2, "03", "a"))]  # fmt: skip
    for file in files:
        put_rows(reader, "repeated", file, ["order-7", "x"])

    found = ask(reader, "repeated", "order-7", "2026-10-01T03:30:00Z").json

    assert {found["file"], *(each["file"] for each in found["others"])} == set(files[:3])
    assert [each["rows"] for each in found["others"]] == [1, 1]
    assert found["searched"]["isComplete"]


@pytest.mark.integration
def test_a_damaged_file_hides_no_other(reader: RunningReader) -> None:
    wanted, hour = f"{BOOT}-{MINUTE:x}-7", "dt=2026-11-01/hour=12/pod=a"
    reader.seeds.put(f"predictions/damaged/rows/{hour}/a-0-0.parquet", b"PAR1 and no more PAR1")
    missed = ask(reader, "damaged", wanted)
    put_rows(reader, "damaged", f"{hour}/a-0-1.parquet", [wanted])

    assert (missed.status, missed.json["searched"]["unreadable"]) == (404, 1)
    assert "of which 1 cannot be read" in missed.json["error"]["message"]
    assert len(ask(reader, "damaged", wanted).json["items"]) == 1


@pytest.mark.integration
@pytest.mark.parametrize(
    "query",
    [
        "",
        "id=",
        f"id={'x' * 1025}",
        "id=a&around=yesterday",
        "id=a&around=9999-12-31T23:30:00Z",
        "id=a&around=0001-01-01T00:00:00Z",
    ],
)
def test_what_is_no_id_or_no_time_is_refused(reader: RunningReader, query: str) -> None:
    assert reader.get(f"/v1/namespaces/shop/inferenceservices/delays/prediction?{query}").status == 400


@pytest.mark.integration
def test_audit_records_are_read_byte_for_byte_page_by_page(reader: RunningReader) -> None:
    texts = [json.dumps({"number": number, "text": "é"}, ensure_ascii=False) for number in range(1, 6)]
    for number, text in enumerate(texts, start=1):
        reader.seeds.put(f"audit/paged/{number:08d}.json", text.encode())
    path = "/v1/namespaces/shop/models/paged/audit"

    first = reader.get(f"{path}?limit=3").json
    rest = reader.get(f"{path}?limit=3&before={first['next']}").json

    assert [each["text"] for each in first["items"] + rest["items"]] == texts[::-1]
    assert first["items"][0]["sha256"] == hashlib.sha256(texts[4].encode()).hexdigest()
    assert (first["total"], rest["next"]) == (5, None)
