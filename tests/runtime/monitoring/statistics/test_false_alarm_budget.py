"""The budget is divided without a remainder, whatever comes and goes."""

import pytest

from flywheel_runtime.monitoring.statistics.false_alarm_budget import alarms_left, look_allowances, split_allowance

YEAR = 365 * 86400.0


@pytest.mark.parametrize(
    "subjects",
    [
        {"featureDrift": ["age"]},
        {"featureDrift": ["age", "fare"], "dataQuality": ["age", "fare"], "predictionDrift": ["p"]},
        {"featureDrift": [f"{version}/{index}" for version in "ab" for index in range(200)], "performance": []},
        {"anotherSignal": ["x"], "fairness": ["f", "m"]},
    ],
)
@pytest.mark.parametrize("hours", [1, 24])
def test_the_allowances_of_a_year_are_the_budget(subjects: dict[str, list[str]], hours: int) -> None:
    allowances = look_allowances(subjects, 1, YEAR, hours * 3600)

    assert sum(allowances.values()) * 365 * 24 / hours == pytest.approx(1.0)
    assert all(each > 0 for each in allowances.values())


def test_nothing_to_look_at_costs_nothing() -> None:
    assert look_allowances({"featureDrift": []}, 1, YEAR, 3600) == {}


def test_alarms_of_the_last_year_are_spent() -> None:
    assert alarms_left(2, YEAR, [1.0, YEAR + 5], now=YEAR + 10) == 1.0
    assert alarms_left(1, YEAR, [YEAR + 1, YEAR + 5], now=YEAR + 10) == 0.0


def test_the_allowances_of_other_signals_and_what_is_left_are_the_budget() -> None:
    allowances, rest = split_allowance(["dataQuality", "featureDrift"], ["performance", "fairness"], 2, 100.0, 10)

    assert sum(allowances.values()) * 100 / 10 + rest == pytest.approx(2)
    assert 0 < allowances["fairness"] < allowances["performance"]
    assert 0 < rest < 2


def test_what_is_asked_for_alone_leaves_all_the_rest() -> None:
    assert split_allowance(["dataQuality"], [], 2, 100.0, 10) == ({}, 2)
