"""Evidence over time: the expected number of alarms is at most the sum of the allowances."""

import numpy as np
import pytest

from flywheel_runtime.monitoring.statistics.detector import (
    add_evidence,
    limit_log_e_values,
    total_log_evidence,
)

LOG_WEIGHTS = np.log(np.array([0.5, 0.5]))


@pytest.mark.parametrize("bet", [0.3, 0.9])
def test_fair_bets_raise_no_more_alarms_than_allowed(bet: float) -> None:
    """Bets on a fair coin have mean exactly 1, the worst null; the alarms of 2,000 lives of 500 looks stay within the allowances."""
    random, allowance = np.random.default_rng(1), 0.01
    evidence, alarms = np.full((2_000, 2), -np.inf), 0
    for _ in range(500):
        won = random.random((2_000, 1)) < 0.5
        log_e = np.log(np.where(won, [1 + bet, 1 + bet / 2], [1 - bet, 1 - bet / 2]))
        evidence = add_evidence(evidence, log_e, LOG_WEIGHTS, np.full(2_000, np.log(allowance)))
        is_alarm = total_log_evidence(evidence) >= 0
        evidence[is_alarm] = -np.inf
        alarms += int(is_alarm.sum())

    assert 0 < alarms <= 2_000 * 500 * allowance


def test_evidence_never_falls_below_its_share_of_the_allowance() -> None:
    log_allowance = np.asarray(np.log(0.001))
    low = add_evidence(np.full(2, -50.0), np.zeros(2), LOG_WEIGHTS, log_allowance)

    assert float(total_log_evidence(low)) == pytest.approx(np.log(0.001))


def test_one_window_is_not_enough_unless_it_is_overwhelming() -> None:
    log_allowance = np.asarray(-10.0)

    assert limit_log_e_values(np.array([5.0, 50.0, 99.0, 100.0, -3.0]), log_allowance).tolist() == [5, 6, 6, 100, -3]
