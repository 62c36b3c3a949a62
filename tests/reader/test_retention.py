"""A record whose retention is over is shown while its object exists, and then by no path."""

import gzip
from collections.abc import Iterator

import pytest

from tests.reader.running_reader import RunningReader
from tests.reader.seeds import new_record

pytestmark = pytest.mark.integration
BASE = "/v1/namespaces/shop"
OVER = {"retention": "1h", "finishedAt": "2020-01-01T00:00:00Z"}
ALIVE, GONE = "uid-alive.trial-1", "uid-gone.trial-1"


@pytest.fixture(scope="module", autouse=True)
def seeded(reader_process: RunningReader) -> Iterator[None]:
    seeds = reader_process.seeds
    files = {"main.log.gz": gzip.compress(b"epoch 1"), "curve.txt": b"1"}
    report = {"evaluation": {"digest": seeds.artifact({"report.json": b"{}"})}}
    run = {"kind": "TrainingRun", "name": "nightly-1", "outputs": report, **OVER}
    seeds.records(
        [
            seeds.trial(1, files, id=ALIVE, uid="uid-alive", name="alive", **OVER),
            seeds.trial(2, files, id=GONE, uid="uid-gone", name="gone", **OVER),
            new_record(3, id="uid-run.evaluate", uid="uid-run", step="evaluate", **run),
        ]
    )
    alive = {"metadata": {"name": "alive", "uid": "uid-alive"}}
    reader_process.cluster.objects["experiments", "shop", "alive"] = alive
    yield
    reader_process.cluster.objects.clear()


@pytest.mark.parametrize("path", ["", "/log", "/curves", "/files/curve.txt"])
@pytest.mark.parametrize(("trial", "status"), [(ALIVE, 200), (GONE, 404)])
def test_a_trial_and_what_it_left_follow_its_retention(
    reader: RunningReader, trial: str, path: str, status: int
) -> None:
    assert reader.get(f"{BASE}/trials/{trial}{path}").status == status


@pytest.mark.parametrize(
    "path", ["trials/uid-run.evaluate/outputs/evaluation/report.json", "trainingruns/nightly-1/steps/evaluate/report"]
)
def test_the_evaluation_of_a_run_follows_the_retention_of_its_record(reader: RunningReader, path: str) -> None:
    assert reader.get(f"{BASE}/{path}").status == 404


def test_lists_have_the_same_trials(reader: RunningReader) -> None:
    assert [item["id"] for item in reader.items()] == [ALIVE]
