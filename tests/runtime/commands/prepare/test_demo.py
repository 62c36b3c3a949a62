"""The demo's pipeline prepares rows and no columns: what trains on them takes a raw flight, and has the test rows of the Dataset."""

import json
from pathlib import Path
from typing import Any

import duckdb
import pytest
import yaml

from demo import __main__ as demo
from demo import flights

pytestmark = pytest.mark.integration

FOLDER = Path(flights.__file__).parent
DATASET = yaml.safe_load((FOLDER / "1-dataset.yaml").read_text())["spec"]
PIPELINE = list(yaml.safe_load_all((FOLDER / "4-pipeline.yaml").read_text()))[1]["spec"]
# One flight of forty has every month, and takes a second to check.
SAMPLE = "COPY (SELECT * FROM '%s/*.csv.gz' WHERE hash(flight_id) %% 40 = 0 ORDER BY time_hour, flight_id) TO '%s' (FORMAT csv, HEADER true)"


@pytest.fixture(scope="module")
def raw_flights(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("flights")
    flights.write_flights(folder / "raw")
    duckdb.connect().execute(SAMPLE % (folder / "raw", folder / "flights.csv"))
    return (folder / "flights.csv").read_text()


def schema_of(folder: Path) -> dict[str, Any]:
    schema: dict[str, Any] = json.loads((folder / "schema.json").read_text())
    return schema


def test_the_pipeline_of_the_demo_makes_no_column_and_keeps_the_test_rows(
    run_check: Any, run_prepare: Any, raw_flights: str
) -> None:
    declared = {key: DATASET[key] for key in ("target", "keys", "eventTime", "split")}
    checked = run_check({"flights.csv": raw_flights}, **declared)

    sql = next(step["prepare"]["sql"] for step in PIPELINE["steps"] if "prepare" in step)
    [months] = [int(each["default"]) for each in PIPELINE["parameters"]]
    window = run_prepare({"flights": checked.data}, sql, months=months)

    assert (checked.code, window.code) == (0, 0)
    assert schema_of(window.data)["columns"] == schema_of(checked.data)["columns"]
    facts, before = window.output("facts.json"), checked.output("facts.json")
    assert facts["testDigest"] == before["testDigest"]
    assert facts["splits"]["train"] < before["splits"]["train"] / 2


def test_the_flight_that_the_demo_asks_about_has_the_columns_of_the_raw_data(raw_flights: str) -> None:
    columns = raw_flights.partition("\n")[0].split(",")

    assert list(demo.FLIGHT) == [each for each in columns if each not in ("flight_id", "time_hour", "late")]
