"""Bad Datasets are refused by the API server with a sentence of ours."""

from collections.abc import Callable
from subprocess import CompletedProcess
from typing import Any

import pytest
import yaml

pytestmark = pytest.mark.apiserver

S3 = {"s3": {"uri": "s3://acme/orders/"}}
HTTP = {"http": {"url": "https://data.example/orders.csv", "sha256": "0" * 64}}
SQL = {"engine": "PostgreSQL", "host": "db.example", "database": "shop", "secretName": "shop-db"}
TABLE = {"table": "orders"}
SCHEDULE = {"cron": "0 2 * * *"}


def manifest(spec: dict[str, Any]) -> str:
    return yaml.safe_dump(
        {"apiVersion": "flywheel.ml/v1alpha1", "kind": "Dataset", "metadata": {"name": "orders"}, "spec": spec}
    )


@pytest.mark.parametrize(
    ("spec", "sentence"),
    [
        pytest.param({"source": {**S3, **HTTP}}, "give exactly one of s3, pvc, http and sql", id="two sources"),
        pytest.param({"source": {}}, "give exactly one of s3, pvc, http and sql", id="no source"),
        pytest.param({"source": S3, "colour": "red"}, 'unknown field "spec.colour"', id="an unknown field"),
        pytest.param({"source": S3, "format": "XLS"}, 'supported values: "CSV", "Parquet", "JSONL"', id="a wrong enum"),
        pytest.param(
            {"source": HTTP, "schedule": SCHEDULE},
            "schedule is not supported for an http source, because its sha256 fixes the content",
            id="a schedule for what is fixed",
        ),
        pytest.param({"source": {"s3": {"uri": "acme/orders"}}}, "spec.source.s3.uri", id="no s3 address"),
        pytest.param(
            {"source": {"pvc": {"claimName": "data", "path": "a/../../etc"}}},
            "path must stay inside the volume",
            id="a path out of the volume",
        ),
        pytest.param(
            {"source": S3, "split": {"by": "Random", "validation": "60%", "test": "40%"}},
            "validation and test together must be less than 100%",
            id="nothing left to train on",
        ),
        pytest.param(
            {"source": S3, "split": {"by": "Random", "test": "100%"}}, "spec.split.test", id="a percent of a hundred"
        ),
        pytest.param(
            {"source": S3, "format": "Parquet", "csv": {"decimal": ","}},
            "csv describes CSV files; remove it, or set format: CSV",
            id="CSV options of Parquet",
        ),
        pytest.param(
            {"source": S3, "csv": {"decimal": ",", "thousands": ","}},
            "thousands must differ from decimal",
            id="one sign for two things",
        ),
        pytest.param({"source": S3, "csv": {"thousands": "."}}, "thousands must differ", id="the default decimal sign"),
        pytest.param(
            {"source": S3, "csv": {"delimiter": ";", "quote": ";"}}, "quote must differ", id="one character twice"
        ),
        pytest.param(
            {"source": S3, "csv": {"delimiter": "ab"}}, "spec.csv.delimiter", id="a delimiter of two characters"
        ),
        pytest.param(
            {"source": S3, "csv": {"dateFormat": "yyyy-mm-dd"}}, "spec.csv.dateFormat", id="a form of no date"
        ),
        pytest.param(
            {"source": S3, "csv": {"dateFormat": "%d.%Q.%Y"}},
            "spec.csv.dateFormat",
            id="a directive that DuckDB does not have",
        ),
        pytest.param(
            {"source": S3, "target": "late", "ignore": ["late"]},
            "ignore must not name the target, a key or eventTime",
            id="an ignored target",
        ),
        pytest.param(
            {"source": S3, "keys": ["id"], "ignore": ["id"]},
            "ignore must not name the target, a key or eventTime",
            id="an ignored key",
        ),
        pytest.param({"source": S3, "split": {"by": "Group"}}, "group is required with by: Group", id="no group"),
        pytest.param(
            {"source": S3, "split": {"by": "Time"}},
            "split.by: Time requires spec.eventTime",
            id="time without a column",
        ),
        pytest.param(
            {"source": S3, "columns": [{"name": "price", "min": "2", "max": "1"}]},
            "min must not be greater than max",
            id="an empty range",
        ),
        pytest.param(
            {"source": S3, "columns": [{"name": "price"}, {"name": "price"}]}, "Duplicate value", id="a column twice"
        ),
        pytest.param(
            {"source": {"s3": {"uri": "s3://acme/orders/", "endpoint": "https://s3.example"}}},
            "a store with its own endpoint needs secretName",
            id="a foreign store without a Secret",
        ),
        pytest.param(
            {"source": {"sql": SQL}, "keys": ["id"]},
            "give exactly one of table and query",
            id="neither table nor query",
        ),
        pytest.param({"source": {"sql": SQL | TABLE}}, "a sql source requires keys", id="rows without an order"),
        pytest.param(
            {"source": {"sql": SQL | TABLE}, "keys": ["id"], "format": "CSV"},
            "format and csv describe files",
            id="the format of a table",
        ),
        pytest.param(
            {"source": {"sql": SQL | TABLE | {"host": "a,b"}}, "keys": ["id"]}, "spec.source.sql.host", id="two hosts"
        ),
        pytest.param(
            {"source": {"sql": SQL | {"table": "a.b.c"}}, "keys": ["id"]}, "spec.source.sql.table", id="three names"
        ),
    ],
)
def test_refused(installed: Callable[..., CompletedProcess[str]], spec: dict[str, Any], sentence: str) -> None:
    done = installed("create", "--dry-run=server", "--validate=strict", "-f", "-", stdin=manifest(spec))

    assert done.returncode != 0
    assert sentence in done.stderr


def test_two_lines_are_enough_and_defaults_are_filled_in(installed: Callable[..., CompletedProcess[str]]) -> None:
    done = installed("create", "--dry-run=server", "-o", "yaml", "-f", "-", stdin=manifest({"source": S3}))

    spec = yaml.safe_load(done.stdout)["spec"]
    assert spec == {
        "source": S3,
        "retention": {"versions": 10},
        "showValues": False,
        "suspend": False,
        **{key: spec[key] for key in ("resources", "placement") if key in spec},
    }
