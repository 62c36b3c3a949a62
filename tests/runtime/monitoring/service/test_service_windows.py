"""Errors and latencies of the service: what is found, and what is not."""

import json
from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from flywheel_runtime.monitoring.documents import DocumentProblems, DocumentReader
from flywheel_runtime.monitoring.layout import ERROR_CLASSES, LATENCY_BOUNDS_SECONDS
from flywheel_runtime.monitoring.report.service_section import describe_service, service_state
from flywheel_runtime.monitoring.service.service_windows import (
    LatencyTarget,
    ServiceAnalysis,
    ServiceTarget,
    format_duration,
)
from flywheel_runtime.monitoring.state import MonitorState, read_state
from flywheel_runtime.monitoring.windows import Schedule, sort_documents
from flywheel_serving.errors import ERROR_CLASSES as SERVED_CLASSES
from flywheel_serving.metrics.server_metrics import LATENCY_BUCKETS_SECONDS
from tests.runtime.monitoring.traffic import (
    NAMESPACE,
    SERVICE,
    START,
    Server,
    draw_rows,
    make_baseline,
    make_responses,
)

HOUR, MINUTES = 3_600, 60
ALLOWANCE = 0.1 / (365 * 24)
BOTH = ServiceTarget(0.01, LatencyTarget(0.99, 0.05))
ROWS = draw_rows(np.random.default_rng(3), 10)
BASELINE = make_baseline(ROWS)
GOOD = make_responses({0.01: 995, 0.25: 5}, invalid=300)
Responses = Mapping[str, Any]


class Watched:
    """A service, and its runs of one hour each."""

    def __init__(self, folder: Path, target: ServiceTarget = BOTH) -> None:
        self.folder, self.target, self.hour = folder, target, 0
        start = int(START.timestamp())
        self.state = MonitorState(start, start)
        self.server = Server(folder, BASELINE)
        self.reader = DocumentReader(NAMESPACE, SERVICE, DocumentProblems())

    def run(self, responses: Responses | None, *, minutes: Sequence[int] = range(MINUTES)) -> ServiceAnalysis:
        """One hour in whose `minutes` these are the responses; in the others they are good."""
        for minute in range(MINUTES):
            at = START + timedelta(hours=self.hour, minutes=minute)
            self.server.serve(ROWS, at, responses=responses if minute in minutes else GOOD)
        start = int(START.timestamp()) + self.hour * HOUR
        schedule = Schedule([start], HOUR, self.state.monitored_since)
        documents = self.reader.read([self.folder])
        found = sort_documents(documents, schedule, self.state.rollups, DocumentProblems())
        versions = frozenset({self.server.version})
        analysis = ServiceAnalysis(self.state, versions, self.target, ALLOWANCE, 300)
        analysis.run(found.windows)
        self.state.rollups, self.hour = found.rollups, self.hour + 1
        return analysis

    def signal(self, analysis: ServiceAnalysis) -> dict[str, str]:
        findings = [
            {**each.to_json(), "since": "then"} for each in self.state.findings.values() if each.signal == "service"
        ]
        return service_state(analysis, findings)


def test_servers_and_monitor_count_in_the_same_buckets_and_classes() -> None:
    assert LATENCY_BOUNDS_SECONDS == LATENCY_BUCKETS_SECONDS
    assert ERROR_CLASSES == SERVED_CLASSES


def test_a_healthy_service_is_healthy_however_many_requests_are_invalid(tmp_path: Path) -> None:
    watched = Watched(tmp_path)
    for _ in range(3):
        signal = watched.signal(watched.run(GOOD))

        assert signal["state"] == "True"
    assert "0 % of 60,000 requests failed (at most 1 %)" in signal["message"]
    assert "99 % of responses took at most 10ms (at most 50ms)" in signal["message"]
    assert not watched.state.alarms


@pytest.mark.parametrize(
    ("responses", "sentence"),
    [
        pytest.param(make_responses({0.01: 950}, overloaded=20, failed=20, timedOut=10), "5 % of requests failed, above 1 %", id="errors"),
        pytest.param(make_responses({0.01: 950, 0.1: 50}), "5 % of requests had a latency over 50ms, above 1 %", id="slow"),
        pytest.param(make_responses({0.01: 900, float("inf"): 100}), "10 % of requests had a latency over 50ms", id="beyond all buckets"),
        pytest.param(make_responses({}, failed=1_000), "100 % of requests failed", id="an outage"),
    ],
)  # fmt: skip
def test_what_lasts_is_found_once_and_ends(tmp_path: Path, responses: Responses, sentence: str) -> None:
    watched = Watched(tmp_path)
    watched.run(GOOD)
    signals = [watched.signal(watched.run(responses)) for _ in range(3)]

    assert signals[-1]["state"] == "False"
    assert sentence in signals[-1]["message"]
    subjects = [each.subject for each in watched.state.alarms]
    assert len(subjects) == len({*subjects})
    signals = [watched.signal(watched.run(GOOD)) for _ in range(3)]
    assert [each["state"] for each in signals] == ["False", "False", "True"]


@pytest.mark.parametrize(
    ("responses", "problems"),
    [
        pytest.param(make_responses({0.01: 950}, failed=50), {"errors": None, "failed": "ModelFailed"}, id="the model fails"),
        pytest.param(make_responses({0.01: 700}, overloaded=300), {"errors": None}, id="one client floods"),
        pytest.param(make_responses({0.01: 700}, timedOut=300, failed=5), {"errors": None}, id="too slow, and few failures"),
        pytest.param(make_responses({0.01: 700}, invalid=300), {}, id="timeouts that are too short"),
    ],
)  # fmt: skip
def test_only_failures_of_the_model_are_a_problem_of_the_version(
    tmp_path: Path, responses: Responses, problems: dict[str, str | None]
) -> None:
    watched = Watched(tmp_path)
    for _ in range(3):
        watched.run(responses)

    assert {each.measure: each.problem for each in watched.state.findings.values()} == problems


def test_a_share_at_the_limit_is_within_it(tmp_path: Path) -> None:
    watched = Watched(tmp_path)
    for _ in range(24):
        watched.run(make_responses({0.05: 1_980}, failed=20))

    assert not watched.state.alarms


def test_a_burst_of_five_minutes_is_less_evidence_than_as_many_errors_at_random(tmp_path: Path) -> None:
    watched = Watched(tmp_path)
    watched.run(GOOD)
    watched.run(make_responses({0.01: 500}, failed=500), minutes=range(20, 25))

    assert not watched.state.alarms


@pytest.mark.parametrize(
    ("responses", "sentence"),
    [
        pytest.param(None, "counted no errors and latencies", id="a server of the release before"),
        pytest.param(make_responses({0.01: 2}), "has too few requests (120)", id="few requests"),
    ],
)
def test_too_little_is_unknown(tmp_path: Path, responses: Responses | None, sentence: str) -> None:
    watched = Watched(tmp_path)

    signal = watched.signal(watched.run(responses))

    assert signal["state"] == "Unknown"
    assert sentence in signal["message"]


def test_another_target_ends_the_finding_and_no_target_still_describes_the_windows(tmp_path: Path) -> None:
    watched = Watched(tmp_path)
    for _ in range(3):
        watched.run(make_responses({0.01: 500}, failed=500))
    assert watched.state.findings
    watched.target = ServiceTarget()

    found = describe_service(watched.run(GOOD))

    assert not watched.state.findings
    assert found["windows"][0]["errors"] == {"invalid": 18_000, "overloaded": 0, "timedOut": 0, "failed": 0}
    assert found["windows"][0]["latencySeconds"] == {"0.5": 0.01, "0.95": 0.01, "0.99": 0.01}


def test_the_retained_windows_of_the_release_before_are_read(tmp_path: Path) -> None:
    watched = Watched(tmp_path / "counts")
    watched.run(None)
    watched.state.write(tmp_path)
    content = json.loads((tmp_path / "rollups.json").read_text())
    for rollup in content["rollups"]:
        rollup["counts"] = rollup["counts"][: -(len(ERROR_CLASSES) + len(LATENCY_BOUNDS_SECONDS) + 1)]
    (tmp_path / "rollups.json").write_text(json.dumps(content))

    read = read_state(tmp_path)

    assert read is not None
    assert read.rollups == watched.state.rollups


def test_other_buckets_are_left_out_and_counted(tmp_path: Path) -> None:
    problems = DocumentProblems()
    other = make_responses({0.01: 9})
    other["latencySeconds"]["bounds"][0] = 0.0002
    Server(tmp_path, BASELINE).serve(ROWS, START, responses=other)

    [document] = DocumentReader(NAMESPACE, SERVICE, problems).read([tmp_path])

    assert (document.rows, problems.counts) == (10, {"otherLatencyBuckets": 1})
    assert not document.layout.service(document.counts).cells.any()


@pytest.mark.parametrize(("seconds", "text"), [(0.00025, "250us"), (0.0025, "2.5ms"), (0.5, "500ms"), (10.0, "10s")])
def test_latencies_are_written_as_in_the_spec(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text
