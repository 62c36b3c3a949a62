"""Plan, score and finish: what goes in comes out once, with the answers that the server gives online."""

import http.client
import json
from typing import Any

import duckdb
import pytest

from flywheel_runtime.contract.paths import Paths
from flywheel_runtime.store.s3 import Bucket
from tests.runtime.commands.batch.batch_pods import BatchPods
from tests.runtime.pods import golden

pytestmark = pytest.mark.integration
ROWS = [
    {"id": f"f{n}", "month": n % 12 + 1, "wind": n / 7, "carrier": ("UA", "DL", "ÅÄ", "")[n % 4]} for n in range(1, 501)
]
CSV = "id,month,wind,carrier\n" + "".join(f"{r['id']},{r['month']},{r['wind']!r},{r['carrier']}\n" for r in ROWS)
JSONL = "".join(json.dumps(row) + "\n" for row in ROWS)


def online(pods: BatchPods, rows: list[dict[str, Any]]) -> list[list[float]]:
    """What a client gets who sends these rows as JSON."""
    inputs = [
        {"name": name, "datatype": kind, "shape": [len(rows), 1], "data": [row[name] for row in rows]}
        for name, kind in (("month", "FP32"), ("wind", "FP32"), ("carrier", "BYTES"))
    ]
    connection = http.client.HTTPConnection(pods.server)
    connection.request("POST", "/v2/models/late/infer", json.dumps({"inputs": inputs}))
    answer = json.loads(connection.getresponse().read())
    connection.close()
    found = {each["name"]: each["data"] for each in answer["outputs"]}["probabilities"]
    return [found[at : at + 2] for at in range(0, len(found), 2)]


def scored(pods: BatchPods) -> list[dict[str, Any]]:
    """The output's rows, in the order of the parts that the manifest names."""
    parts = [pods.get("out/" + each["path"]).decode() for each in pods.document()["files"]]
    return [json.loads(line) for part in parts for line in part.splitlines()]


@pytest.mark.parametrize(("name", "content"), [("rows.csv", CSV), ("rows.jsonl", JSONL)])
def test_batch_equals_online(pods: BatchPods, name: str, content: str) -> None:
    pods.put(f"in/{name}", content)

    told = pods.whole(output={"include": ["id"], "prediction": "Probability"}, shards=3)

    found = scored(pods)
    assert told["metrics"] == {"rows": 500.0, "errors": 0.0}
    assert [row["id"] for row in found] == [row["id"] for row in ROWS]
    assert [[row["probability_0"], row["probability_1"]] for row in found] == online(pods, ROWS)
    assert pods.planned["facts"]["shards"] == 3


@pytest.mark.parametrize("kind", ["CSV", "JSONL", "Parquet"])
def test_each_format_goes_out(pods: BatchPods, kind: str) -> None:
    pods.put("in/rows.csv", CSV)

    pods.whole(output={"format": kind, "include": ["id"]})

    (part,) = pods.document()["files"]
    path = pods.folder / "part"
    path.write_bytes(pods.get("out/" + part["path"]))
    reader = {"CSV": "read_csv", "JSONL": "read_json", "Parquet": "read_parquet"}[kind]
    options = ", format = 'newline_delimited'" if kind == "JSONL" else ""
    first = duckdb.sql(f"SELECT id, label, probability_1::FLOAT FROM {reader}('{path}'{options})").fetchall()
    wanted = [(row["id"], int(late >= 0.5)) for row, (_, late) in zip(ROWS, online(pods, ROWS), strict=True)]
    assert [(name, label) for name, label, _ in first] == wanted


def test_each_step_reports_as_its_golden_message(pods: BatchPods) -> None:
    pods.put("in/rows.csv", CSV)
    told = {"planned": pods.plan(), "scored": pods.score_all()[0], "finished": pods.step("finish")[1]}

    for name, message in told.items():
        wanted = golden(f"main_batch_{name}")["message"]
        assert list(message) == list(wanted)
        assert [list(message[part]) for part in ("metrics", "facts")] == [
            list(wanted[part]) for part in ("metrics", "facts")
        ]


def parquet(pods: BatchPods, rows: int) -> bytes:
    """Rows of every type, in row groups of 2,048."""
    path = pods.folder / "rows.parquet"
    duckdb.sql(
        f"COPY (SELECT i AS id, (i % 12 + 1)::TINYINT AS month, (i / 7)::DOUBLE AS wind, ['UA', 'DL', NULL][i % 3 + 1] AS carrier, "
        "TIMESTAMP '2026-01-01' + i * INTERVAL 1 SECOND AS at, (i / 100)::DECIMAL(9, 2) AS price, [i, NULL] AS list, i % 2 = 0 AS even, "
        f"CASE WHEN i % 5 = 0 THEN 'nan'::DOUBLE ELSE i END AS gaps FROM range(1, {rows + 1}) t(i)) "
        f"TO '{path}' (FORMAT parquet, ROW_GROUP_SIZE 2048)"
    )
    return path.read_bytes()


def test_parquet_is_cut_at_row_groups_and_keeps_its_types(pods: BatchPods) -> None:
    pods.put("in/rows.parquet", parquet(pods, 10_000))
    kept = ["id", "at", "price", "list", "even", "gaps", "month"]

    told = pods.whole(output={"include": kept, "format": "Parquet", "prediction": "Class"}, shards=4)

    parts = []
    for number, each in enumerate(pods.document()["files"]):
        path = pods.folder / f"{number}.parquet"
        path.write_bytes(pods.get("out/" + each["path"]))
        parts.append(str(path))
    names = ", ".join(f'"{name}"' for name in kept)
    before = duckdb.sql(f"SELECT {names} FROM '{pods.folder}/rows.parquet' ORDER BY id")
    after = duckdb.sql(f"SELECT * EXCLUDE (prediction) FROM read_parquet({parts!r}) ORDER BY id")
    assert (told["metrics"]["rows"], len(parts)) == (10_000, 4)
    assert after.types == before.types
    assert repr(after.fetchall()) == repr(before.fetchall())  # a NaN is none other's equal


def test_of_parquet_only_what_is_wanted_is_brought(pods: BatchPods, monkeypatch: pytest.MonkeyPatch) -> None:
    content = parquet(pods, 50_000)
    pods.put("in/rows.parquet", content)
    pods.plan(shards=20)
    brought = []
    part = Bucket.read_range

    def counted(self: Bucket, key: str, start: int, stop: int, etag: str) -> bytes:
        brought.append(stop - start)
        return part(self, key, start, stop, etag)

    monkeypatch.setattr(Bucket, "read_range", counted)
    pods.step("score", 3)

    assert sum(brought) < len(content) / 5


def test_files_on_a_volume_are_scored(pods: BatchPods, monkeypatch: pytest.MonkeyPatch) -> None:
    claim = pods.folder / "claim" / "day"
    claim.mkdir(parents=True)
    (claim / "b.csv").write_text(CSV)
    (claim / "a.csv").write_text("id,month,wind,carrier\nfirst,1,2,UA\n")
    monkeypatch.setattr(Paths, "volumes", property(lambda _places: pods.folder / "volumes"))
    (pods.folder / "volumes").mkdir()
    (pods.folder / "volumes" / "source").symlink_to(pods.folder / "claim")
    pods.params["input"] = {"volume": {"path": "day"}}

    pods.whole(output={"include": ["id"]}, shards=2)

    assert [row["id"] for row in scored(pods)] == ["first", *(row["id"] for row in ROWS)]


def test_the_same_input_gives_the_same_plan_and_the_same_bytes(pods: BatchPods) -> None:
    pods.put("in/rows.csv", CSV)
    first = pods.whole(output={"format": "Parquet"}, shards=2) and pods.document()
    for key in pods.written():
        pods.bucket.delete(f"shop/out/{key}")

    again = pods.whole(output={"format": "Parquet"}, shards=2) and pods.document()

    assert again == first
