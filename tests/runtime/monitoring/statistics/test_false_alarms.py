"""Null years at the level of counts: the alarms stay within the budget, with cycles and dependence, near the threshold and at it."""

import pytest

from e2e.bench.monitoring.false_alarms import NULLS, count_false_alarms
from e2e.bench.monitoring.simulated_streams import Monitor, SimulatedStreams, Traffic, first_alarms


@pytest.mark.integration
@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", ["10 features, windows of a day, at the threshold"])
def test_three_hundred_null_years_are_within_the_budget(name: str) -> None:
    found = count_false_alarms(NULLS[name], years=300)

    assert found.upper_bound <= found.budget


@pytest.mark.long_run
@pytest.mark.timeout(10_000)
@pytest.mark.parametrize("name", NULLS)
def test_ten_thousand_null_years_are_within_the_budget(name: str) -> None:
    found = count_false_alarms(NULLS[name], years=10_000)

    assert found.upper_bound <= found.budget


@pytest.mark.parametrize(
    ("traffic", "threshold"),
    [
        pytest.param(Traffic(shift=0.316), 0.1, id="at the threshold"),
        pytest.param(Traffic(shift=0.1), 0.01, id="at a small threshold"),
        pytest.param(Traffic(), 0.0, id="without a threshold"),
        pytest.param(Traffic(shift=0.316, cluster=10), 0.1, id="rows in clusters of ten"),
    ],
)
@pytest.mark.parametrize("reference_rows", [100, 1_000, 1_000_000])
def test_a_generous_budget_is_not_exceeded_either(traffic: Traffic, threshold: float, reference_rows: int) -> None:
    """One false alarm in 50 looks: what the bets lose on few looks cannot hide that they are fair."""
    monitor = Monitor(reference_rows=reference_rows, threshold=threshold, allowance=0.02)
    streams, windows = SimulatedStreams(100, traffic, monitor, seed=3), 40

    alarms = sum(len(each) for each in streams.observe_windows(windows))

    assert alarms <= 100 * windows * monitor.allowance


@pytest.mark.parametrize(("shift", "rows", "hours"), [(0.5, 300, 16), (0.5, 1_000, 6), (0.7, 300, 4), (1.0, 1_000, 2)])
def test_a_change_is_found_within_hours(shift: float, rows: int, hours: int) -> None:
    """Nine of ten streams, with the share of the budget that one of 40 has."""
    monitor = Monitor(bins=20, allowance=1 / 8760 / 40)
    first = first_alarms(SimulatedStreams(100, Traffic(shift=shift, rows=rows), monitor, seed=5), 100)

    assert (first <= hours).mean() >= 0.9
