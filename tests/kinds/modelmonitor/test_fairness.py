"""Fairness of a ModelMonitor: its condition, its finding without a group's name, and what keeps groups away."""

from typing import Any

import pytest

from flywheel.core.resource.api import Manifest
from tests.kinds.modelmonitor.situations import QUIET, Monitor, service, version

PARITY: dict[str, Any] = {"by": ["sex"], "measure": "demographic_parity_difference"}
ODDS: dict[str, Any] = {"by": ["region", "sex"], "measure": "equalized_odds_difference"}
FAIR = {"state": "True", "message": "no two groups are further apart than 0.1"}
WAITS = {"state": "Unknown", "message": "labels may still arrive"}
UNFAIR = {"state": "False", "message": "equalized_odds_difference by 'sex' is 0.24"}
FINDING = {"signal": "fairness", "subject": "sex", "version": "delay-1", "measure": "equalized_odds_difference", "effect": 0.24, "threshold": 0.1,
           "since": "2026-01-01T09:00:00Z", "evidence": 9.1, "share": 1.0}  # fmt: skip


def facts(result: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {**QUIET, "signals": {**QUIET["signals"], "fairness": result}, **more}


def protected(action: str, **more: Any) -> Manifest:
    return service(logging={"columns": [{"name": "sex", "action": action, **more}], "hmac": {"name": "s", "key": "k"}})


def test_a_gap_makes_fair_false_with_one_event_and_no_other_condition() -> None:
    monitor = Monitor(fairness=PARITY).tick_and_run(facts(FAIR))
    assert monitor.condition["Fair"] == ("True", "WithinThreshold")

    monitor.advance(hours=1)
    monitor.tick_and_run(facts(UNFAIR, findings=[FINDING], findingCount=1), "drift-2")

    assert monitor.condition["Fair"] == ("False", "ThresholdExceeded")
    assert monitor.condition["NoDrift"] == ("True", "WithinThreshold")
    assert monitor.status.summary.startswith("fairness of sex (equalized_odds_difference 0.24); ")
    assert (
        "fairness (equalized_odds_difference) of 'sex' of version delay-1 is 0.24 (threshold 0.1)"
        in monitor.plan.message
    )


@pytest.mark.parametrize(
    ("fairness", "given", "reason", "sentence"),
    [
        pytest.param(PARITY, protected("Drop"), "ColumnNotLogged", "log it as it is, or remove it from spec.fairness.by", id="dropped"),
        pytest.param(ODDS, protected("Hmac"), "ColumnNotLogged", "drops or hashes column 'sex'", id="hashed"),
        pytest.param(PARITY, protected("Bucket", width="5"), "NotEnoughData", "labels may still arrive", id="in buckets"),
        pytest.param(PARITY, service(logging={"sample": "0%"}), "RowsNotLogged", "set a share above 0%", id="no rows"),
        pytest.param(ODDS, service(), "NotEnoughData", "labels may still arrive", id="nothing but labels is missing"),
    ],
)  # fmt: skip
def test_what_keeps_groups_away_is_said(fairness: dict[str, Any], given: Manifest, reason: str, sentence: str) -> None:
    truth: dict[str, Any] = {"groundTruth": {}} if fairness is ODDS else {}
    monitor = Monitor(given, version(), fairness=fairness, **truth).tick_and_run(facts(WAITS))

    assert monitor.condition["Fair"] == ("Unknown", reason)
    assert "Performing" not in monitor.condition
    [message] = [each.message for each in monitor.status.conditions if each.type == "Fair"]
    assert sentence.lower() in message.lower()


def test_a_dataset_that_is_missing_keeps_labels_away() -> None:
    truth = {"dataset": "landed", "key": "flight_id", "column": "late"}
    logged = service(logging={"key": "flight_id"})
    monitor = Monitor(logged, version(), fairness=ODDS, groundTruth=truth).tick_and_run(facts(WAITS))

    assert monitor.condition["Fair"] == ("Unknown", "DatasetNotReady")


def test_windows_that_could_not_be_tested_are_counted_in_the_status() -> None:
    monitor = Monitor(fairness=PARITY).tick_and_run(facts(FAIR, labels={"waiting": 2, "untested": 3}))
    assert (monitor.status.label_windows.waiting, monitor.status.label_windows.untested) == (2, 3)

    monitor.advance(hours=1)
    monitor.tick_and_run(facts(FAIR), "drift-2")

    assert monitor.status.label_windows is None
