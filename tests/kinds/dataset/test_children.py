"""The Jobs and the CronJob of a Dataset, whole."""

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
    ],
)
def test_sources(source: dict[str, Any], expected: Input) -> None:
    spec = dataset({"source": source}).spec

    assert source_input(spec, Settings(allowed_http_hosts=("data.example",))) == expected


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
