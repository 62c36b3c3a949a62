"""A stream of groups: silent within the threshold, found beyond it, over states that went through JSON and groups that come and go."""

import json
from collections.abc import Iterable
from typing import Any

import numpy as np
import pytest

from flywheel_runtime.monitoring.fairness.group_differences import GroupCounts, count_outcomes
from flywheel_runtime.monitoring.fairness.group_stream import MAX_KNOWN, observe_groups
from flywheel_runtime.monitoring.statistics.streams.decision import Finding
from tests.examples import examples

HOUR = 3_600
ALLOWANCE = 1 / 8_760 / 8
YEAR = 8_760
RATE = "selection rate"


def draw(random: np.random.Generator, rates: dict[str, float], rows: int = 500) -> GroupCounts:
    groups = random.permutation(np.repeat(np.arange(len(rates)), rows))
    outcomes = (random.random(len(groups)) < np.asarray([*rates.values()])[groups]).astype(int)
    return count_outcomes(tuple(rates), groups, outcomes, np.array([0.0, 1.0]))


def run_windows(windows: Iterable[dict[str, float]], seed: int = 1, allowance: float = ALLOWANCE) -> list[Finding]:
    random, state, found = np.random.default_rng(seed), None, []
    for number, rates in enumerate(windows):
        new, finding = observe_groups({RATE: draw(random, rates)}, state, 0.1, allowance, number * HOUR)
        state = json.loads(json.dumps(new))
        found.append(finding)
    return found


@pytest.mark.parametrize(
    "rates",
    [
        pytest.param({"a": 0.3, "b": 0.2}, id="two groups at the threshold"),
        pytest.param({str(each): 0.3 - each / 50 for each in range(6)}, id="six groups at the threshold"),
    ],
)
def test_years_at_the_threshold_have_no_more_false_alarms_than_allowed(rates: dict[str, float]) -> None:
    """With an allowance 100 times that of a year, so that a simulation of weeks has as many alarms to lose."""
    looks = 40 * examples(10, ci=3)
    alarms = sum(each.is_new for each in run_windows([rates] * looks, allowance=100 * ALLOWANCE))

    assert alarms <= 3 + 2 * looks * 100 * ALLOWANCE


@pytest.mark.parametrize("groups", [2, 8])
def test_a_gap_is_found_within_hours_dated_and_cleared(groups: int) -> None:
    alike = {str(each): 0.25 for each in range(groups)}
    found = run_windows([alike] * 5 + [{**alike, "0": 0.55}] * 8 + [alike] * 4)
    first = next(number for number, each in enumerate(found) if each.is_new)

    assert 5 < first < 12
    assert found[first].since == 5 * HOUR
    assert found[first].effect == pytest.approx(0.3, abs=0.06)
    assert [each.status for each in found[-5:]] == ["Active", "Active", "Active", "Quiet", "Quiet"]
    assert sum(each.is_new for each in found) == 1


def test_one_odd_window_is_no_alarm() -> None:
    alike = {"a": 0.3, "b": 0.3}
    found = run_windows([*[alike] * 5, {"a": 0.45, "b": 0.3}, *[alike] * 5])

    assert {each.status for each in found} == {"Quiet"}


def test_groups_come_and_go_and_the_evidence_of_the_others_goes_on() -> None:
    apart = {"a": 0.45, "b": 0.25}
    found = run_windows([apart, {**apart, "new": 0.35}] * 10)
    first = next(number for number, each in enumerate(found) if each.is_new)

    assert found[first].since == 0
    many: list[dict[str, float]] = [{f"{number}-{each}": 0.3 for each in range(5)} for number in range(6)]
    random, state = np.random.default_rng(2), None
    for number, rates in enumerate(many):
        state, _ = observe_groups({RATE: draw(random, rates, 100)}, state, 0.1, ALLOWANCE, number)
    assert state is not None
    assert len(state["groups"]) == MAX_KNOWN


def test_one_group_is_unknown_and_keeps_a_finding() -> None:
    found = run_windows([{"a": 0.6, "b": 0.2}] * 5 + [{"a": 0.6}])

    assert (found[-1].status, found[-1].reason) == ("Active", "TooFewRows")
    assert run_windows([{"a": 0.6}])[0].status == "Unknown"


def test_rates_share_the_allowance_and_any_of_them_is_found() -> None:
    random, state, statuses = np.random.default_rng(3), None, []
    for number in range(8):
        rates = {
            "true positive rate": draw(random, {"a": 0.7, "b": 0.7}),
            "false positive rate": draw(random, {"a": 0.5, "b": 0.2}),
        }
        state, finding = observe_groups(rates, state, 0.1, ALLOWANCE, number)
        statuses.append(finding.status)

    assert statuses[-1] == "Active"


@pytest.mark.parametrize(
    "broken",
    [{}, {"groups": ["a"], "stream": {}}, {"groups": 3, "stream": None}, {"groups": ["a", "b"], "stream": {"v": 2}}],
)
def test_a_state_that_does_not_fit_starts_again(broken: dict[str, Any]) -> None:
    _, finding = observe_groups({RATE: draw(np.random.default_rng(4), {"a": 0.3, "b": 0.3})}, broken, 0.1, ALLOWANCE, 0)

    assert finding.is_restarted
