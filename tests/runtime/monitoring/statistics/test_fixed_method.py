"""Method Fixed: one window at a time, by p-values that Holm's correction has adjusted."""

import json
from typing import Any

import numpy as np
import pytest
from scipy import stats

from flywheel_runtime.monitoring.statistics.fixed_tests import holm_adjusted
from flywheel_runtime.monitoring.statistics.monitored_stream import (
    CountStream,
    drift_stream,
    observe_fixed,
    observe_window,
    share_stream,
    window_p_value,
)
from flywheel_runtime.monitoring.statistics.streams.decision import Finding
from flywheel_runtime.monitoring.statistics.streams.estimate_stream import EstimateStream

EDGES, HOUR = stats.norm.ppf(np.linspace(0, 1, 21)), 3600
LEVEL = 1 / 8760
MIDDLES = (np.arange(20) + 0.5) / 20


def normal_shares(shift: float) -> np.ndarray:
    return np.diff(stats.norm.cdf(EDGES, shift))


def drift() -> CountStream:
    return drift_stream(np.random.default_rng(9).multinomial(20_000, normal_shares(0)), 0.1, 20)


def run_windows(stream: CountStream, shifts: list[float], rows: int = 1_200) -> list[Finding]:
    random, state, found = np.random.default_rng(1), None, []
    for index, shift in enumerate(shifts):
        blocks = random.multinomial(rows // 12, normal_shares(shift), size=12)
        p_value = window_p_value(stream, state, blocks)
        new, finding = observe_fixed(stream, state, blocks, p_value, LEVEL, index * HOUR)
        state = json.loads(json.dumps(new))
        found.append(finding)
    return found


def test_a_large_shift_is_found_in_its_first_window_and_cleared_after_three() -> None:
    found = run_windows(drift(), [0.0] * 3 + [0.7] * 3 + [0.0] * 4)

    assert [each.is_new for each in found].index(True) == 3
    assert found[3].since == 3 * HOUR
    assert (found[3].log10_evidence or 0) > 4
    assert [each.is_cleared for each in found].index(True) == 8
    assert sum(each.is_new for each in found) == 1


def test_a_shift_within_the_threshold_is_silent() -> None:
    assert {each.status for each in run_windows(drift(), [0.3] * 60)} == {"Quiet"}


def test_what_is_not_tested_has_no_p_value() -> None:
    stream = drift()
    assert window_p_value(stream, None, np.full((12, 20), 1)) is None, "too few rows"
    assert window_p_value(stream, None, np.full((1, 20), 50)) is None, "the dependence is unknown"
    few = observe_fixed(stream, None, np.full((12, 20), 1), None, LEVEL, 0)[1]
    assert (few.status, few.reason) == ("Unknown", "TooFewRows")


def test_a_state_goes_on_from_one_method_to_the_other_without_its_evidence() -> None:
    stream, blocks = drift(), np.random.default_rng(2).multinomial(100, normal_shares(0.5), size=12)
    sequential, _ = observe_window(stream, None, blocks, 1e-6, 0)
    fixed, finding = observe_fixed(stream, sequential, blocks, 1.0, LEVEL, HOUR)
    assert not finding.is_restarted
    assert fixed["logEvidence"] is None

    _, again = observe_window(stream, fixed, blocks, 1e-6, 2 * HOUR)
    assert not again.is_restarted


@pytest.mark.parametrize("effect", [1.0, 4.0])
def test_dependent_rows_count_less(effect: float) -> None:
    stream, counts = drift(), np.random.default_rng(3).multinomial(1_200, normal_shares(0.6)).astype(float)
    share = share_stream(100, 10_000, 0.01)

    assert stream.p_value(counts, effect) <= stream.p_value(counts, 2 * effect)
    assert share.p_value(np.array([60.0, 1_140.0]), effect) <= share.p_value(np.array([60.0, 1_140.0]), 2 * effect)


def make_estimate(metric: Any, reference: np.ndarray) -> EstimateStream:
    rates = MIDDLES if metric == "roc_auc" else np.minimum(MIDDLES, 1 - MIDDLES)
    return EstimateStream(metric, rates, reference.astype(float), 0.02)


@pytest.mark.parametrize("metric", ["roc_auc", "accuracy", "mae", "rmse"])
def test_the_level_of_an_estimate_holds_at_its_threshold(metric: Any) -> None:
    random = np.random.default_rng(4)
    base = stats.beta(2, 3).pdf(MIDDLES)
    known = make_estimate(metric, base / base.sum() * 1e9)
    amounts = np.linspace(0, 1, 4_001)[:, None]
    moved = (1 - amounts) * base / base.sum() + amounts * np.eye(20)[9]
    at_threshold = moved[int(np.argmax([known.effect(each * 1e6) >= 0.02 for each in moved]))]
    values = [
        make_estimate(metric, random.multinomial(5_000, base / base.sum())).p_value(
            random.multinomial(1_000, at_threshold).astype(float), 1.0
        )
        for _ in range(2_000)
    ]

    for level in (0.05, 0.01):
        assert np.mean(np.array(values) <= level) <= level + 3 * (level / 2_000) ** 0.5


def test_no_window_of_forty_null_streams_has_more_false_alarms_than_the_level() -> None:
    """At the threshold itself: the chance of any rejection among the tests of a window."""
    random, level, windows = np.random.default_rng(5), 0.05, 300
    streams = [drift_stream(random.multinomial(1_000_000, normal_shares(0)), 0.1, 20) for _ in range(40)]
    rejected = 0
    for _ in range(windows):
        found = [
            stream.p_value(random.multinomial(1_000, normal_shares(0.316)).astype(float), 1.0) for stream in streams
        ]
        rejected += bool((holm_adjusted(found) <= level).any())

    assert rejected <= stats.binom.isf(1e-4, windows, level)
