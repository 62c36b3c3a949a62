"""Labelled performance: which windows are read and tested, and how seldom a model that did not become worse is called so."""

from typing import Any

import numpy as np
import pytest

from flywheel_runtime.contract.errors import Undefined
from flywheel_runtime.monitoring.labels.drawn_labels import estimate_versions
from flywheel_runtime.monitoring.labels.join import LabelCounts, LabelledRows
from flywheel_runtime.monitoring.labels.label_matching import Delay
from flywheel_runtime.monitoring.labels.label_sample import LabelSample
from flywheel_runtime.monitoring.labels.labelled_windows import MAX_WINDOWS, first_frozen_start, label_schedule
from flywheel_runtime.monitoring.labels.performance import (
    PerformanceTarget,
    TestMetric,
    measure_performance,
    read_test_metric,
)
from flywheel_runtime.monitoring.statistics.false_alarm_budget import split_allowance
from flywheel_runtime.statistics.metrics import ScoredRows

HOUR = 3_600
TARGET = PerformanceTarget("roc_auc", 0.03)
REFERENCE = TestMetric(5 / 6, 4_000)  # of labels that have the probability of their score, which is uniform


def window(number: int, random: np.random.Generator, flipped: float = 0.0, rows: int = 600) -> LabelledRows:
    score = random.random(rows)
    truth = (random.random(rows) < score) ^ (random.random(rows) < flipped)
    scored = ScoredRows(truth.astype(int), (score >= 0.5).astype(int), np.stack([1 - score, score], axis=1))
    return LabelledRows(number * HOUR, "v1", LabelCounts(rows, rows), scored, {})


@pytest.mark.parametrize(
    ("labelled_until", "until", "delay", "open_hours", "frozen_hours"),
    [
        pytest.param(8, 11, Delay(0, 2 * HOUR), [9, 10], [8], id="each run freezes one window"),
        pytest.param(8, 11, Delay(HOUR, 2 * HOUR), [9], [8], id="labels that are awaited for an hour"),
        pytest.param(8, 13, Delay(0, 2 * HOUR), [11, 12], [8, 9, 10], id="a run after a pause freezes several"),
        pytest.param(10, 11, Delay(0, 2 * HOUR), [10], [], id="none from before the monitor"),
        pytest.param(10, 11, Delay(0, 0), [], [10], id="labels at once"),
    ],
)
def test_a_window_is_open_until_its_labels_are_too_late(
    labelled_until: int, until: int, delay: Delay, open_hours: list[int], frozen_hours: list[int]
) -> None:
    found = label_schedule(until * HOUR, HOUR, delay, labelled_until * HOUR)

    assert [start // HOUR for start in found.open_starts] == open_hours
    assert [start // HOUR for start in found.frozen_starts] == frozen_hours


@pytest.mark.parametrize("run_hours", [1, 3], ids=["each hour", "three at once"])
def test_every_window_is_frozen_once(run_hours: int) -> None:
    delay = Delay(0, 5 * HOUR // 2)
    labelled_until = first_frozen_start(20 * HOUR, HOUR, delay)
    frozen: list[int] = []
    for hour in range(20, 62, run_hours):
        found = label_schedule((hour + run_hours) * HOUR, HOUR, delay, labelled_until)
        frozen += found.frozen_starts
        labelled_until = max(found.frozen_starts, default=labelled_until - HOUR) + HOUR
        assert labelled_until == first_frozen_start((hour + run_hours) * HOUR, HOUR, delay)

    assert frozen == [each * HOUR for each in range(17, 59)]


@pytest.mark.parametrize(
    ("window_seconds", "days"), [(900, 3), (1_200, 3), (HOUR, 9), (HOUR, 14)], ids=["15m", "20m", "1h, 9d", "1h, 14d"]
)
def test_frozen_windows_are_tested_however_many_are_open(window_seconds: int, days: int) -> None:
    until, delay = 100 * 86_400, Delay(0, days * 86_400)
    found = label_schedule(until, window_seconds, delay, first_frozen_start(until - HOUR, window_seconds, delay))

    assert len(found.open_starts) > MAX_WINDOWS
    assert found.starts[: HOUR // window_seconds] == found.frozen_starts
    assert len(found.starts) == MAX_WINDOWS
    assert found.starts[-1] == until - window_seconds


def test_what_is_frozen_beyond_one_run_is_left_to_the_next() -> None:
    found = label_schedule(500 * HOUR, HOUR, Delay(0, 0), 100 * HOUR)

    assert found.frozen_starts == [each * HOUR for each in range(100, 300)]
    assert found.open_starts == []


def test_a_year_without_a_drop_is_silent_and_a_drop_is_found_within_hours() -> None:
    random, state, alarms = np.random.default_rng(5), None, 0
    counted = ["dataQuality", "featureDrift", "predictionDrift"]
    allowance = split_allowance(counted, ["performance"], 1, 365 * 86_400, HOUR)[0]["performance"]
    for number in range(1_000):
        performance = measure_performance(window(number, random), TARGET, REFERENCE)
        state, outcome = performance.observe(state, allowance, 300)
        alarms += outcome.is_new
    assert alarms == 0

    outcomes = []
    for number in range(1_000, 1_012):
        performance = measure_performance(window(number, random, flipped=0.3), TARGET, REFERENCE)
        state, outcome = performance.observe(state, allowance, 300)
        outcomes.append(outcome.status)
    assert outcomes[-1] == "Active"
    assert performance.drop > 0.1


def drawn_window(number: int, random: np.random.Generator, flipped: float = 0.0) -> LabelledRows:
    """A window of which 400 rows are labelled, most of them where the score is near 1/2, and 100 others without a draw."""
    found = window(number, random, flipped, rows=4_000)
    doubt = 1 - np.abs(2 * found.scored.probabilities[:, 1] - 1)
    chances = 400 * (0.3 / 4_000 + 0.7 * doubt / doubt.sum())
    drawn, anyway = random.random(4_000) < chances, random.random(4_000) < 0.025
    labelled = np.flatnonzero(drawn | anyway)
    sample = LabelSample(np.where(drawn, chances, np.nan)[labelled], anyway[labelled])
    counts = LabelCounts(4_000, len(labelled), drawn=int(drawn.sum()))
    return LabelledRows(found.start, "v1", counts, found.scored.take(labelled), {}, sample)


@pytest.mark.parametrize(
    ("metric", "value"), [("roc_auc", 5 / 6), ("accuracy", 0.75), ("brier", 1 / 6), ("log_loss", 0.5)]
)
def test_drawn_labels_are_tested_by_their_weights_so_that_no_biased_sample_alarms(metric: str, value: float) -> None:
    random, state, alarms, values = np.random.default_rng(5), None, 0, []
    target, reference = PerformanceTarget(metric, 0.03), TestMetric(value, 4_000)
    counted = ["dataQuality", "featureDrift", "predictionDrift"]
    allowance = split_allowance(counted, ["performance"], 1, 365 * 86_400, HOUR)[0]["performance"]
    for number in range(200):
        performance = measure_performance(drawn_window(number, random), target, reference)
        state, outcome = performance.observe(state, allowance, 300)
        values.append(performance.interval.value)
        alarms += outcome.is_new
    assert alarms == 0
    assert np.mean(values) == pytest.approx(value, abs=0.01)

    for number in range(200, 230):
        performance = measure_performance(drawn_window(number, random, flipped=0.3), target, reference)
        state, outcome = performance.observe(state, allowance, 300)
    assert outcome.status == "Active"

    for number in range(230, 240):
        performance = measure_performance(drawn_window(number, random), PerformanceTarget(metric, 0.2), reference)
        state, outcome = performance.observe(state, allowance, 300)
    assert outcome.status == "Quiet"


def test_one_label_with_the_least_probability_in_each_window_hides_no_drop() -> None:
    random, state = np.random.default_rng(5), None
    target, reference = PerformanceTarget("accuracy", 0.03), TestMetric(0.75, 4_000)
    for number in range(30):
        found = drawn_window(number, random, flipped=0.5)
        assert found.sample.probabilities is not None
        right = np.flatnonzero(~np.isnan(found.sample.probabilities) & (found.scored.y_true == found.scored.predicted))
        found.sample.probabilities[right[0]] = 1e-6
        performance = measure_performance(found, target, reference)
        state, outcome = performance.observe(state, 1e-6, 300)

        assert found.sample.capped == 1
        assert performance.interval.value < 0.75 - 0.1
    assert outcome.status == "Active"


def test_a_metric_of_classes_is_not_tested_for_a_version_without_classes() -> None:
    rows = ScoredRows(np.zeros(2), np.zeros(2), np.empty((2, 0)))

    with pytest.raises(Undefined, match="accuracy is no metric of a regression; a version of classes names them"):
        measure_performance(
            LabelledRows(0, "v1", LabelCounts(2, 2), rows, {}), PerformanceTarget("accuracy", 0.1), TestMetric(0.9, 100)
        )


def test_a_metric_that_is_no_finite_number_is_not_tested() -> None:
    values = np.array([1e200, 1.0])
    rows = ScoredRows(values, -values, np.empty((2, 0)))

    with np.errstate(over="ignore"), pytest.raises(Undefined, match="rmse of its labelled rows is no finite number"):
        measure_performance(
            LabelledRows(0, "v1", LabelCounts(2, 2), rows, {}), PerformanceTarget("rmse", 1.0), TestMetric(1.0, 100)
        )


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_metric_of_test_rows_that_is_no_finite_number_is_none(value: float) -> None:
    with pytest.raises(Undefined):
        read_test_metric("rmse", {"test": {"rows": 100, "metrics": {"rmse": value}}})


def test_the_drawn_labels_of_all_windows_give_one_estimate_for_each_version() -> None:
    random = np.random.default_rng(8)
    windows = [window(0, random), *(drawn_window(number, random) for number in range(1, 5))]

    [estimate] = estimate_versions(windows, "accuracy")

    assert (estimate.version, estimate.rows, estimate.starts) == ("v1", 16_000, (HOUR, 2 * HOUR, 3 * HOUR, 4 * HOUR))
    assert estimate.interval.low < 0.75 < estimate.interval.high
    assert estimate.half_width < 0.03
    assert estimate.drawn < estimate.labelled
    assert estimate_versions(windows[:1], "accuracy") == []


@pytest.mark.parametrize(
    ("metric", "evaluation", "rows"),
    [
        pytest.param("roc_auc", {"test": {"rows": 100, "metrics": {"roc_auc": 0.8}}, "confusionMatrix": {"counts": [[60, 10], [5, 25]]}}, 30, id="pairs by the rarer class"),
        pytest.param("roc_auc", {"test": {"rows": 100, "metrics": {"roc_auc": 0.8}}}, 50, id="pairs without a matrix"),
        pytest.param("rmse", {"test": {"rows": 100, "metrics": {"rmse": 0.8}}}, 100, id="rows"),
    ],
)  # fmt: skip
def test_the_reference_is_the_metric_on_test_rows(metric: str, evaluation: dict[str, Any], rows: int) -> None:
    assert read_test_metric(metric, evaluation) == TestMetric(0.8, rows)


@pytest.mark.parametrize(
    ("value", "rows"),
    [(1e300, 100), (float("nan"), 100), (float("inf"), 100), (10**400, 100), ("much", 100), (0.8, 10**400), (0.8, "all"), (0.8, None)],
    ids=lambda each: str(each)[:9],
)  # fmt: skip
def test_numbers_of_a_step_of_the_users_that_are_none_are_no_reference(value: Any, rows: Any) -> None:
    with pytest.raises(Undefined, match="no rmse on test rows"):
        read_test_metric("rmse", {"test": {"rows": rows, "metrics": {"rmse": value}}})


def test_without_test_rows_there_is_no_reference() -> None:
    with pytest.raises(Undefined, match="no mae on test rows; give its Dataset a split with a test part"):
        read_test_metric("mae", {"test": {"rows": 0, "metrics": {}}})


@pytest.mark.parametrize("metric", ["accuracy", "brier", "log_loss", "roc_auc"])
def test_the_interval_has_the_value_inside(metric: str) -> None:
    target, reference = PerformanceTarget(metric, 0.05), TestMetric(0.5, 1_000)

    interval = measure_performance(window(0, np.random.default_rng(1)), target, reference).interval

    assert interval.low < interval.value < interval.high
