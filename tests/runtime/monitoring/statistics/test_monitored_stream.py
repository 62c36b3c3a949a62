"""One stream from its reference to its findings, over states that went through JSON."""

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy import stats

from flywheel_runtime.monitoring.statistics.monitored_stream import (
    Stream,
    drift_stream,
    loss_stream,
    observe_fixed,
    observe_losses,
    observe_window,
    share_stream,
)
from flywheel_runtime.monitoring.statistics.streams.decision import Finding

EDGES = stats.norm.ppf(np.linspace(0, 1, 21))
ALLOWANCE = 1 / 8760 / 40
HOUR = 3600


def normal_shares(shift: float) -> np.ndarray:
    return np.diff(stats.norm.cdf(EDGES, shift))


def run_windows(
    stream: Stream, shifts: list[float], rows: int = 1_000, blocks: int = 12, seed: int = 1
) -> list[Finding]:
    random, state, findings = np.random.default_rng(seed), None, []
    for index, shift in enumerate(shifts):
        counts = random.multinomial(rows // blocks, normal_shares(shift), size=blocks)
        new, finding = observe_window(stream, state, counts, ALLOWANCE, index * HOUR)
        state = json.loads(json.dumps(new))
        findings.append(finding)
    return findings


@pytest.fixture(scope="module")
def stream() -> Stream:
    return drift_stream(np.random.default_rng(9).multinomial(20_000, normal_shares(0)), 0.1, 20)


def test_half_a_standard_deviation_is_found_within_hours_and_dated(stream: Stream) -> None:
    findings = run_windows(stream, [0.0] * 20 + [0.5] * 10)
    first = next(index for index, each in enumerate(findings) if each.is_new)

    assert 20 <= first <= 26
    assert abs((findings[first].since or 0) / HOUR - 20) <= 2
    assert (findings[first].log10_evidence or 0) >= -np.log10(ALLOWANCE) - 1e-3
    assert [each.status for each in findings[first:]] == ["Active"] * (30 - first)
    assert sum(each.is_new for each in findings) == 1


def test_a_shift_within_the_threshold_is_silent(stream: Stream) -> None:
    assert {each.status for each in run_windows(stream, [0.3] * 200)} == {"Quiet"}


def test_one_odd_hour_is_silent(stream: Stream) -> None:
    assert {each.status for each in run_windows(stream, [0.0] * 5 + [0.7] + [0.0] * 20)} == {"Quiet"}


def test_an_overwhelming_hour_is_found_at_once(stream: Stream) -> None:
    assert run_windows(stream, [0.0] * 5 + [1.5])[-1].is_new


def test_a_finding_is_cleared_after_three_quiet_looks_and_does_not_flap(stream: Stream) -> None:
    findings = run_windows(stream, [1.0] * 4 + [0.316, 0.33, 0.30] * 20 + [0.0] * 5)
    clears = [index for index, each in enumerate(findings) if each.is_cleared]

    assert sum(each.is_new for each in findings) == 1
    assert len(clears) == 1


def test_too_few_rows_are_unknown_and_leave_the_state_alone(stream: Stream) -> None:
    state, _ = observe_window(stream, None, np.full((12, 20), 3), ALLOWANCE, 0)
    after, finding = observe_window(stream, state, np.full((12, 20), 1), ALLOWANCE, HOUR)

    assert (finding.status, finding.reason, finding.rows) == ("Unknown", "TooFewRows", 240)
    assert after == state


def test_an_active_finding_outlives_a_window_of_few_rows(stream: Stream) -> None:
    random = np.random.default_rng(3)
    state, _ = observe_window(stream, None, random.multinomial(100, normal_shares(2), size=12), ALLOWANCE, 0)
    _, finding = observe_window(stream, state, np.ones((1, 20)), ALLOWANCE, HOUR)

    assert (finding.status, finding.reason, finding.is_new) == ("Active", "TooFewRows", False)


def test_one_document_a_window_is_unknown_until_windows_can_be_compared(stream: Stream) -> None:
    findings = run_windows(stream, [0.0] * 6 + [0.8] * 6, rows=1_000, blocks=1)

    assert [each.reason for each in findings[:5]] == ["DependenceUnknown"] * 5
    assert findings[5].status == "Quiet"
    assert findings[-1].status == "Active"


def test_a_flood_of_equal_rows_from_one_source_is_silent(stream: Stream) -> None:
    random = np.random.default_rng(4)
    counts = random.multinomial(80, normal_shares(0), size=12)
    counts[7, 3] += 1_000

    _, finding = observe_window(stream, None, counts, ALLOWANCE, 0)

    assert finding.status == "Quiet"
    assert (finding.design_effect or 0) > 4


def test_a_missing_share_that_rises_is_found() -> None:
    stream, random, state = share_stream(0, 20_000, 0.01), np.random.default_rng(5), None
    findings = []
    for index in range(6):
        missing = random.binomial(100, 0.05, size=12)
        state, finding = observe_window(
            stream, state, np.stack([missing, 100 - missing], axis=1), ALLOWANCE, index * HOUR
        )
        findings.append(finding)

    assert findings[-1].status == "Active"
    assert findings[-1].effect == pytest.approx(0.05, abs=0.02)


@pytest.mark.parametrize(("error", "is_found"), [(0.11, False), (0.20, True)])
def test_a_loss_that_rises_is_found(error: float, is_found: bool) -> None:
    stream, random = loss_stream(0.1, 5_000, 0.03), np.random.default_rng(6)
    state: dict[str, Any] | None = None
    found = False
    for index in range(60):
        losses = (random.random(500) < error).astype(float)
        state, finding = observe_losses(stream, state, losses, ALLOWANCE, index * HOUR)
        found = found or finding.is_new

    assert found == is_found


def test_losses_without_room_above_the_null_are_unknown() -> None:
    _, finding = observe_losses(loss_stream(0.99, 100, 0.2), None, np.ones(400), ALLOWANCE, 0)

    assert (finding.status, finding.reason) == ("Unknown", "NoRoomAboveNull")


def test_few_reference_rows_make_the_null_wide() -> None:
    few = drift_stream(np.random.default_rng(9).multinomial(200, normal_shares(0)), 0.1, 20)

    assert {each.status for each in run_windows(few, [0.4] * 50)} == {"Quiet"}


def test_a_reference_of_dependent_rows_counts_for_less(stream: Stream) -> None:
    clustered = drift_stream(stream.reference, 0.1, 20, reference_design_effect=10.0)

    assert clustered.test.learning_radius > stream.test.learning_radius
    assert replace(clustered, test=stream.test).threshold == 0.1


@pytest.mark.parametrize(
    "state",
    [
        pytest.param("another number of bins", id="another number of bins"),
        pytest.param({"v": 2}, id="a later format"),
        pytest.param({"v": 1}, id="fields that are missing"),
        pytest.param({}, id="nothing in it"),
        pytest.param([], id="a list"),
    ],
)
def test_a_state_that_is_of_another_test_starts_the_test_again(stream: Stream, state: Any) -> None:
    if isinstance(state, str):
        fewer = drift_stream([1_000] * 12, 0.1, 12)
        state, _ = observe_window(fewer, None, [[100] * 12] * 12, ALLOWANCE, 0)
    counts = np.random.default_rng(3).multinomial(83, normal_shares(0), size=12)

    new, finding = observe_window(stream, state, counts, ALLOWANCE, HOUR)
    expected, first = observe_window(stream, None, counts, ALLOWANCE, HOUR)

    assert (new, finding) == (expected, replace(first, is_restarted=True, is_cleared=True))


def test_a_state_of_losses_that_is_of_another_test_starts_the_test_again() -> None:
    losses = loss_stream(0.1, 5_000, 0.05)
    _, finding = observe_losses(losses, {"v": 1, "logEvidence": [0.0]}, np.full(400, 0.1), ALLOWANCE, 0)

    assert (finding.is_restarted, finding.is_cleared) == (True, True)


def test_evidence_of_a_stored_state_that_is_no_number_starts_the_test_again_and_a_drop_is_found() -> None:
    stream, random = loss_stream(0.1, 5_000, 0.03), np.random.default_rng(6)
    state, _ = observe_losses(stream, None, (random.random(500) < 0.1).astype(float), ALLOWANCE, 0)
    for broken in (
        {**state, "logEvidence": [None] * len(state["logEvidence"])},
        {**state, "logEvidence": [np.nan] * len(state["logEvidence"])},
        {**state, "starts": [np.inf] * len(state["starts"])},
        {**state, "averages": {**state["averages"], "fine": np.nan}},
        {**state, "active": {"since": 0, "log10Evidence": np.inf}},
    ):
        found, given = [], broken
        for hour in range(1, 30):
            given, finding = observe_losses(
                stream, given, (random.random(500) < 0.5).astype(float), ALLOWANCE, hour * HOUR
            )
            found.append(finding)

        assert found[0].is_restarted
        assert found[-1].status == "Active"


@pytest.mark.parametrize("is_active", [False, True])
def test_losses_that_are_no_numbers_conclude_nothing_and_leave_the_evidence(is_active: bool) -> None:
    stream, random = loss_stream(0.1, 5_000, 0.03), np.random.default_rng(6)
    state: dict[str, Any] | None = None
    for hour in range(20 if is_active else 1):
        losses = (random.random(500) < (0.5 if is_active else 0.1)).astype(float)
        state, before = observe_losses(stream, state, losses, ALLOWANCE, hour * HOUR)
    broken = np.append(losses, np.nan)

    after, finding = observe_losses(stream, state, broken, ALLOWANCE, 21 * HOUR)

    assert before.status == ("Active" if is_active else "Quiet")
    assert (finding.status, finding.reason) == ("Active" if is_active else "Unknown", "NotFinite")
    assert finding.effect is None
    assert after == state


def test_a_p_value_that_is_no_number_concludes_nothing(stream: Stream) -> None:
    counts = np.random.default_rng(3).multinomial(83, normal_shares(0), size=12)

    _, finding = observe_fixed(stream, None, counts, np.nan, 0.05, HOUR)

    assert (finding.status, finding.reason) == ("Unknown", "NotFinite")


@pytest.mark.parametrize("rows", [5_000, 3])
def test_a_state_is_read_back_by_the_test_that_wrote_it(stream: Stream, rows: int) -> None:
    shares = share_stream(10, 5_000, 0.01)
    random, state, of_share = np.random.default_rng(4), None, None
    for hour in range(3):
        state, found = observe_window(
            stream,
            json.loads(json.dumps(state)),
            random.multinomial(rows // 3, normal_shares(0), size=12),
            ALLOWANCE,
            hour,
        )
        of_share, also = observe_window(
            shares, json.loads(json.dumps(of_share)), [[1, rows // 3]] * 12, ALLOWANCE, hour
        )

        assert not found.is_restarted
        assert not also.is_restarted
