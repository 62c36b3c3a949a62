"""What callers, trials and damaged stores can do wrong: bounded responses and sentences, and the reader goes on."""

import gzip
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import quote

import pytest
from arro3.core import Array, DataType

from tests.reader.http_get import Response, get
from tests.reader.routes import parquet_bytes
from tests.reader.running_reader import TOKEN, RunningReader
from tests.reader.seeds import Seeds, canonical, new_record

pytestmark = pytest.mark.integration
TRIALS = "/v1/namespaces/shop/trials"
VERSION = "/v1/namespaces/shop/datasets/flights/versions/v1"
POINTS = 1_000_000
HOSTILE = "\x1b[31m\u202eevil\u0000/../<script>"


@pytest.fixture(scope="module", autouse=True)
def seeded(reader_process: RunningReader) -> None:
    seeds = reader_process.seeds
    curve = b"".join(b'{"step": %d, "name": "loss", "value": %d}\n' % (step, step % 1000) for step in range(POINTS))
    wide = parquet_bytes({f"column_{number}": _numbers() for number in range(2000)})
    documents = {"schema.json": b'{"rows": {"train": 1000}}', "profile.json": b"not json"}
    data = seeds.artifact(
        {
            "train.parquet": wide,
            "test.parquet": b"no parquet",
            **documents,
        }
    )
    bomb = gzip.compress(b"\0" * (64 << 20))
    names = {HOSTILE: 1.0, "plain": 2.0}
    records = [
        seeds.trial(1, {"metrics.jsonl": curve}, dataset="flights", datasetVersion="v1", datasetDigest=data),
        seeds.trial(2, {"main.log.gz": bomb}),
        seeds.trial(3, {"main.log.gz": b"no gzip", HOSTILE: b"x"}, metrics=names, tags={HOSTILE: HOSTILE}),
        new_record(4, outputs={"tracking": {"digest": "sha256:" + "0" * 64}}),
        new_record(5, outputs={"tracking": {"digest": "../../head.json"}}, parameters="none", metrics=None, tags=[1]),
        seeds.trial(6, {"metrics.jsonl": curve[:1_000_000]}),
        new_record(7, outputs="none", startedAt=7, finishedAt={}, code="x", name={"a": 1}),
    ]
    seeds.records(records)
    _spoil(seeds, records[2]["outputs"]["tracking"]["digest"])


def _numbers() -> object:
    return Array([float(number) for number in range(1000)], DataType.float64())


def _spoil(seeds: Seeds, digest: str) -> None:
    """One more trial whose manifest and blob have other bytes than their digests."""
    other = seeds.artifact({"a": b"right"})
    seeds.put(f"manifests/sha256/{other.removeprefix('sha256:')}.json", b'{"files":[],"v":1}')
    spoiled = seeds.trial(8, {"b": b"good"})
    sha256 = "770e607624d689265ca6c44884d0807d9b054d23c473c106c72be9de08b7376c"
    seeds.put(f"blobs/sha256/{sha256[:2]}/{sha256}", b"evil")
    for record in (spoiled, new_record(9, outputs={"tracking": {"digest": other}})):
        seeds.put(f"tracking/log/{record['number']:010d}.json", canonical(record))


def test_a_curve_of_a_million_points_is_reduced_and_says_so(reader: RunningReader) -> None:
    found = reader.get(f"{TRIALS}/uid-1.trial-1/curves").json

    assert found["downsampled"]["loss"]["points"] == POINTS
    assert len(found["curves"]["loss"]) == found["downsampled"]["loss"]["shown"] <= 1000
    assert {value for _, value, _ in found["curves"]["loss"]} >= {0.0, 999.0}


def test_other_requests_are_answered_while_a_long_curve_is_read(reader: RunningReader) -> None:
    with ThreadPoolExecutor() as pool:
        long = pool.submit(reader.get, f"{TRIALS}/uid-1.trial-1/curves?maxPoints=500")
        waits = []
        while not long.done():
            started = time.monotonic()
            assert reader.get("/healthz", None).status == 200
            waits.append(time.monotonic() - started)

    assert len(waits) > 3
    assert max(waits) < 2  # on a busy machine; without a thread it is the whole curve


def test_two_thousand_columns(reader: RunningReader) -> None:
    rows = reader.get(f"{VERSION}/rows?limit=5&columns=column_3&columns=column_1999&offset=995").json
    assert rows["items"][0] == {"column_3": 995.0, "column_1999": 995.0}
    assert (len(rows["items"]), rows["total"], rows["next"]) == (5, 1000, None)

    whole = reader.get(f"{VERSION}/rows?limit=100000").json
    assert whole["next"] == len(whole["items"])
    assert f"offset={whole['next']}" in whole["message"]


@pytest.mark.parametrize(
    ("path", "status", "reason"),
    [
        (f"{TRIALS}/uid-1.trial-2/log", 413, "TooLarge"),
        (f"{TRIALS}/uid-1.trial-3/log", 502, "StoredDataInvalid"),
        (f"{TRIALS}/uid-1.trial-4", 404, "NotFound"),
        (f"{TRIALS}/uid-1.trial-5", 502, "StoredDataInvalid"),
        (f"{TRIALS}/uid-1.trial-7/log", 404, "NotFound"),
        (f"{TRIALS}/uid-1.trial-8/files/b", 502, "StoredDataInvalid"),
        (f"{TRIALS}/uid-1.trial-9", 502, "StoredDataInvalid"),
        (f"{VERSION}/profile", 502, "StoredDataInvalid"),
        (f"{VERSION}/rows?split=test", 502, "StoredDataInvalid"),
        (f"{VERSION}/rows?columns=absent", 400, "BadRequest"),
        (f"{VERSION}/rows?split=validation", 404, "NotFound"),
        (f"{VERSION}x/rows", 404, "NotFound"),
        (f"{TRIALS}?limit=0", 400, "BadRequest"),
        (f"{TRIALS}?limit=1e3", 400, "BadRequest"),
        (f"{TRIALS}?limit=1&limit=2", 400, "BadRequest"),
        (f"{TRIALS}?limt=1", 400, "BadRequest"),
        (f"{TRIALS}?filter=x", 400, "BadFilter"),
        (f"{TRIALS}?experiment=a&pipeline=b", 400, "BadRequest"),
        (f"{TRIALS}/{quote(HOSTILE, safe='')}", 404, "NotFound"),
        (f"{TRIALS}/%2e%2e", 400, "BadRequest"),
        ("/v1/namespaces/Shop_/trials", 400, "BadRequest"),
        ("/v1/namespaces/shop/secrets", 404, "NotFound"),
        ("/v1/namespaces/shop/trials/" + "x" * 6000, 400, "BadRequest"),
        ("/v1/namespaces/shop/inferenceservices/a/predictions?from=yesterday", 400, "BadRequest"),
        ("/v1/namespaces/shop/inferenceservices/a/predictions?from=2020-01-01&to=2026-01-01", 400, "BadRequest"),
    ],
)
def test_is_an_error_with_a_sentence(reader: RunningReader, path: str, status: int, reason: str) -> None:
    response = reader.get(path)

    assert (response.status, response.reason) == (status, reason), response.body[:500]
    assert response.message


def test_hostile_names_are_json_and_files_are_no_pages(reader: RunningReader) -> None:
    item = next(item for item in reader.items() if item["trial"] == 3)
    assert item["tags"] == {HOSTILE: HOSTILE}
    found = reader.items("?orderBy=" + quote(f"metrics.`{HOSTILE}` DESC"))
    assert found[0]["trial"] == 3

    file = reader.get(f"{TRIALS}/uid-1.trial-3/files/{quote(HOSTILE, safe='')}")
    assert (file.status, file.body) == (200, b"x")
    assert file.headers["content-type"] == "application/octet-stream"
    assert file.headers["content-disposition"] == "attachment"
    assert file.headers["x-content-type-options"] == "nosniff"
    assert "sandbox" in file.headers["content-security-policy"]


def test_a_flood_is_told_that_the_reader_is_busy_and_memory_stays_bounded(reader: RunningReader) -> None:
    def fetch(number: int) -> Response:
        path = f"{TRIALS}/uid-1.trial-6/curves?maxPoints={100 + number}" if number % 10 == 0 else TRIALS
        return get(reader.port, path, {"Authorization": f"Bearer {TOKEN}"})

    with ThreadPoolExecutor(100) as pool:
        statuses = {response.status for response in pool.map(fetch, range(200))}

    assert statuses <= {200, 503}
    assert 200 in statuses
    assert reader.get(TRIALS).status == 200
    peak = next(line for line in Path(f"/proc/{reader.pid}/status").read_text().splitlines() if "VmHWM" in line)
    assert int(peak.split()[1]) < 256 << 10  # the limit of the chart
