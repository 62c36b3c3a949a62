"""Labels in the step `monitor`: measured while windows are open, tested once when they are frozen, counted where they cannot be used."""

import json
from typing import Any

import duckdb
import pytest

from flywheel_runtime.commands.monitor import ground_truth
from tests.runtime.commands.monitor.labelled import ROWS, Labelled
from tests.runtime.monitoring.labels.log_files import PostedLabel, write_labels

pytestmark = pytest.mark.integration  # a second of statistics for each monitored window


def test_a_model_that_performs_as_on_its_test_rows_is_silent(labelled: Labelled) -> None:
    reports = [labelled.run_hour() for _ in range(5)]

    states = [each["signals"]["performance"]["state"] for each in reports]
    assert states == ["Unknown", "Unknown", "True", "True", "True"]
    assert "so far roc_auc" in reports[0]["signals"]["performance"]["message"]
    assert "0.8333 on its test rows. It is not worse by more than 0.05" in reports[-1]["signals"]["performance"]["message"]  # fmt: skip
    assert [each["frozen"] for each in reports[-1]["performance"]["windows"]] == [True, False, False]
    assert (reports[-1]["findings"], reports[-1]["budget"]["count"]) == ([], 1)


@pytest.mark.usefixtures("drawn_charts")
def test_a_model_that_became_worse_is_found_when_its_windows_are_frozen(labelled: Labelled) -> None:
    labelled.run_hour()
    reports = [labelled.run_hour(flipped=0.4) for _ in range(6)]

    states = [each["signals"]["performance"]["state"] for each in reports]
    assert states[-1] == "False"
    assert "False" not in states[:2]
    (finding,) = reports[-1]["findings"]
    assert (finding["signal"], finding["subject"], finding["measure"]) == ("performance", "roc_auc", "drop")
    assert 0.1 < finding["effect"] < 0.4
    assert "roc_auc of labelled predictions is" in reports[-1]["signals"]["performance"]["message"]
    assert labelled.monitored.facts["signals"]["performance"]["state"] == "False"
    assert "Labelled performance" in labelled.monitored.page
    assert reports[-1]["budget"]["alarms"] == 1


def test_few_labels_are_unknown_and_never_true(labelled: Labelled) -> None:
    reports = [labelled.run_hour(label_share=0.1) for _ in range(4)]

    said = reports[-1]["signals"]["performance"]
    assert said["state"] == "Unknown"
    assert "too few labelled rows" in said["message"]
    assert "of 900 logged rows have a label" in said["message"]


def test_labels_that_arrive_too_late_are_counted(labelled: Labelled) -> None:
    reports = [labelled.run_hour(delay=3 * 3_600 + 60) for _ in range(3)]

    window = reports[-1]["performance"]["windows"][0]
    assert (window["labels"]["labelled"], window["labels"]["tooLate"]) == (0, ROWS)
    assert reports[-1]["signals"]["performance"]["state"] == "Unknown"
    assert "too late" in labelled.monitored.page


def test_a_window_is_tested_once(labelled: Labelled) -> None:
    for _ in range(4):
        labelled.run_hour()
    state = json.loads((labelled.inputs / "state" / "state.json").read_text())

    [stream] = [each for name, each in state["streams"].items() if "/performance/" in name]
    assert stream["looks"] == 2


def test_labels_of_a_dataset_are_joined_by_key(labelled: Labelled) -> None:
    labelled.params["groundTruth"] |= {"key": "flight", "column": "late"}
    labelled.run_hour()
    folder = labelled.inputs / "dataset"
    folder.mkdir()
    with duckdb.connect() as connection:
        connection.execute(
            f"COPY (SELECT key AS flight, (random() < outputs.probabilities[2])::INT AS late FROM '{labelled.inputs}/rows/hour=0/rows.parquet') TO '{folder}/train.parquet'"
        )

    report = labelled.run_hour()

    assert report["performance"]["windows"][0]["labels"]["coverage"] == 1
    assert "labels of column &#x27;late&#x27; by key &#x27;flight&#x27;" in labelled.monitored.page


@pytest.mark.parametrize(
    ("evaluation", "words"),
    [
        pytest.param({}, "no evaluation of its training", id="a brought model"),
        pytest.param({"test": {"rows": 9, "metrics": {"f1": 1}}}, "no roc_auc on test rows", id="another metric"),
    ],
)
def test_without_the_metric_on_test_rows_nothing_is_concluded(
    labelled: Labelled, evaluation: dict[str, Any], words: str
) -> None:
    (labelled.inputs / f"version-{labelled.version}" / "evaluation.json").write_text(json.dumps(evaluation))

    report = [labelled.run_hour() for _ in range(3)][-1]

    assert report["signals"]["performance"]["state"] == "Unknown"
    assert words in report["signals"]["performance"]["message"]


def test_drawn_labels_are_told_by_their_weights_also_where_a_window_has_too_few_to_be_tested(
    labelled: Labelled,
) -> None:
    labelled.params["signals"] = {"performance": {"metric": "accuracy", "maxDrop": "0.05"}}
    report = [labelled.run_hour(drawn=0.4) for _ in range(5)][-1]

    said = report["signals"]["performance"]
    [estimate] = report["performance"]["estimates"]
    assert said["state"] == "Unknown"
    assert f"From {estimate['drawn']:,} drawn labels, by their weights, accuracy of version" in said["message"]
    assert "on 2,700 logged rows" in estimate["message"]
    assert estimate["value"] == pytest.approx(0.75, abs=0.06)
    assert estimate["high"] - estimate["low"] < 0.12
    assert estimate["message"] in labelled.monitored.page.replace("&#x27;", "'")


@pytest.mark.parametrize("folder", ["rows", "labels"])
def test_a_file_of_the_log_that_cannot_be_read_is_counted_and_left_out(labelled: Labelled, folder: str) -> None:
    (labelled.inputs / folder).mkdir()
    (labelled.inputs / folder / "broken.parquet").write_bytes(b"PAR1")

    report = [labelled.run_hour() for _ in range(3)][-1]

    assert report["signals"]["performance"]["state"] == "True"
    assert report["performance"]["windows"][0]["labels"]["labelled"] == ROWS
    problem = report["documents"]["problems"]["unreadable"]
    assert problem["count"] == 1
    assert "broken.parquet" in problem["examples"][0]


def test_a_column_that_the_dataset_does_not_have_keeps_no_other_signal_away(labelled: Labelled) -> None:
    labelled.params["groundTruth"] |= {"key": "flight", "column": "late"}
    folder = labelled.inputs / "dataset"
    folder.mkdir()
    with duckdb.connect() as connection:
        connection.execute(f"COPY (SELECT 1 AS flight, 0 AS delay) TO '{folder}/train.parquet'")

    report = labelled.run_hour()

    said = report["signals"]["performance"]
    assert said["state"] == "Unknown"
    assert "Dataset of spec.groundTruth has no column 'late'; correct spec.groundTruth.column." in said["message"]
    assert report["signals"]["dataQuality"]["state"] == "True"


def test_the_finding_of_a_version_that_was_replaced_ends_with_its_last_labels(labelled: Labelled) -> None:
    for _ in range(5):
        report = labelled.run_hour(flipped=0.4)
    assert report["signals"]["performance"]["state"] == "False"

    labelled.serve_version("v2")
    states = []
    looks = []
    for hour in range(4):
        if hour == 2:
            labelled.params["versions"].pop()
        report = labelled.run_hour()
        states.append(report["signals"]["performance"]["state"])
        oldest = report["performance"]["windows"][0]
        looks.append((oldest["version"], oldest["frozen"]))

    first = labelled.monitored.pod.version
    assert states == ["False", "False", "True", "True"]
    assert looks == [(first, True), (first, True), ("v2", True), ("v2", True)]
    assert "of version v2 is" in report["signals"]["performance"]["message"]
    assert ([each["version"] for each in report["closed"]], report["findings"]) == ([first], [])


@pytest.mark.parametrize(
    "performance", [None, {"metric": "roc_auc", "maxDrop": "0.06"}], ids=["no longer asked for", "another threshold"]
)
def test_a_finding_of_another_question_is_closed(labelled: Labelled, performance: dict[str, Any] | None) -> None:
    for _ in range(5):
        report = labelled.run_hour(flipped=0.4)
    assert len(report["findings"]) == 1

    labelled.params["signals"] = {"performance": performance}
    report = labelled.run_hour(flipped=0.4)

    assert (report["findings"], len(report["closed"])) == ([], 1)


def test_a_window_is_not_tested_again_when_labels_are_awaited_for_longer(labelled: Labelled) -> None:
    for _ in range(4):
        labelled.run_hour()
    labelled.params["groundTruth"]["maxDelaySeconds"] += 2 * 3_600
    report = [labelled.run_hour() for _ in range(2)][-1]

    assert [each["frozen"] for each in report["performance"]["windows"]] == [False] * 4
    state = json.loads((labelled.inputs / "state" / "state.json").read_text())
    [stream] = [each for name, each in state["streams"].items() if "/performance/" in name]
    assert stream["looks"] == 2


def test_a_night_without_logged_rows_does_not_promise_labels(labelled: Labelled) -> None:
    labelled.run_hour()
    for path in (labelled.inputs / "rows").rglob("*.parquet"):
        path.unlink()

    report = [labelled.run_hour() for _ in range(2)][-1]

    assert "windows that were frozen in this run have no logged row; so far" in report["signals"]["performance"]["message"]  # fmt: skip


def test_a_test_of_labels_whose_state_does_not_fit_starts_again_and_ends_its_finding(labelled: Labelled) -> None:
    for _ in range(5):
        labelled.run_hour(flipped=0.4)
    path = labelled.inputs / "state" / "state.json"
    state = json.loads(path.read_text())
    (name,) = state["findings"]
    state["streams"][name]["starts"] = [1, 2]
    path.write_text(json.dumps(state))

    report = labelled.run_hour(flipped=0.4)

    assert (report["findings"], len(report["closed"])) == ([], 1)
    assert report["note"] == "1 of the tests started again: their states of the previous run do not fit them."


def test_a_state_without_finite_evidence_and_a_stored_label_with_an_impossible_probability_hide_no_drop(
    labelled: Labelled,
) -> None:
    for _ in range(3):
        labelled.run_hour(drawn=0.9)
    path = labelled.inputs / "state" / "state.json"
    state = json.loads(path.read_text())
    (name,) = (each for each in state["streams"] if "/performance/" in each)
    state["streams"][name]["logEvidence"] = [float("nan")] * len(state["streams"][name]["logEvidence"])
    path.write_text(json.dumps(state))
    stored = [PostedLabel("1", int(labelled.monitored.start.timestamp()) + 60, id=f"{hour}-0", probability=1e-310) for hour in range(3, 9)]  # fmt: skip
    write_labels(labelled.inputs / "labels" / "hour=stored" / "labels.parquet", stored)

    reports = [labelled.run_hour(flipped=0.4, drawn=0.9) for _ in range(6)]

    assert reports[0]["note"] == "1 of the tests started again: their states of the previous run do not fit them."
    assert reports[-1]["signals"]["performance"]["state"] == "False"
    for each in (path, labelled.monitored.root / "outputs" / "report" / "report.json"):
        assert "NaN" not in each.read_text()


def test_windows_whose_labels_could_not_be_read_are_tested_in_a_later_run(labelled: Labelled) -> None:
    labelled.params["groundTruth"] |= {"key": "flight", "column": "late"}
    for _ in range(3):
        report = labelled.run_hour()
    said = report["signals"]["performance"]
    assert said["state"] == "Unknown"
    assert "The Dataset of spec.groundTruth has no data in the store" in said["message"]
    assert "1 window that is frozen waits for labels that can be read" in said["message"]
    assert labelled.monitored.facts["labels"] == {"waiting": 1, "untested": 0}

    labelled.params["groundTruth"] |= {"key": None, "column": None, "retrySeconds": 86_400}
    report = labelled.run_hour()

    assert [each["frozen"] for each in report["performance"]["windows"]] == [True, True, False, False]
    assert (report["labels"]["waiting"], report["labels"]["untested"]) == (0, 0)
    assert "labels" not in labelled.monitored.facts


def test_windows_whose_labels_cannot_be_read_in_time_are_counted(labelled: Labelled) -> None:
    labelled.params["groundTruth"] |= {"key": "flight", "column": "late"}
    for _ in range(5):
        labelled.run_hour()
    labelled.params["groundTruth"] |= {"key": None, "column": None, "retrySeconds": 3_600}

    report = labelled.run_hour()

    assert [each["frozen"] for each in report["performance"]["windows"]] == [True, True, False, False]
    assert (report["labels"]["waiting"], report["labels"]["untested"]) == (0, 2)
    assert labelled.monitored.facts["labels"] == {"waiting": 0, "untested": 2}
    assert (
        "2 windows were never tested, since their rows or labels could not be read in time" in labelled.monitored.page
    )


def test_a_state_of_the_build_before_goes_on_without_a_second_test(labelled: Labelled) -> None:
    for _ in range(4):
        labelled.run_hour()
    path = labelled.inputs / "state" / "state.json"
    state = json.loads(path.read_text())
    path.write_text(
        json.dumps({name: each for name, each in state.items() if name not in ("untestedWindows", "labelledUntil")})
    )

    report = labelled.run_hour()

    assert [each["frozen"] for each in report["performance"]["windows"]] == [True, False, False]
    assert report["note"] == ""
    assert (report["labels"]["waiting"], report["labels"]["untested"]) == (0, 0)
    [stream] = [each for name, each in json.loads(path.read_text())["streams"].items() if "/performance/" in name]
    assert stream["looks"] == 3


def test_rows_that_another_artifact_of_the_same_name_answered_are_not_compared(labelled: Labelled) -> None:
    labelled.run_hour()
    labelled.params["versions"][0]["digest"] = "sha256:" + "3" * 64

    report = [labelled.run_hour() for _ in range(2)][-1]

    assert [each["labels"]["rows"] for each in report["performance"]["windows"]] == [ROWS, ROWS]
    assert report["performance"]["unknown"] == 0


def test_a_join_that_does_not_fit_keeps_no_other_signal_away(
    labelled: Labelled, monkeypatch: pytest.MonkeyPatch
) -> None:
    labelled.run_hour()
    monkeypatch.setattr(ground_truth, "MEMORY_FRACTION", 0.0)

    report = labelled.run_hour()

    said = report["signals"]["performance"]
    assert said["state"] == "Unknown"
    assert "raise spec.resources of the monitor, or lower spec.logging.sample" in said["message"]
    assert report["signals"]["dataQuality"]["state"] == "True"
