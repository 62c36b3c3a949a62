"""The ROC area that calibrated scores let expect: in the report of each window, without labels."""

import json
from typing import Any

import pytest


def read_estimates(monitored: Any) -> list[Any]:
    report = json.loads((monitored.root / "outputs" / "report" / "report.json").read_text())
    return [window["estimatedRocAuc"] for window in report["windows"]]


def test_scores_that_lose_their_spread_are_expected_to_rank_worse(monitored: Any) -> None:
    monitored.serve_hour()
    monitored.run_hour()
    (like_reference,) = read_estimates(monitored)
    monitored.serve_hour(change=lambda rows: rows | {"score": 0.5 + (rows["score"] - 0.5) / 4})
    monitored.run_hour()
    (narrow,) = read_estimates(monitored)

    assert like_reference["value"] == pytest.approx(like_reference["reference"], abs=0.03)
    assert narrow["value"] < like_reference["value"] - 0.05
    page = (monitored.root / "outputs" / "report" / "report.html").read_text()
    assert "Estimated ROC AUC" in page
    assert f"{narrow['value']:.3f} ({narrow['reference']:.3f})" in page


ASKED = {"estimatedPerformance": {"metric": "roc_auc", "maxDrop": "0.03"}}


def unsure(rows: dict[str, Any]) -> dict[str, Any]:
    return rows | {"score": 0.3 + (rows["score"] - 0.3) / 8}


def test_scores_that_become_unsure_are_a_finding_of_the_estimate_alone(monitored: Any) -> None:
    for _ in range(3):
        report = monitored.run_hour(signals=ASKED)
    signal = report["signals"]["estimatedPerformance"]
    assert signal["state"] == "True", signal
    assert "is estimated at 0.7" in signal["message"]
    for _ in range(4):
        report = monitored.run_hour(change=unsure, signals=ASKED)

    (found,) = [each for each in report["findings"] if each["signal"] == "estimatedPerformance"]
    assert found["subject"] == "roc_auc"
    assert found["measure"] == "estimatedDrop"
    assert found["effect"] > 0.03
    assert monitored.facts["signals"]["estimatedPerformance"]["state"] == "False"
    assert "as estimated without labels" in monitored.facts["signals"]["estimatedPerformance"]["message"]
    assert (
        report["estimatedPerformance"]["windows"][-1]["value"]
        < report["estimatedPerformance"]["windows"][-1]["reference"]
    )
    assert "Estimated performance" in monitored.page


def test_the_finding_closes_when_the_scores_are_sure_again(monitored: Any) -> None:
    for _ in range(5):
        monitored.run_hour(change=unsure, signals=ASKED)
    for _ in range(3):
        report = monitored.run_hour(signals=ASKED)

    assert report["signals"]["estimatedPerformance"]["state"] == "True"
    assert [each["signal"] for each in report["closed"]].count("estimatedPerformance") == 1


def test_a_version_without_a_calibration_is_unknown_with_the_reason(monitored: Any) -> None:
    del monitored.baseline["predictions"]["positives"]
    path = monitored.root / "inputs" / f"version-{monitored.pod.version}" / "baseline.json"
    path.write_bytes(json.dumps(monitored.baseline).encode())
    monitored.run_hour(signals=ASKED)

    signal = monitored.facts["signals"]["estimatedPerformance"]
    assert (signal["state"], signal["reason"]) == ("Unknown", "CalibrationMissing")
    assert "train it again" in signal["message"]


def test_a_metric_of_a_regression_is_not_estimated_of_classes(monitored: Any) -> None:
    monitored.run_hour(signals={"estimatedPerformance": {"metric": "mae", "maxDrop": "1"}})

    assert monitored.facts["signals"]["estimatedPerformance"]["reason"] == "MetricNotEstimable"


def test_too_few_rows_and_no_traffic_are_unknown(monitored: Any) -> None:
    monitored.run_hour(rows=120, signals=ASKED)
    few = monitored.facts["signals"]["estimatedPerformance"]
    monitored.run(signals=ASKED)
    none = monitored.facts["signals"]["estimatedPerformance"]

    assert few == {"state": "Unknown", "message": few["message"]}
    assert "too few rows" in few["message"]
    assert none == {"state": "Unknown", "message": "There was no traffic that is counted."}


def test_what_is_asked_for_no_more_closes_its_finding(monitored: Any) -> None:
    for _ in range(5):
        monitored.run_hour(change=unsure, signals=ASKED)
    report = monitored.run_hour(change=unsure, signals={})

    assert "estimatedPerformance" not in report["signals"]
    assert [each["signal"] for each in report["findings"]] == []
