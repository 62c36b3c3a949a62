"""The test of estimated performance: its effect beside scikit-learn's metrics, its e-values within the null, and how soon it finds."""

import json
from typing import Any

import numpy as np
import pytest
from sklearn import metrics

from flywheel_runtime.monitoring.statistics.estimation import calibrate_bins
from flywheel_runtime.monitoring.statistics.monitored_stream import observe_window
from flywheel_runtime.monitoring.statistics.streams.decision import Finding
from flywheel_runtime.monitoring.statistics.streams.estimate_stream import (
    EstimateStream,
    pair_kernels,
    pair_rows,
    reference_error,
)

BINS, HOUR, ALLOWANCE = 50, 3600, 1 / 8760 / 40
MIDDLES = (np.arange(BINS) + 0.5) / BINS
WIDE = MIDDLES * (1 - MIDDLES) ** 4 + 0.02 * MIDDLES  # shares of scores, before they are scaled
WIDE = WIDE / WIDE.sum()


def narrow(amount: float) -> np.ndarray:
    """Shares of scores of which a part has moved to the middle of all, where the model knows nothing."""
    middle = np.zeros(BINS)
    middle[int((WIDE * MIDDLES).sum() * BINS)] = 1
    shares: np.ndarray = (1 - amount) * WIDE + amount * middle
    return shares


def make_stream(metric: Any = "roc_auc", max_drop: float = 0.03, rows: int = 10_000, seed: int = 1) -> EstimateStream:
    reference = np.random.default_rng(seed).multinomial(rows, WIDE).astype(float)
    rates = MIDDLES if metric == "roc_auc" else np.minimum(MIDDLES, 1 - MIDDLES)
    return EstimateStream(metric, rates, reference, max_drop)


def run_windows(stream: EstimateStream, shares: list[np.ndarray], rows: int = 1_000, seed: int = 2) -> list[Finding]:
    random, state, found = np.random.default_rng(seed), None, []
    for index, each in enumerate(shares):
        blocks = random.multinomial(rows // 12, each, size=12)
        new, finding = observe_window(stream, state, blocks, ALLOWANCE, index * HOUR)
        state = json.loads(json.dumps(new))
        found.append(finding)
    return found


@pytest.mark.parametrize("metric", ["roc_auc", "accuracy"])
def test_less_certain_scores_are_found_within_days_and_dated(metric: Any) -> None:
    found = run_windows(make_stream(metric), [WIDE] * 10 + [narrow(0.7)] * 40)
    first = next(index for index, each in enumerate(found) if each.is_new)

    assert first >= 10
    assert (found[first].effect or 0) > 0.03
    assert abs((found[first].since or 0) / HOUR - 10) <= 3


@pytest.mark.parametrize("metric", ["roc_auc", "accuracy"])
def test_the_traffic_of_the_reference_is_silent(metric: Any) -> None:
    assert {each.status for each in run_windows(make_stream(metric), [WIDE] * 100)} == {"Quiet"}


@pytest.mark.parametrize("metric", ["roc_auc", "accuracy", "mae", "rmse"])
def test_no_e_value_has_a_mean_above_one_at_the_threshold(metric: Any) -> None:
    """The reference is known here: without its error the bets are fair at the threshold, and only fair."""
    known = EstimateStream(metric, make_stream(metric).rates, WIDE * 1e9, 0.03)
    amounts = np.linspace(0, 1, 2001)
    drops = np.array([known.effect(narrow(each)) for each in amounts])
    at_threshold = narrow(amounts[drops <= 0.03].max())
    assert known.effect(at_threshold) == pytest.approx(0.03, abs=1e-3)
    random = np.random.default_rng(3)

    windows = [random.multinomial(400, at_threshold, size=1).astype(float) for _ in range(4_000)]
    values = np.exp([known.log_e_values(np.zeros((0, BINS)), each, 1.0, seed)[0] for seed, each in enumerate(windows)])

    smallest_bets = values[:, :2]  # of the largest the mean is of rare windows
    assert (smallest_bets.mean(axis=0) <= 1 + 4 * smallest_bets.std(axis=0) / len(windows) ** 0.5).all()


def test_the_effect_is_the_drop_of_scikit_learns_area_of_expected_rows() -> None:
    stream, now = make_stream(), np.random.default_rng(4).multinomial(4_000, narrow(0.5)).astype(float)

    def area(counts: np.ndarray) -> float:
        weights = np.concatenate([counts * MIDDLES, counts * (1 - MIDDLES)])
        labels, scores = np.repeat([1, 0], BINS), np.tile(MIDDLES, 2)
        return float(metrics.roc_auc_score(labels, scores, sample_weight=weights))

    assert stream.effect(now) == pytest.approx(area(stream.reference) - area(now))


def test_an_area_is_the_ratio_of_two_means_over_pairs() -> None:
    stream = make_stream()
    concordant, pairs = pair_kernels(stream.rates)
    shares = stream.reference / stream.reference.sum()

    assert shares @ concordant @ shares / (shares @ pairs @ shares) == pytest.approx(stream.reference_value)


def test_each_row_is_in_one_pair_and_the_seed_fixes_them() -> None:
    counts = np.random.default_rng(5).multinomial(1_001, WIDE).astype(float)
    pairs = pair_rows(counts, 7)

    assert pairs.sum() == 500
    assert (pairs.sum(axis=0) + pairs.sum(axis=1) <= counts).all()
    assert np.array_equal(pairs, pair_rows(counts, 7))


def test_a_window_of_many_rows_is_paired_from_a_million_of_them() -> None:
    assert pair_rows(3e6 * WIDE, 1).sum() == 500_000


@pytest.mark.parametrize("rows", [300, 3_000])
def test_the_error_of_the_reference_covers_what_samples_differ_by(rows: int) -> None:
    random, values = np.random.default_rng(6), np.minimum(MIDDLES, 1 - MIDDLES)
    samples = random.multinomial(rows, WIDE, size=5_000) / rows
    errors = (WIDE * values).sum() - samples @ values

    assert all(error <= reference_error(values, shares, rows) for error, shares in zip(errors, samples, strict=True))


def test_scores_that_can_be_no_worse_have_no_room() -> None:
    stream = EstimateStream("accuracy", np.minimum(MIDDLES, 1 - MIDDLES), WIDE * 10_000, 0.6)
    found = run_windows(stream, [narrow(1.0)] * 3)

    assert {(each.status, each.reason) for each in found} == {("Unknown", "NoRoomAboveNull")}


def test_a_calibration_of_labelled_rows_gives_the_rates() -> None:
    random = np.random.default_rng(8)
    rows = random.multinomial(50_000, WIDE)
    rates = calibrate_bins(random.binomial(rows, MIDDLES), rows, MIDDLES).positive_rate
    stream = EstimateStream("roc_auc", rates, rows.astype(float), 0.03)

    assert stream.reference_value == pytest.approx(make_stream(rows=1_000_000).reference_value, abs=0.01)
