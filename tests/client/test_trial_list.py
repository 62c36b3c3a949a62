"""Trials: searched through the reader, as rows, as a DataFrame and in a notebook."""

import inspect
import math
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

import flywheel as fw
from flywheel.client.aio import AsyncWorkspace
from flywheel.client.errors import FlywheelError
from flywheel.client.transport.reader import PAGE_SIZE
from flywheel.client.trial_list import COLUMNS, short_reference
from flywheel.client.workspace import Workspace
from tests.client.local_cluster import READER, USER_TOKEN, Call, LocalCluster, Reply, reader_error
from tests.client.sample_records import record

TRIALS = "/v1/namespaces/shop/trials"
ONE = f"{TRIALS}/{record(1)['id']}"


def page(*records: dict[str, Any]) -> Reply:
    return Reply({"items": list(records), "total": len(records), "next": None})


def test_a_dataframe_has_parameters_metrics_dataset_and_revision(cluster: LocalCluster) -> None:
    cluster.reader[TRIALS] = page(record(1), record(2, tags={}, code=None, loggedParameters={"depth": 3}))

    table = cluster.workspace().experiments().to_pandas()

    assert list(table.columns) == [*COLUMNS, "metrics.roc_auc", "params.alpha", "params.depth", "tags.team"]
    assert table["metrics.roc_auc"].tolist() == [0.61, 0.62]
    assert table["dataset"].tolist() == ["flights", "flights"]
    assert table["revision"][0] == "9f8e7d6c"
    assert math.isnan(table["params.depth"][0])
    assert table["start_time"][0] == datetime(2026, 11, 28, 12, tzinfo=UTC)


def test_the_request_has_the_filter_the_order_and_the_token_of_the_user(cluster: LocalCluster) -> None:
    cluster.reader[TRIALS] = page()

    cluster.workspace().trials(
        "metrics.roc_auc > 0.7", ["metrics.roc_auc DESC", "attributes.name"], experiment="flight-delay"
    )

    call = cluster.calls[-1]
    assert call.path == READER + TRIALS
    assert dict(call.query) == {
        "filter": "metrics.roc_auc > 0.7",
        "orderBy": "metrics.roc_auc DESC, attributes.name",
        "experiment": "flight-delay",
        "limit": str(PAGE_SIZE),
    }
    assert call.headers["X-Flywheel-Authorization"] == f"Bearer {USER_TOKEN}"


def test_all_pages_are_read_up_to_the_limit(cluster: LocalCluster) -> None:
    def pages(call: Call) -> Reply:
        query = dict(call.query)
        start = int(query.get("page", "0"))
        count = int(query["limit"])
        items = [record(each) for each in range(start, start + count)]
        return Reply({"items": items, "total": 10_000, "next": str(start + count)})

    cluster.reader[TRIALS] = pages

    found = cluster.workspace().trials(limit=2500)

    assert [each["trial"] for each in found] == list(range(2500))
    assert [dict(call.query)["limit"] for call in cluster.calls] == ["1000", "1000", "500"]


def test_a_list_that_lacks_something_says_so(cluster: LocalCluster) -> None:
    cluster.reader[TRIALS] = Reply({"items": [], "next": None, "message": "the oldest 3 records are not searched"})

    with pytest.warns(UserWarning, match="the oldest 3 records"):
        cluster.workspace().trials()


def test_numbers_that_json_does_not_have_are_numbers(cluster: LocalCluster) -> None:
    cluster.reader[TRIALS] = page(record(1, metrics={"a": "NaN", "b": "-Infinity"}))

    (row,) = cluster.workspace().trials()

    assert math.isnan(row["metrics.a"])
    assert row["metrics.b"] == -math.inf


def test_a_notebook_shows_names_as_text(cluster: LocalCluster) -> None:
    cluster.reader[TRIALS] = page(record(1, name="<script>alert(1)</script>", tags={"<b>": "<i>"}))

    found = cluster.workspace().trials()

    assert "<script>" not in found._repr_html_()
    assert "<b>" not in found._repr_html_()
    assert "&lt;script&gt;" in found._repr_html_()
    assert found._mime_() == ("text/html", found._repr_html_())


def test_a_notebook_shows_the_first_rows_and_columns_and_how_many_there_are(cluster: LocalCluster) -> None:
    wide = {f"m{number:04}": number for number in range(2000)}
    cluster.reader[TRIALS] = page(*(record(number, metrics=wide) for number in range(100)))

    shown = cluster.workspace().trials()._repr_html_()

    assert "100 rows, 50 shown" in shown
    assert "2,026 columns, 40 shown" in shown
    assert shown.count("<tr>") == 51


@pytest.mark.parametrize("reference", [record(1)["id"], "flight-delay/1"])
def test_a_trial_is_found_by_id_and_by_number(cluster: LocalCluster, reference: str) -> None:
    cluster.reader |= {TRIALS: page(record(1)), ONE: Reply(record(1))}

    trial = cluster.workspace().trial(reference)

    assert trial.parameters == {"alpha": 0.1}
    assert trial.metrics == {"roc_auc": 0.61}
    assert "flight-delay" in trial._repr_html_()


def test_a_repeat_of_a_trial_has_a_reference_of_its_own(cluster: LocalCluster) -> None:
    cluster.reader[TRIALS] = page(record(7, repeat=2))

    trial = cluster.workspace().trial("flight-delay/7-r2")

    assert dict(cluster.calls[-1].query)["filter"] == "attributes.trial = 7 and attributes.repeat = 2"
    assert repr(trial) == "<Trial flight-delay/7-r2: Succeeded>"


@pytest.mark.parametrize(
    ("changed", "reference"),
    [
        ({"repeat": 1}, "flight-delay/7"),
        ({"kind": "TrainingRun", "name": "monthly", "step": "window", "trial": None}, "monthly/window"),
        ({"kind": "TrainingRun", "trial": None, "item": 3}, record(7)["id"]),
        ({"trial": None}, record(7)["id"]),
    ],
)
def test_short_reference(changed: dict[str, Any], reference: str) -> None:
    assert short_reference(record(7, **changed)) == reference


def test_a_step_of_a_run_is_found_by_its_name(cluster: LocalCluster) -> None:
    cluster.reader[TRIALS] = page(record(7, kind="TrainingRun", name="monthly", step="window", trial=None, run=None))
    workspace = cluster.workspace()

    assert repr(workspace.trial("monthly/window")) == "<Trial monthly/window: Succeeded>"
    asked = dict(cluster.calls[-1].query)
    assert (asked["run"], asked["filter"]) == ("monthly", "attributes.step = 'window'")
    (row,) = workspace.trials()
    assert (row["experiment"], row["run"], row["step"]) == (None, "monthly", "window")


def test_experiments_are_trials_alone(cluster: LocalCluster) -> None:
    cluster.reader[TRIALS] = page()

    cluster.workspace().experiments()

    assert dict(cluster.calls[-1].query)["filter"] == "attributes.kind = 'Experiment'"


def test_a_trial_that_is_not_recorded_is_named(cluster: LocalCluster) -> None:
    cluster.reader[TRIALS] = page()

    with pytest.raises(FlywheelError, match="no trial 'flight-delay/9' is recorded in namespace 'shop'"):
        cluster.workspace().trial("flight-delay/9")


def test_log_curves_and_files_of_a_trial(cluster: LocalCluster) -> None:
    curves = {
        "curves": {"loss": [[0, 0.5, "2026-11-28T12:00:00Z"], [1, "NaN", None]]},
        "downsampled": {"loss": {"points": 9}},
    }
    cluster.reader |= {
        ONE: Reply({**record(1), "files": [{"path": "metrics.json", "size": 2, "sha256": "0" * 64}]}),
        f"{ONE}/log": Reply(b"epoch 1\n\xff"),
        f"{ONE}/curves": Reply(curves),
    }
    trial = cluster.workspace().trial(record(1)["id"])

    table = trial.curves("loss", max_points=9)

    assert trial.log(tail_bytes=9) == "epoch 1\n\ufffd"
    assert dict(cluster.calls[-1].query) == {"experiment": "flight-delay", "tailBytes": "9"}
    assert table["step"].tolist() == [0, 1]
    assert math.isnan(table["value"][1])
    assert table.attrs["downsampled"] == {"loss": {"points": 9}}
    assert [each["path"] for each in trial.files()] == ["metrics.json"]


def test_a_store_that_is_away_leaves_what_is_known_in_the_error(cluster: LocalCluster) -> None:
    cluster.reader[TRIALS] = reader_error(
        503, "StoreUnreachable", "the store did not respond", items=[record(1)], asOf="2026-11-28T12:00:00Z"
    )

    with pytest.raises(FlywheelError, match="the store did not respond") as caught:
        cluster.workspace().trials()

    assert caught.value.reason == "StoreUnreachable"
    assert caught.value.details["items"][0]["trial"] == 1


@pytest.mark.parametrize("function", [fw.experiments, Workspace.experiments, AsyncWorkspace.experiments])
def test_the_name_of_an_experiment_is_never_taken_for_a_namespace(function: Callable[..., Any]) -> None:
    assert inspect.signature(function).parameters["name"].kind is inspect.Parameter.KEYWORD_ONLY
