"""Null years of estimated performance stay within the budget, and a drop is found within days."""

import pytest

from e2e.bench.monitoring.estimated_years import ESTIMATED_NULLS, count_estimated_alarms, hours_until_found


@pytest.mark.integration
@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", ["rmse with a daily cycle up to the threshold"])
def test_three_hundred_null_years_are_within_the_budget(name: str) -> None:
    found = count_estimated_alarms(ESTIMATED_NULLS[name], 300)

    assert found.upper_bound <= found.budget


@pytest.mark.long_run
@pytest.mark.timeout(20_000)
@pytest.mark.parametrize("name", ESTIMATED_NULLS)
def test_ten_thousand_null_years_are_within_the_budget(name: str) -> None:
    found = count_estimated_alarms(ESTIMATED_NULLS[name], 10_000)

    assert found.upper_bound <= found.budget


@pytest.mark.parametrize("name", ESTIMATED_NULLS)
def test_a_generous_budget_is_not_exceeded_either(name: str) -> None:
    """One false alarm in 50 looks: what the bets lose on few looks cannot hide that they are fair."""
    found = count_estimated_alarms(ESTIMATED_NULLS[name], 200, windows=50)

    assert found.alarms <= found.budget


@pytest.mark.parametrize(("metric", "rows", "hours"), [("roc_auc", 1_000, 24), ("accuracy", 1_000, 6)])
def test_twice_the_threshold_is_found_within_hours(metric: str, rows: int, hours: int) -> None:
    assert hours_until_found(metric, 0.04, rows, streams=9) <= hours  # type: ignore[arg-type]
