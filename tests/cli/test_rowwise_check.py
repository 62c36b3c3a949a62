"""`flywheel test` says whether features by SQL can be computed, or precisely why that is not known."""

from collections.abc import Mapping
from typing import Any

import pytest

from flywheel.cli.connection import Connection
from flywheel.cli.dry_run import rowwise_check
from flywheel.cli.dry_run.rowwise_check import check_rowwise
from flywheel.cli.dry_run.simulation import Simulation
from flywheel.client.errors import FlywheelError
from flywheel.core.resource.api import DATASET, Manifest, Reference
from flywheel.core.resource.kind import AnyResource
from flywheel.kinds.experiment.kind import KIND as EXPERIMENT
from flywheel.kinds.trainingpipeline.kind import KIND as PIPELINE
from tests.client.local_cluster import LocalCluster, Reply
from tests.simulation import resource

COLUMNS = {"dist": "Float", "sched": "Timestamp", "origin": "String", "late": "Integer"}


def experiment(**rowwise: str) -> AnyResource:
    return resource(EXPERIMENT, "delay", {"dataset": "flights", "trainer": {"sklearn": {}}, "rowwise": rowwise})


def pipeline(source: str) -> AnyResource:
    train = {"from": source, "trainer": {"sklearn": {}}, "rowwise": {"far": "dist > 1500"}}
    steps = [
        {"name": "rows", "prepare": {"from": ["flights"], "sql": "SELECT * FROM flights"}},
        {"name": "fit", "train": train},
    ]
    return resource(PIPELINE, "monthly", {"inputs": [{"name": "flights", "dataset": "flights"}], "steps": steps})


def lines(
    one: AnyResource, *, declared: Mapping[str, str] | None = None, profile: Mapping[str, str] | None = None
) -> list[str]:
    """What is printed where the Dataset's spec declares columns, and where its version has a profile."""

    def find_object(reference: Reference) -> Manifest | None:
        assert reference == Reference(DATASET, one.namespace, "flights")
        columns = [{"name": name, "type": kind} for name, kind in (declared or {}).items()]
        return {"spec": {"target": "late", "columns": [*columns, {"name": "seats"}]}}

    def read_profile(reference: Reference) -> Mapping[str, Any]:
        if profile is None:
            raise FlywheelError("there is no Dataset", reason="NotFound", status=404)
        return {"columns": {name: {"type": kind} for name, kind in profile.items()}}

    return [each.line() for each in check_rowwise(one, find_object, read_profile)]


@pytest.mark.integration
def test_expressions_are_compiled_over_the_columns_of_the_current_version() -> None:
    (line,) = lines(experiment(far="dist > 1500", night="hour(sched) < 6"), profile=COLUMNS)

    assert line.startswith(
        "-         rowwise of Experiment 'delay': 2 expressions compile into ONNX, bound by DuckDB 2."
    )


@pytest.mark.integration
def test_what_cannot_be_computed_is_refused_by_name_with_what_to_write() -> None:
    (line,) = lines(experiment(far="dst > 1500", random="random() * dist", known="late + 1"), profile=COLUMNS)

    assert line.startswith("refused   rowwise of Experiment 'delay': 'far': DuckDB: ")
    assert "'random': the function 'random' cannot be compiled: it has another value each time" in line


@pytest.mark.integration
def test_a_column_that_only_the_data_knows_leaves_its_expression_unchecked() -> None:
    found = lines(experiment(far="dist > 1500", full="dist / seats", dist="dist + 1"), declared=COLUMNS)

    assert found == [
        "refused   rowwise of Experiment 'delay': 'dist': the data has a column 'dist'; give the feature another name. docs/feature-functions.md lists what can be computed",
        "-         rowwise of Experiment 'delay': 'full' was not checked: it reads 'seats', whose type is unknown: spec.columns of Dataset 'flights' does not say it, and it has no version yet",
    ]


@pytest.mark.integration
def test_an_expression_that_reads_the_target_is_refused() -> None:
    (refused, unchecked) = lines(experiment(leak="late * 2", full="dist / seats"), declared=COLUMNS)

    assert "'leak': it reads the target 'late', which callers do not know" in refused
    assert "'full' was not checked" in unchecked


def test_without_any_column_nothing_is_checked() -> None:
    assert lines(experiment(far="dist > 1500")) == [
        "-         rowwise of Experiment 'delay': was not checked: the columns of Dataset 'flights' are unknown: spec.columns has no types, and it has no version yet"
    ]


def test_a_missing_package_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rowwise_check, "NEEDED", ("flywheel_runtime", "no_such_package"))

    (line,) = lines(experiment(far="dist > 1500"), profile=COLUMNS)

    assert line.endswith(
        "was not checked: that needs the package 'no_such_package', which is not installed; "
        "install the extra 'features', in a checkout of Flywheel with: pip install '.[features]'"
    )


def test_the_columns_that_a_step_makes_are_known_to_a_run_alone() -> None:
    assert lines(pipeline("rows")) == [
        "-         rowwise of step 'fit' of TrainingPipeline 'monthly': was not checked: its columns are those that 'rows' leaves, which only a run knows"
    ]


@pytest.mark.integration
def test_a_step_that_trains_on_a_dataset_is_checked_as_an_experiment_is() -> None:
    (line,) = lines(pipeline("flights"), profile=COLUMNS)

    assert "rowwise of step 'fit' of TrainingPipeline 'monthly': 1 expression compiles into ONNX" in line


def test_a_resource_without_expressions_has_no_line() -> None:
    assert lines(experiment()) == []


def test_the_reader_gives_the_columns_of_the_version_that_is_live(
    cluster: LocalCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rowwise_check, "NEEDED", ("no_such_package",))
    written = {"uid": "1", "generation": 1, "creationTimestamp": "2026-11-01T00:00:00Z"}
    cluster.add("datasets", {"metadata": {"name": "flights"}, "spec": {}, "status": {"version": "flights-1"}})
    cluster.reader["/v1/namespaces/shop/datasets/flights/versions/flights-1/profile"] = Reply({"columns": {}})
    spec = {"dataset": "flights", "trainer": {"sklearn": {}}, "rowwise": {"far": "dist > 1500"}}
    manifest = {"apiVersion": "flywheel.ml/v1alpha1", "kind": "Experiment", "metadata": {"name": "delay", **written}}

    results = Simulation(Connection(cluster.client(), "shop"), [{**manifest, "spec": spec}]).results()

    assert "needs the package 'no_such_package'" in next(each.line() for each in results if "rowwise" in each.subject)
