"""The report of an evaluation names values of slices for those who may read data, or where the data shows them anyway."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.reader.running_reader import RunningReader
from tests.reader.seeds import new_record

pytestmark = pytest.mark.integration
BASE = "/v1/namespaces/shop"
MEASURED = {"rows": 40, "metrics": {"roc_auc": 0.5}, "interval": None}
REPORT: dict[str, Any] = {
    "metric": "roc_auc",
    "whole": MEASURED,
    "slices": {"carrier": {"kind": "Category", "values": [{"value": "a value", **MEASURED}], "others": {"rows": 1}}},
    "worst": {"carrier": {"value": "a value", "metric": 0.5, "rows": 40}, "origin": None},
}
SHOWN = {**REPORT, "showsValues": True}


@pytest.fixture(scope="module", autouse=True)
def seeded(reader_process: RunningReader) -> Iterator[None]:
    seeds, steps, records = reader_process.seeds, [], []
    for number, (name, report) in enumerate(
        {"hidden": REPORT, "shown": SHOWN, "odd": {"slices": [1], "worst": 2}}.items()
    ):
        files = {"report.md": b"# a value", "partial_dependence.json": b'{"gridValues": ["a value"]}'}
        digest = seeds.artifact({"report.json": json.dumps(report).encode(), **files})
        steps.append({"name": name, "outputs": {"evaluation": digest}})
        outputs = {"evaluation": {"digest": digest}}
        records.append(
            new_record(number + 1, id=f"uid.{name}", kind="TrainingRun", name="run", step=name, outputs=outputs)
        )
    seeds.records(records)
    run = {"metadata": {"name": "run"}, "status": {"steps": steps}}
    reader_process.cluster.objects["trainingruns", "shop", "run"] = run
    yield
    reader_process.cluster.objects.clear()


@pytest.fixture(params=["a report of the step", "an output of the record"])
def path(request: pytest.FixtureRequest) -> str:
    """The path of a step's evaluation, as a template of step and file."""
    return {
        "a report of the step": "/trainingruns/run/steps/{step}/report?format={format}",
        "an output of the record": "/trials/uid.{step}/outputs/evaluation/report.{format}?run=run",
    }[str(request.param)]


def test_values_of_slices_need_read_data(reader: RunningReader, path: str) -> None:
    reader.cluster.tokens["token-of-vera"] = ("vera", "flywheel-reader")
    reader.cluster.rights["vera"] = {("get", "trainingruns", "shop", "run")}

    found = reader.get(BASE + path.format(step="hidden", format="json"), "token-of-vera")
    page = reader.get(BASE + path.format(step="hidden", format="md"), "token-of-vera")

    assert found.json["slices"]["carrier"]["values"] == [MEASURED]
    assert found.json["worst"] == {"carrier": {"metric": 0.5, "rows": 40}, "origin": {}}
    assert "read-data" in found.json["message"]
    assert b"a value" not in found.body + page.body
    assert (page.status, page.reason) == (403, "Forbidden")
    assert reader.get(BASE + path.format(step="shown", format="json"), "token-of-vera").json == SHOWN
    assert reader.get(BASE + path.format(step="shown", format="md"), "token-of-vera").body == b"# a value"
    assert reader.get(BASE + path.format(step="odd", format="json"), "token-of-vera").json["slices"] == {}


def test_who_may_read_data_gets_the_report_as_it_is(reader: RunningReader, path: str) -> None:
    assert reader.get(BASE + path.format(step="hidden", format="json")).json == REPORT
    assert reader.get(BASE + path.format(step="hidden", format="md")).body == b"# a value"


def test_values_of_a_partial_dependence_need_read_data(reader: RunningReader) -> None:
    path = f"{BASE}/trials/uid.{{step}}/outputs/evaluation/partial_dependence.json?run=run"
    reader.cluster.tokens["token-of-vera"] = ("vera", "flywheel-reader")
    reader.cluster.rights["vera"] = {("get", "trainingruns", "shop", "run")}

    refused = reader.get(path.format(step="hidden"), "token-of-vera")

    assert (refused.status, b"a value" in refused.body) == (403, False)
    assert b"partial_dependence.json names values of the columns" in refused.body
    assert b"a value" in reader.get(path.format(step="shown"), "token-of-vera").body
    assert b"a value" in reader.get(path.format(step="hidden")).body
