"""Rows of a Dataset as DataFrames: a whole split by its verified file, some rows by pages."""

import io
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import arro3.io
import duckdb
import pandas as pd
import pytest

from flywheel.client.errors import FlywheelError
from tests.client.local_cluster import Call, LocalCluster, Reply, artifact

VERSION = "/v1/namespaces/shop/datasets/flights/versions/flights-1"
AT = datetime(2026, 1, 31, 9, 30, tzinfo=UTC)


@cache
def parquet(count: int) -> bytes:
    """Rows of a whole number, one with missing values, a text and a timestamp, as the check of a Dataset writes them."""
    with TemporaryDirectory() as folder, duckdb.connect() as connection:
        connection.execute(
            "copy (select i as month, if(i % 2 = 1, null, i) as delay, if(i = 1, null, 'c' || i) as carrier,"
            f" timestamptz '2026-01-31T09:30:00Z' as at from range({count}) t(i)) to '{folder}/rows.parquet'"
        )
        return Path(folder, "rows.parquet").read_bytes()


def arrow(start: int, stop: int) -> bytes:
    stream = io.BytesIO()
    table = arro3.io.read_parquet(io.BytesIO(parquet(4))).read_all()
    arro3.io.write_ipc_stream(table.slice(start, stop - start), stream)
    return stream.getvalue()


@pytest.fixture
def flights(cluster: LocalCluster) -> LocalCluster:
    content = parquet(4)
    digest, entries = artifact({"train.parquet": content, "profile.json": b"{}"})
    status = {"version": "flights-1", "versions": [{"name": "flights-1", "digest": digest, "rows": 4}]}
    cluster.add("datasets", {"metadata": {"name": "flights", "namespace": "shop"}, "spec": {}, "status": status})
    cluster.reader |= {
        f"{VERSION}/files": Reply({"files": entries}),
        f"{VERSION}/files/train.parquet": Reply(content, is_file=True),
    }

    def rows(call: Call) -> Reply:
        query = dict(call.query)
        start = int(query["offset"])
        return Reply(arrow(start, min(4, start + min(2, int(query["limit"])))))

    cluster.reader[f"{VERSION}/rows"] = rows
    return cluster


def test_a_split_is_a_dataframe_with_its_types(flights: LocalCluster) -> None:
    found = flights.workspace().dataset("flights").to_pandas()

    assert found["month"].tolist() == [0, 1, 2, 3]
    assert str(found["month"].dtype) == "int64"
    assert found["delay"].isna().tolist() == [False, True, False, True]
    assert found["carrier"].isna().tolist() == [False, True, False, False]
    assert found["at"][0] == pd.Timestamp(AT)
    assert found.attrs == {"dataset": "flights", "version": "flights-1", "split": "train"}


def test_columns_are_chosen(flights: LocalCluster) -> None:
    assert list(flights.workspace().dataset("flights").to_pandas(columns=["carrier", "month"]).columns) == [
        "carrier",
        "month",
    ]


def test_a_column_that_does_not_exist_is_named(flights: LocalCluster) -> None:
    with pytest.raises(FlywheelError, match="the data has no column 'moth'; it has 'month'"):
        flights.workspace().dataset("flights").to_pandas(columns=["moth"])


@pytest.mark.parametrize(("limit", "pages"), [(1, 1), (3, 2), (10, 3)])
def test_some_rows_are_read_by_pages(flights: LocalCluster, limit: int, pages: int) -> None:
    found = flights.workspace().dataset("flights").to_pandas(limit=limit)

    assert found["month"].tolist() == list(range(min(limit, 4)))
    assert sum(call.path.endswith("/rows") for call in flights.calls) == pages


def test_other_bytes_are_not_read(flights: LocalCluster) -> None:
    flights.reader[f"{VERSION}/files/train.parquet"] = Reply(parquet(5), is_file=True)

    with pytest.raises(FlywheelError, match="does not have the SHA-256"):
        flights.workspace().dataset("flights").to_pandas()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        pytest.param({"split": "test"}, "has no split 'test'", id="a split"),
        pytest.param({"version": "flights-9"}, "Dataset 'flights' has no version 'flights-9'", id="a version"),
    ],
)
def test_what_does_not_exist_is_named(flights: LocalCluster, call: dict[str, Any], message: str) -> None:
    with pytest.raises(FlywheelError, match=message):
        flights.workspace().dataset("flights").to_pandas(**call)


def test_a_dataset_without_a_version_has_its_condition(cluster: LocalCluster) -> None:
    condition = {
        "type": "Ready",
        "status": "False",
        "reason": "SecretNotFound",
        "message": "Secret 's3' does not exist.",
    }
    cluster.add("datasets", {"metadata": {"name": "flights"}, "spec": {}, "status": {"conditions": [condition]}})

    with pytest.raises(
        FlywheelError, match=r"Dataset 'flights' has no version yet: Secret 's3' does not exist."
    ) as caught:
        cluster.workspace().dataset("flights").to_pandas()

    assert caught.value.condition["reason"] == "SecretNotFound"
