"""The Jobs and the CronJob of a Dataset, whole."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from flywheel.core.pods.cron_job import cron_jobs
from flywheel.core.pods.fetch import Input
from flywheel.core.resource.ownership import with_owner
from flywheel.core.settings import Settings
from flywheel.kinds.dataset import children
from flywheel.kinds.dataset.children import Dataset, source_input
from flywheel.kinds.dataset.kind import KIND
from flywheel.kinds.dataset.schema.status import DatasetStatus, LastCheck
from tests.golden_files import same_as
from tests.simulation import NOON, resource

HERE = Path(__file__).parent
EXAMPLE = yaml.safe_load((HERE.parents[2] / "crds/examples/dataset.yaml").read_text())
PLACE = {"engine": "PostgreSQL", "host": "db.example", "database": "shop"}
SQL = {**PLACE, "secretName": "shop-db"}
CHECK = LastCheck(number=3, generation=2, request=None, tick=NOON, result="Running", retries=0)


def dataset(spec: dict[str, Any]) -> Dataset:
    found: Dataset = resource(KIND, "flights", spec, generation=2)
    return found


def test_the_check_of_the_example() -> None:
    flights = replace(dataset(EXAMPLE["spec"]), status=DatasetStatus.model_validate({"digest": "sha256:" + "d" * 64}))

    job = with_owner(flights, children.check_job(flights, CHECK, Settings()))

    assert same_as(HERE / "golden/check.yaml", job)


def test_the_ticker_of_the_example() -> None:
    flights = dataset(EXAMPLE["spec"])
    [found] = cron_jobs(flights, flights.spec.schedule, suspend=False)
    assert found is not None

    assert same_as(HERE / "golden/ticker.yaml", with_owner(flights, found))


def test_without_a_schedule_nothing_ticks() -> None:
    flights = dataset({"source": EXAMPLE["spec"]["source"]})

    assert cron_jobs(flights, flights.spec.schedule, suspend=False) == ()


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        pytest.param(
            {"s3": {"uri": "s3://flywheel/a.csv"}},
            Input("source", s3={"uri": "s3://flywheel/a.csv", "foreign": False}),
            id="the installation's store",
        ),
        pytest.param(
            {"s3": {"uri": "s3://acme/a.csv", "endpoint": "https://s3.example", "region": "eu", "secretName": "acme"}},
            Input(
                "source",
                s3={"uri": "s3://acme/a.csv", "endpoint": "https://s3.example", "region": "eu", "foreign": True},
                secret="acme",
            ),
            id="a foreign store",
        ),
        pytest.param(
            {"pvc": {"claimName": "lake", "path": "orders/"}},
            Input("source", volume="orders/", claim="lake"),
            id="a volume",
        ),
        pytest.param(
            {"http": {"url": "https://data.example/a.csv", "sha256": "1" * 64}},
            Input(
                "source",
                http={
                    "url": "https://data.example/a.csv",
                    "sha256": "1" * 64,
                    "allowedHosts": ["data.example"],
                },
            ),
            id="a web server",
        ),
        pytest.param(
            {"sql": SQL | {"table": "orders"}},
            Input(
                "source",
                sql={
                    **PLACE,
                    "table": "orders",
                    "tls": "Verify",
                    "timeoutSeconds": 600,
                    "secret": "shop-db",
                    "allowedHosts": ["data.example"],
                },
                secret="shop-db",
            ),
            id="a table of a database",
        ),
        pytest.param(
            {"sql": SQL | {"query": "SELECT 1", "port": 5433, "tls": "Disabled", "timeout": "2h", "maxRows": 5}},
            Input(
                "source",
                sql={
                    **PLACE,
                    "port": 5433,
                    "query": "SELECT 1",
                    "maxRows": 5,
                    "tls": "Disabled",
                    "timeoutSeconds": 7200,
                    "secret": "shop-db",
                    "allowedHosts": ["data.example"],
                },
                secret="shop-db",
            ),
            id="a query of a database",
        ),
    ],
)
def test_sources(source: dict[str, Any], expected: Input) -> None:
    spec = dataset({"source": source}).spec

    assert source_input(spec, Settings(allowed_http_hosts=("data.example",))) == expected


def test_the_rows_of_a_database_are_sorted_by_their_keys_and_ignored_columns_are_not_read() -> None:
    spec = {"source": {"sql": SQL | {"table": "orders"}}, "keys": ["id"], "ignore": ["note"]}
    orders = dataset(spec)

    assert children.check_params(orders)["sortByKeys"] is True
    assert (source_input(orders.spec, Settings()).sql or {})["ignore"] == ["note"]


def test_an_incremental_source_adds_to_the_snapshot_of_the_last_check() -> None:
    source = {"sql": SQL | {"table": "orders", "incremental": {"column": "changed", "overlap": "1h"}}}
    snapshot = "sha256:" + "e" * 64
    orders = dataset({"source": source, "keys": ["id"]})
    checked = replace(orders, status=DatasetStatus.model_validate({"snapshot": snapshot}))

    def inputs(of: Dataset) -> dict[str, Any]:
        pod = children.check_job(of, CHECK, Settings()).manifest["spec"]["template"]["spec"]
        [fetch] = [each for each in pod["initContainers"] if each["name"] == "fetch"]
        [told] = [each["value"] for each in fetch["env"] if each["name"] == "FLYWHEEL_FETCH"]
        return {each["name"]: each for each in json.loads(told)["inputs"]}

    assert list(inputs(orders)) == ["source"]
    assert inputs(checked)["snapshot"] == {"name": "snapshot", "artifact": snapshot, "optional": True}
    assert inputs(checked)["source"]["sql"]["incremental"] == {
        "column": "changed",
        "fullEverySeconds": 604800,
        "keys": ["id"],
    }
    assert children.check_params(orders)["incremental"] == {"column": "changed", "overlapSeconds": 3600}


@pytest.mark.parametrize(
    ("spec", "split"),
    [
        pytest.param({}, {}, id="nothing said: the step decides"),
        pytest.param({"eventTime": "day"}, {"by": "Time"}, id="with a time column the newest rows are the test"),
        pytest.param(
            {"split": {"by": "Random", "test": "20%"}},
            {"by": "Random", "validation": "15%", "test": "20%", "seed": 0},
            id="what is said is said",
        ),
    ],
)
def test_the_split_in_the_parameters_of_a_check(spec: dict[str, Any], split: dict[str, Any]) -> None:
    assert children.check_params(dataset({"source": EXAMPLE["spec"]["source"], **spec}))["split"] == split
