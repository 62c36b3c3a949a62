"""Errors and latencies in runs of the monitor: its signal, its facts and its report."""

from datetime import timedelta
from typing import Any

import pytest

from tests.runtime.monitoring.traffic import draw_rows, make_responses

pytestmark = pytest.mark.integration  # a second of statistics for each monitored window

ASKED = {
    "featureDrift": {"psi": "0.1"},
    "service": {"maxErrorShare": "0.01", "latency": {"quantile": "0.99", "maxSeconds": "0.05"}},
}


def run_hour(monitored: Any, responses: dict[str, Any] | None, **params: Any) -> dict[str, Any]:
    """An hour of traffic by the minute, and the run over it."""
    for minute in range(60):
        table = draw_rows(monitored.generator, 20)
        monitored.pod.serve(table, monitored.start + timedelta(minutes=minute), responses=responses)
    report: dict[str, Any] = monitored.run(**params)
    return report


@pytest.mark.usefixtures("drawn_charts")
def test_errors_are_a_signal_with_a_finding_and_a_section_of_the_report(monitored: Any) -> None:
    run_hour(monitored, make_responses({0.01: 995, 0.1: 5}), signals=ASKED)
    reports = [run_hour(monitored, make_responses({0.01: 900}, failed=100), signals=ASKED) for _ in range(2)]

    assert reports[-1]["signals"]["service"]["state"] == "False"
    found = {(each["signal"], each["measure"], each["problem"]) for each in reports[-1]["findings"]}
    assert found == {("service", "errors", None), ("service", "failed", "ModelFailed")}
    assert monitored.facts["signals"]["service"]["state"] == "False"
    assert "10 % of requests failed, above 1 %" in monitored.page
    assert reports[-1]["signals"]["dataQuality"]["state"] == "True"
    assert [each["errorShare"] for each in reports[-1]["serviceHealth"]["trend"]] == [0.0, 0.1, 0.1]
    assert monitored.page.count("share of requests that failed") == 1


def test_servers_of_the_release_before_leave_the_service_unknown_and_the_rest_alone(monitored: Any) -> None:
    report = run_hour(monitored, None, signals=ASKED)

    assert report["signals"]["service"]["state"] == "Unknown"
    assert report["signals"]["drift"]["state"] == "True"
    assert "Error share" not in monitored.page
