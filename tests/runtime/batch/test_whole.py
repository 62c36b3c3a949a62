"""Plan, score and finish: what goes in comes out once, with the answers that the server gives online."""

import http.client
import json
from typing import Any

import duckdb
import pytest

from tests.runtime.batch.world import World

pytestmark = pytest.mark.integration
ROWS = [
    {"id": f"f{n}", "month": n % 12 + 1, "wind": n / 7, "carrier": ("UA", "DL", "ÅÄ", "")[n % 4]} for n in range(1, 501)
]
CSV = "id,month,wind,carrier\n" + "".join(f"{r['id']},{r['month']},{r['wind']!r},{r['carrier']}\n" for r in ROWS)
JSONL = "".join(json.dumps(row) + "\n" for row in ROWS)


def online(world: World, rows: list[dict[str, Any]]) -> list[list[float]]:
    """What a client gets who sends these rows as JSON."""
    inputs = [
        {"name": name, "datatype": kind, "shape": [len(rows), 1], "data": [row[name] for row in rows]}
        for name, kind in (("month", "FP32"), ("wind", "FP32"), ("carrier", "BYTES"))
    ]
    connection = http.client.HTTPConnection(world.server)
    connection.request("POST", "/v2/models/late/infer", json.dumps({"inputs": inputs}))
    answer = json.loads(connection.getresponse().read())
    connection.close()
    found = {each["name"]: each["data"] for each in answer["outputs"]}["probabilities"]
    return [found[at : at + 2] for at in range(0, len(found), 2)]


def scored(world: World) -> list[dict[str, Any]]:
    """The output's rows, in the order of the parts that the manifest names."""
    parts = [world.get("out/" + each["path"]).decode() for each in world.document()["files"]]
    return [json.loads(line) for part in parts for line in part.splitlines()]


@pytest.mark.parametrize(("name", "content"), [("rows.csv", CSV), ("rows.jsonl", JSONL)])
def test_batch_equals_online(world: World, name: str, content: str) -> None:
    world.put(f"in/{name}", content)

    told = world.whole(output={"include": ["id"], "prediction": "Probability"}, shards=3)

    found = scored(world)
    assert told["metrics"] == {"rows": 500.0, "errors": 0.0}
    assert [row["id"] for row in found] == [row["id"] for row in ROWS]
    assert [[row["probability_0"], row["probability_1"]] for row in found] == online(world, ROWS)
    assert world.planned["facts"]["shards"] == 3


@pytest.mark.parametrize("kind", ["CSV", "JSONL", "Parquet"])
def test_each_format_goes_out(world: World, kind: str) -> None:
    world.put("in/rows.csv", CSV)

    world.whole(output={"format": kind, "include": ["id"]})

    (part,) = world.document()["files"]
    path = world.folder / "part"
    path.write_bytes(world.get("out/" + part["path"]))
    reader = {"CSV": "read_csv", "JSONL": "read_json", "Parquet": "read_parquet"}[kind]
    options = ", format = 'newline_delimited'" if kind == "JSONL" else ""
    first = duckdb.sql(f"SELECT id, label, probability_1::FLOAT FROM {reader}('{path}'{options})").fetchall()
    wanted = [(row["id"], int(late >= 0.5)) for row, (_, late) in zip(ROWS, online(world, ROWS), strict=True)]
    assert [(name, label) for name, label, _ in first] == wanted


def test_parquet_is_cut_at_row_groups(world: World) -> None:
    path = world.folder / "rows.parquet"
    world.folder.joinpath("rows.csv").write_text(CSV * 1)
    duckdb.sql(
        f"COPY (SELECT id, n::BIGINT AS month, wind::DOUBLE AS wind, coalesce(carrier, '') AS carrier "
        f"FROM (SELECT *, month AS n FROM read_csv('{world.folder}/rows.csv')), range(20)) "
        f"TO '{path}' (FORMAT parquet, ROW_GROUP_SIZE 2048)"
    )
    world.put("in/rows.parquet", path.read_bytes())

    told = world.whole(output={"include": ["id", "month"], "format": "Parquet"}, shards=4)

    assert told["metrics"]["rows"] == 10_000
    assert world.planned["facts"]["shards"] == 4
