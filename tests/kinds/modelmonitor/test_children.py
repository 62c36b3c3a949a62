"""The Job of a ModelMonitor, whole, and its configuration."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from flywheel.core.pods.cron_job import cron_jobs
from flywheel.core.resource.ownership import with_owner
from flywheel.core.resource.plan import Child
from flywheel.core.resource.values import Digest
from flywheel.core.settings import Settings
from flywheel.kinds.modelmonitor import children
from flywheel.kinds.modelmonitor.children import ModelMonitor
from flywheel.kinds.modelmonitor.gauges import GAUGES
from flywheel.kinds.modelmonitor.kind import KIND
from flywheel.kinds.modelmonitor.preview import preview
from flywheel.kinds.modelmonitor.schema.status import ModelMonitorStatus, Run
from tests.golden_files import same_as
from tests.kinds.modelmonitor.situations import DRIFT, Monitor, at
from tests.pod_security import violations
from tests.simulation import resource

HERE = Path(__file__).parent
EXAMPLE = yaml.safe_load((HERE.parents[2] / "crds/examples/modelmonitor.yaml").read_text())
CONTRACT = json.loads((HERE.parents[2] / "tests/contracts/config/monitor.json").read_text())
RUN = Run.model_validate(
    {"number": 3, "from": at(17, day=31), "until": at(18, day=31), "result": "Running", "retries": 0}
)
VERSIONS = {each["name"]: Digest(each["digest"]) for each in CONTRACT["versions"]}
SIGNALS_ON_REQUEST = ("estimatedPerformance", "groundTruth", "performance", "service", "fairness")


def monitor(spec: dict[str, Any], **more: Any) -> ModelMonitor:
    found: ModelMonitor = resource(KIND, "flight-delay", spec, **more)
    return found


def test_the_children_of_the_example() -> None:
    status = ModelMonitorStatus.model_validate({"state": {"digest": "sha256:" + "c" * 64}})
    flights = replace(monitor(EXAMPLE["spec"]), status=status)
    [ticks] = cron_jobs(flights, flights.spec.schedule, suspend=False)

    job = with_owner(flights, children.monitor_job(flights, RUN, VERSIONS, Settings()))

    assert same_as(HERE / "golden/children.yaml", with_owner(flights, ticks), job)


def test_the_parameters_of_the_example_are_the_contract_s() -> None:
    shown = monitor(EXAMPLE["spec"], namespace="shop")
    found = children.monitor_params(shown, RUN, VERSIONS, ["flight-delay-88b2d0"])

    assert found == {**CONTRACT, "versions": sorted(CONTRACT["versions"], key=lambda each: str(each["name"]))}


def test_a_name_is_enough() -> None:
    unlabelled = {name: each for name, each in EXAMPLE["spec"].items() if name not in SIGNALS_ON_REQUEST}
    short, long = monitor({"inferenceService": "flight-delay"}), monitor(unlabelled)

    assert short.spec == long.spec


def test_labels_of_a_dataset_are_fetched_with_the_rows_of_all_windows_that_are_open() -> None:
    truth = {"dataset": "arrivals", "key": "flight", "column": "late", "delay": {"min": "1h", "max": "2h"}}
    labelled = monitor({"inferenceService": "flight-delay", "groundTruth": truth, "performance": {"metric": "brier"}})

    job = children.monitor_job(labelled, RUN, VERSIONS, Settings(), Digest("sha256:" + "d" * 64))

    [fetch] = [each for each in job.manifest["spec"]["template"]["spec"]["initContainers"] if each["name"] == "fetch"]
    environment = {each["name"]: each.get("value") for each in fetch["env"]}
    inputs = {each["name"]: each for each in json.loads(environment["FLYWHEEL_FETCH"])["inputs"]}
    assert inputs["rows"]["folder"]["parts"] == [f"dt=2026-01-31/hour={hour}/" for hour in (14, 15, 16, 17)]
    assert inputs["dataset"]["files"] == ["train.parquet", "validation.parquet", "test.parquet"]
    assert "labels" not in inputs
    found = children.monitor_params(labelled, RUN, VERSIONS)
    assert found["groundTruth"] == {
        "key": "flight",
        "column": "late",
        "minDelaySeconds": 3_600,
        "maxDelaySeconds": 7_200,
    }
    assert found["signals"]["performance"] == {"metric": "brier", "maxDrop": "0.03"}


def test_the_probability_of_drawn_rows_is_a_column_of_the_dataset() -> None:
    truth = {"dataset": "arrivals", "key": "flight", "column": "late", "probability": "chance"}
    labelled = monitor({"inferenceService": "flight-delay", "groundTruth": truth, "performance": {"metric": "brier"}})

    assert children.monitor_params(labelled, RUN, VERSIONS)["groundTruth"]["probability"] == "chance"


@pytest.mark.parametrize(
    ("waiting", "first_hour", "retry"),
    [pytest.param(0, 14, None, id="all are tested"), pytest.param(3, 14, 86_400, id="some wait for their labels")],
)
def test_windows_that_wait_for_labels_have_their_rows(waiting: int, first_hour: int, retry: int | None) -> None:
    spec = {
        "inferenceService": "flight-delay",
        "groundTruth": {"delay": {"max": "2h"}},
        "performance": {"metric": "brier"},
    }
    status = ModelMonitorStatus.model_validate({"labelWindows": {"waiting": waiting, "untested": 1}})
    waits = replace(monitor(spec), status=status)

    parts = fetched(children.monitor_job(waits, RUN, VERSIONS, Settings()))["rows"]["folder"]["parts"]

    assert parts[0] == f"dt=2026-01-3{0 if retry else 1}/hour={first_hour}/"
    assert children.monitor_params(waits, RUN, VERSIONS)["groundTruth"].get("retrySeconds") == retry


def test_fairness_without_labels_has_the_rows_of_its_windows_alone() -> None:
    fairness = {"by": ["sex"], "measure": "demographic_parity_difference", "maxGap": "0.2", "positive": "yes"}
    fair = monitor({"inferenceService": "flight-delay", "fairness": fairness})

    inputs = fetched(children.monitor_job(fair, RUN, VERSIONS, Settings(), counts_rows=True))

    assert inputs["rows"]["folder"]["parts"] == ["dt=2026-01-31/hour=16/", "dt=2026-01-31/hour=17/"]
    assert "labels" not in inputs
    found = children.monitor_params(fair, RUN, VERSIONS)
    assert found["signals"]["fairness"] == fairness
    assert "groundTruth" not in found


def fetched(job: Child) -> dict[str, Any]:
    """The inputs of fetch, by name."""
    [fetch] = [each for each in job.manifest["spec"]["template"]["spec"]["initContainers"] if each["name"] == "fetch"]
    environment = {each["name"]: each.get("value") for each in fetch["env"]}
    return {each["name"]: each for each in json.loads(environment["FLYWHEEL_FETCH"])["inputs"]}


def test_the_preview_has_all_children_and_its_pods_are_restricted() -> None:
    found = [*preview(monitor(EXAMPLE["spec"]), Settings())]

    assert [each.api.kind for each in found] == ["CronJob", "Job"]
    assert violations(found[1].manifest["spec"]["template"]["spec"]) == []


@pytest.mark.parametrize(
    ("suspend", "expected"),
    [
        pytest.param(False, {"rows", "completeness", "condition", "tested_until_timestamp_seconds", "due_timestamp_seconds", "feature_psi"}, id="it runs"),
        pytest.param(True, {"rows", "completeness", "feature_psi"}, id="a suspended one claims nothing and is not late"),
    ],
)  # fmt: skip
def test_the_gauges(suspend: bool, expected: set[str]) -> None:
    found = Monitor().tick_and_run(DRIFT)
    found.patch_spec(suspend=suspend or None)
    found.settle()
    samples = {each.name.removeprefix("flywheel_monitor_"): dict(each.read(found.resource)) for each in GAUGES}

    assert {name for name, values in samples.items() if values} == expected
    assert samples["rows"] == {(): 12408.0}
    if not suspend:
        assert samples["condition"] == {("DataHealthy",): 1.0, ("NoDrift",): 0.0}


def test_the_method_is_named_where_it_is_not_the_default() -> None:
    fixed, default = Monitor(method="Fixed"), Monitor()
    for each in (fixed, default):
        each.add_tick("drift-1")
        each.settle()

    assert fixed.params(1)["method"] == "Fixed"
    assert "method" not in default.params(1)


def test_a_seasonal_reference_is_asked_for() -> None:
    seasonal, default = Monitor(reference={"seasonal": "HourOfWeek"}), Monitor()
    for each in (seasonal, default):
        each.add_tick("drift-1")
        each.settle()

    assert seasonal.params(1)["reference"] == {"seasonal": "HourOfWeek"}
    assert "reference" not in default.params(1)
