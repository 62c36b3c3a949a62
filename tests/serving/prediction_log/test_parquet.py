"""The Parquet file has every value, type and missing output of the messages, and no private value."""

import hashlib
import hmac
import json
import math
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pytest

from flywheel_serving.infer.requests import Assignment
from flywheel_serving.model.datatypes import DTYPES, Array
from flywheel_serving.model.signature import Signature, TensorSpec
from flywheel_serving.prediction_log.batches import BatchEncoder, LoggedRequest
from flywheel_serving.prediction_log.config import ColumnRule, LogConfig
from flywheel_serving.prediction_log.schema import row_schema
from flywheel_serving.prediction_log.sink.parquet import ParquetEncoder
from tests.serving.prediction_log.log_store import SOURCE, Row

NUMBERS = [name for name in DTYPES if name != "BYTES"]
SIGNATURE = Signature(
    (
        *(TensorSpec(name.lower(), name, (-1, 1)) for name in NUMBERS),
        TensorSpec("text", "BYTES", (-1, 1)),
        TensorSpec("words", "BYTES", (-1, 2)),
        TensorSpec("wide", "FP32", (-1, 3)),
        TensorSpec("long", "INT64", (-1, -1)),
    ),
    (TensorSpec("label", "BYTES", (-1,)), TensorSpec("scores", "FP32", (-1, 2))),
)
KEY = b"a key of thirty-two random bytes"


def answer(request_id: str, values: list[int], length: int = 2, outputs: tuple[str, ...] = ("label", "scores"), **changed: Any) -> LoggedRequest:  # fmt: skip
    """A request with a row for each of `values`."""
    rows = len(values)
    feeds: dict[str, Array] = {name.lower(): np.array(values).astype(DTYPES[name]).reshape(rows, 1) for name in NUMBERS}
    feeds["text"] = np.array([f"t{value}" for value in values], object).reshape(rows, 1)
    feeds["words"] = np.array([f"w{value}" for value in np.repeat(values, 2)], object).reshape(rows, 2)
    feeds["wide"] = (np.array(values).reshape(rows, 1) + np.arange(3)).astype(np.float32)
    feeds["long"] = np.array(values).reshape(rows, 1) * np.ones((1, length), np.int64)
    given: dict[str, Array] = {
        "label": np.array([f"l{value}" for value in values], object),
        "scores": np.array([[value, -value] for value in values], np.float32),
    }
    config_json: dict[str, Any] = {"id": request_id, "time_us": 1_700_000_000_000_000, "latency_seconds": 0.25, "version": "v1", "route": "champion", "row_keys": None}  # fmt: skip
    return LoggedRequest(
        feeds=feeds, outputs={name: given[name] for name in outputs}, rows=rows, **config_json | changed
    )


def write_and_read(folder: Path, *groups: list[LoggedRequest], **rules: Any) -> list[Row]:
    """Encodes each group as one message and all of them as one file; the rows, read by DuckDB."""
    order = LogConfig(**{"sample": 1, "service": "s", "namespace": "n", "digest": "sha256:1", **rules})
    found = row_schema(SIGNATURE, order)
    packer = BatchEncoder(found)
    frames = [packer.encode(packer.shape(group[0]), group)[4:] for group in groups]
    file = folder / "rows.parquet"
    file.write_bytes(ParquetEncoder(order, found, "v1", KEY).encode(frames))
    cursor = duckdb.connect().execute(f"SELECT * REPLACE (epoch_us(time) AS time) FROM {SOURCE}", [[str(file)]])
    names = [column[0] for column in cursor.description or []]
    return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def test_every_datatype_is_returned(tmp_path: Path) -> None:
    [row] = write_and_read(tmp_path, [answer("r", [1])])

    features = row["features"]
    assert [features[name.lower()] for name in NUMBERS] == [1] * len(NUMBERS)
    assert (features["text"], features["words"], features["wide"], features["long"]) == ("t1", ["w1", "w1"], [1, 2, 3], [1, 1])  # fmt: skip
    assert row["outputs"] == {"label": "l1", "scores": [1.0, -1.0]}
    assert (row["id"], row["row"], row["time"], row["version"], row["digest"], row["latency_seconds"], row["route"]) == (
        "r", 0, 1_700_000_000_000_000, "v1", "sha256:1", 0.25, "champion",
    )  # fmt: skip


def test_rows_of_several_requests_keep_their_order(tmp_path: Path) -> None:
    rows = write_and_read(tmp_path, [answer("a", [1]), answer("b", [2])], [answer("c", [3, 4, 5])])

    assert [(row["id"], row["row"], row["features"]["fp32"], row["features"]["wide"][0]) for row in rows] == [
        ("a", 0, 1, 1), ("b", 0, 2, 2), ("c", 0, 3, 3), ("c", 1, 4, 4), ("c", 2, 5, 5),
    ]  # fmt: skip


def test_lists_may_have_another_length_in_each_request(tmp_path: Path) -> None:
    rows = write_and_read(
        tmp_path, [answer("a", [1, 2], length=1)], [answer("b", [3], length=4)], [answer("c", [9], length=0)]
    )

    assert [row["features"]["long"] for row in rows] == [[1], [2], [3, 3, 3, 3], []]


def test_requests_of_one_shape_share_a_batch() -> None:
    packer = BatchEncoder(row_schema(SIGNATURE, LogConfig(sample=1, service="s", namespace="n")))
    shapes = [packer.shape(each) for each in (answer("a", [1]), answer("b", [7]), answer("c", [1, 2]), answer("d", [1], length=3), answer("e", [1], outputs=("label",)))]  # fmt: skip

    assert len(set(shapes)) == 4
    assert shapes[0] == shapes[1]


def test_the_arm_of_an_ab_test_has_columns_where_a_file_has_such_rows_and_its_unit_is_hashed(tmp_path: Path) -> None:
    tested = answer("a", [1, 2], assignment=Assignment("t1", "0" * 32, "Challenger"))
    left_out = answer("b", [3], assignment=Assignment("t1"))
    rows = write_and_read(tmp_path, [tested], [left_out], [answer("c", [4])])

    unit = hmac.new(KEY, b"0" * 32, hashlib.sha256).hexdigest()[:32]
    found = [(row["id"], row["test"], row["unit"], row["arm"]) for row in rows]
    assert found == [("a", "t1", unit, "Challenger")] * 2 + [("b", "t1", None, None), ("c", None, None, None)]
    assert "test" not in write_and_read(tmp_path, [answer("c", [4])])[0]


def test_an_output_that_was_not_requested_is_null(tmp_path: Path) -> None:
    rows = write_and_read(tmp_path, [answer("a", [1], outputs=("scores",))], [answer("b", [2], outputs=("label",))])

    assert rows[0]["outputs"]["label"] is None
    assert rows[1]["outputs"]["label"] == "l2"
    assert not rows[1]["outputs"]["scores"]


def test_nan_stays_nan(tmp_path: Path) -> None:
    given = answer("a", [1])
    given.feeds["fp32"] = np.array([[math.nan]], np.float32)

    [row] = write_and_read(tmp_path, [given])

    assert math.isnan(row["features"]["fp32"])


def test_a_file_says_what_is_held_back(tmp_path: Path) -> None:
    rules = (ColumnRule("text", "Drop"), ColumnRule("fp32", "Bucket", 5))
    write_and_read(tmp_path, [answer("a", [1])], columns=rules)

    metadata = duckdb.connect().execute(
        "SELECT value FROM parquet_kv_metadata($1) WHERE key = 'flywheel.columns'", [str(tmp_path / "rows.parquet")]
    )
    assert json.loads((metadata.fetchone() or ("",))[0]) == {
        "text": {"action": "Drop", "width": 0.0},
        "fp32": {"action": "Bucket", "width": 5},
    }


def test_rows_of_another_version_have_no_digest(tmp_path: Path) -> None:
    rows = write_and_read(tmp_path, [answer("a", [1]), answer("b", [1], version="v2", route="challenger")])

    assert [(row["version"], row["digest"], row["route"]) for row in rows] == [("v1", "sha256:1", "champion"), ("v2", None, "challenger")]  # fmt: skip


@pytest.mark.parametrize(
    ("keys", "found"),
    [
        pytest.param(["x", "y"], ["x", "y"], id="one for each row"),
        pytest.param(["x"], ["x", "x"], id="one for the request"),
        pytest.param(None, [None, None], id="none"),
    ],
)
def test_the_key_is_a_column_of_the_row(keys: list[str] | None, found: list[str | None], tmp_path: Path) -> None:
    rows = write_and_read(tmp_path, [answer("a", [1, 2], row_keys=keys)], key="flight_id")

    assert [row["key"] for row in rows] == found


def test_private_columns_are_dropped_hashed_or_put_into_buckets(tmp_path: Path) -> None:
    columns = (
        ColumnRule("words", "Drop"),
        ColumnRule("text", "Hmac"),
        ColumnRule("int64", "Hmac"),
        ColumnRule("fp32", "Bucket", 10.0),
    )
    rows = write_and_read(tmp_path, [answer("a", [7]), answer("b", [-7])], columns=columns, key="k", hmac_file="k")

    def hashed(text: str) -> str:
        return hmac.new(KEY, text.encode(), hashlib.sha256).hexdigest()[:32]

    assert "words" not in rows[0]["features"]
    assert [row["features"]["text"] for row in rows] == [hashed("t7"), hashed("t-7")]
    assert [row["features"]["int64"] for row in rows] == [hashed("7"), hashed("-7")]
    assert [row["features"]["fp32"] for row in rows] == [0.0, -10.0]
    content = (tmp_path / "rows.parquet").read_bytes()
    assert not [secret for secret in (b"t7", b"t-7", b"w7", KEY) if secret in content]


@pytest.mark.parametrize(("action", "found"), [("Hmac", True), ("Drop", False)])
def test_the_key_can_be_hashed_or_dropped(action: str, found: bool, tmp_path: Path) -> None:
    columns = (ColumnRule("k", action),)  # type: ignore[arg-type]
    [row] = write_and_read(tmp_path, [answer("a", [1], row_keys=["jane"])], key="k", columns=columns, hmac_file="k")

    assert (row["key"] is not None) is found
    assert row["key"] != "jane"


def test_equal_numbers_have_equal_hashes_and_nothing_has_none(tmp_path: Path) -> None:
    given = answer("a", [1, 2, 3])
    given.feeds["fp64"] = np.array([[5.0], [math.nan], [0.1]])
    given.feeds["int32"] = np.array([[5], [6], [7]], np.int32)
    columns = (ColumnRule("fp64", "Hmac"), ColumnRule("int32", "Hmac"))

    rows = write_and_read(tmp_path, [given], columns=columns, hmac_file="k")

    assert rows[0]["features"]["fp64"] == rows[0]["features"]["int32"]
    assert rows[1]["features"]["fp64"] is None
