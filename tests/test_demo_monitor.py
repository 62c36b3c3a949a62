"""The demo's last table says what the monitor found, by the days of April that were replayed."""

from datetime import UTC, datetime, timedelta
from typing import Any

import yaml

from demo import april, monitor
from demo.__main__ import HERE

FIRST = datetime(2026, 1, 31, 2, tzinfo=UTC)  # of the window with April 1


def window(day: int) -> str:
    """The start of the window of a day."""
    return f"{FIRST + (day - 1) * april.WINDOW:%Y-%m-%dT%H:%M:%SZ}"


def finding(signal: str, subject: str, measure: str, effect: float, since: int, until: int = 29) -> dict[str, Any]:
    times = {"since": window(since), "until": window(until)}
    return {"signal": signal, "subject": subject, "measure": measure, "effect": effect, **times}


def labelled(day: int, value: float, rows: int) -> dict[str, Any]:
    return {"start": window(day), "value": value, "test": 0.181, "labels": {"labelled": rows}}


def test_findings_of_one_day_share_a_line_and_weeks_their_mean() -> None:
    status = {"conditions": [{"type": name, "status": "False"} for name in monitor.SIGNALS]}
    without_value = {"start": window(28), "problem": "no row has a label yet", "labels": {"labelled": 0}}
    report = {
        "trend": [{"time": int(FIRST.timestamp())}],
        "findings": [finding("dataQuality", "temp", "missing", 0.9, 20), finding("featureDrift", "month", "psi", 5.6, 1), finding("dataQuality", "humid", "missing", 0.8, 20)],
        "closed": [finding("performance", "brier", "drop", -0.01, 8, 28)],
        "performance": {"metric": "brier", "windows": [labelled(1, 0.2, 300), labelled(7, 0.1, 100), labelled(8, 0.3, 50), without_value]},
    }  # fmt: skip

    _, *lines = monitor.describe_findings(status, report)

    assert [" ".join(line.split()) for line in lines] == [
        "since April 1 featureDrift psi 5.60: month",
        "since April 20 dataQuality missing 0.90: temp, humid",
        "April 8 to 27 performance drop: brier",
        "April 1 to 7 brier 0.175 of 400 labelled flights, 0.181 on the test rows",
        "April 8 to 14 brier 0.300 of 50 labelled flights, 0.181 on the test rows",
    ]


def test_all_days_are_in_the_first_run_and_their_labels_are_complete() -> None:
    """A monitor's first run looks at the windows of the last 24 hours."""
    spec = yaml.safe_load((HERE / "6-modelmonitor.yaml").read_text())["spec"]
    assert (spec["window"], spec["groundTruth"]["delay"]["max"]) == ("30m", "30m")
    assert april.WINDOW == april.LABEL_DELAY == timedelta(minutes=30)
    for minute in range(60):
        now = datetime(2026, 1, 31, 17, minute, 5, tzinfo=UTC)
        first = april.first_window(now)
        tested = now - timedelta(seconds=90)
        until = tested - timedelta(seconds=tested.timestamp() % 1_800)

        assert until - timedelta(days=1) <= first
        assert first + april.DAYS * april.WINDOW + april.LABEL_DELAY <= until
