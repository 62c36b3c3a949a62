"""Fairness in the step `monitor`: with labels in frozen windows, without them at once, and no group's name in what the operator gets."""

import json
from typing import Any

import pytest

from tests.runtime.commands.monitor.labelled import Labelled

pytestmark = pytest.mark.integration  # a second of statistics for each monitored window

ODDS: dict[str, Any] = {"fairness": {"by": ["region"], "measure": "equalized_odds_difference", "maxGap": "0.1"}}
PARITY: dict[str, Any] = {"fairness": {"by": ["region"], "measure": "demographic_parity_difference", "maxGap": "0.1"}}


def strict(scores: Any) -> Any:
    """Scores of which fewer are above the threshold."""
    return scores * 0.7


@pytest.fixture
def grouped(labelled: Labelled) -> Labelled:
    """The service, of which groups of 100 rows are compared."""
    labelled.params["minRows"] = 100
    labelled.params["signals"] = ODDS
    return labelled


def without_labels(labelled: Labelled) -> Labelled:
    labelled.params["signals"] = PARITY
    labelled.params["groundTruth"] = None
    return labelled


def test_groups_that_are_treated_alike_are_fair_once_a_window_is_frozen(grouped: Labelled) -> None:
    reports = [grouped.run_hour() for _ in range(4)]

    states = [each["signals"]["fairness"]["state"] for each in reports]
    assert states == ["Unknown", "Unknown", "True", "True"]
    assert "Labels may still arrive; so far 0." in reports[0]["signals"]["fairness"]["message"]
    assert "no evidence that two groups are further apart than 0.1 in equalized_odds_difference" in reports[-1]["signals"]["fairness"]["message"]  # fmt: skip
    assert "performance" not in reports[-1]["signals"]
    groups = reports[-1]["fairness"]["windows"][0]["groups"]
    assert {(each["group"], each["rate"]) for each in groups if each["compared"]} == {
        (group, rate) for group in ("north", "south") for rate in ("true positive rate", "false positive rate")
    }


@pytest.mark.usefixtures("drawn_charts")
def test_a_group_that_is_called_positive_less_often_is_found(grouped: Labelled) -> None:
    reports = [grouped.run_hour(south=strict) for _ in range(6)]

    report = reports[-1]
    assert report["signals"]["fairness"]["state"] == "False"
    [finding] = report["findings"]
    assert (finding["signal"], finding["subject"], finding["measure"]) == ("fairness", "region", "equalized_odds_difference")  # fmt: skip
    assert 0.15 < finding["effect"] < 0.5
    assert (report["budget"]["alarms"], report["budget"]["count"]) == (1, 1)
    assert "equalized_odds_difference by &#x27;region&#x27; is" in grouped.monitored.page
    assert "<svg" in grouped.monitored.page
    facts = json.dumps(grouped.monitored.facts)
    assert "north" in grouped.monitored.page
    assert "north" not in facts
    assert "south" not in facts


def test_labelled_rows_have_curves_and_slices(grouped: Labelled) -> None:
    grouped.params["signals"] = {**ODDS, "performance": {"metric": "roc_auc", "maxDrop": "0.05"}}
    report = [grouped.run_hour(south=strict) for _ in range(2)][-1]

    [curves] = report["labelledRows"]["curves"]
    assert (curves["rows"], curves["roc"]["area"] > 0.75, curves["calibrationError"] < 0.2) == (1_800, True, True)
    slices = {each["group"]: each for each in report["labelledRows"]["slices"]}
    assert slices["north"]["value"] == pytest.approx(0.833, abs=0.06)
    assert slices["south"]["rows"] == 900
    page = grouped.monitored.page
    assert "Calibration and curves of labelled rows" in page
    assert "Slices" in page


def test_without_labels_the_rates_of_positive_predictions_are_compared_at_once(labelled: Labelled) -> None:
    without_labels(labelled).params["minRows"] = 300
    reports = [labelled.run_hour() for _ in range(2)]
    assert [each["signals"]["fairness"]["state"] for each in reports] == ["True", "True"]

    reports = [labelled.run_hour(south=strict) for _ in range(7)]

    assert reports[-1]["signals"]["fairness"]["state"] == "False"
    assert [each["start"] for each in reports[-1]["fairness"]["windows"]] == [reports[-1]["from"]]


def test_a_group_with_too_few_rows_is_unknown_and_never_true(labelled: Labelled) -> None:
    without_labels(labelled).params["minRows"] = 1_000

    said = labelled.run_hour()["signals"]["fairness"]

    assert said["state"] == "Unknown"
    assert "fewer than two groups of 'region' with 1,000 rows" in said["message"]


def test_a_column_that_is_not_logged_has_its_reason(labelled: Labelled) -> None:
    without_labels(labelled).params["signals"] = {"fairness": {**PARITY["fairness"], "by": ["region", "sex"]}}

    said = labelled.run_hour()["signals"]["fairness"]

    assert (said["state"], said["reason"]) == ("Unknown", "ColumnNotLogged")
    assert (
        "other columns of a Dataset with labels form no groups; name logged columns in spec.fairness.by"
        in said["message"]
    )
    assert labelled.monitored.facts["signals"]["fairness"]["reason"] == "ColumnNotLogged"
    assert "the logged rows have no column 'sex'" in said["message"]


@pytest.mark.parametrize(
    "signals", [{}, {"fairness": {**ODDS["fairness"], "maxGap": "0.12"}}], ids=["no longer", "another gap"]
)
def test_a_finding_of_another_question_is_closed(grouped: Labelled, signals: dict[str, Any]) -> None:
    for _ in range(5):
        report = grouped.run_hour(south=strict)
    assert len(report["findings"]) == 1

    grouped.params["signals"] = signals
    report = grouped.run_hour(south=strict)

    assert (report["findings"], len(report["closed"])) == ([], 1)


def test_rows_that_were_drawn_to_be_labelled_are_no_fair_sample(grouped: Labelled) -> None:
    report = [grouped.run_hour(drawn=0.9) for _ in range(3)][-1]

    assert report["signals"]["fairness"]["state"] == "Unknown"
    assert report["fairness"]["windows"][0]["groups"] == []


def test_a_measure_of_another_task_is_unknown(grouped: Labelled) -> None:
    grouped.params["signals"] = {"fairness": {"by": ["region"], "measure": "mae_difference", "maxGap": "1"}}

    said = [grouped.run_hour() for _ in range(3)][-1]["signals"]["fairness"]

    assert said["state"] == "Unknown"
    assert "choose accuracy_difference for classes" in said["message"]
