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
