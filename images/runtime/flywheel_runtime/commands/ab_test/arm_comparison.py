"""Which arm of an A/B test has the greater mean outcome: e-values of the difference, its confidence sequence, and whether the arms are split as they should be.

Outcomes y are in [0, 1], one for each unit of randomisation, in the order in which the units came. The gain x of a unit is (y - c)/share if
it was assigned to the challenger, and -(y - c)/(1 - share) otherwise (Horvitz and Thompson, JASA 47, 1952). Units are assigned by chance,
with that share, whatever their outcome would be; so whatever c was fixed beforehand and however the level of the outcomes moves in time, the
mean of x, given the units before, is the effect on this unit. c is the mean of the outcomes just before, which makes x vary less. Where the
mean of x, given the units before, is at most m, the wealth prod(1 + bet (x - m)/(bound + m)) with |x| <= bound has a mean of at most 1
for any bet in [0, 1): Waudby-Smith and Ramdas, "Estimating means of bounded random variables by betting", JRSS B 86, 2024. By Ville's
inequality the wealth reaches 1/alpha at any time with a probability of at most alpha, however often it is looked at.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from flywheel_runtime.monitoring.statistics.betting import log_e_values_of_losses
from flywheel_runtime.monitoring.statistics.quantiles import Array

BISECTIONS = 40  # of an interval of length 2: to 2e-12
CENTRE_UNITS = (
    200  # whose mean outcome is the centre: few, so that it follows a trend; enough to add 0.5 % to the variance
)


@dataclass(frozen=True)
class Comparison:
    """What one look at the units says of the effect: challenger's mean outcome less champion's.

    `log_better`: the log e-value against "not better"; `log_not_better`: that against "better by at least the least effect".
    `low` and `high` are confidence bounds, each of which holds at all looks together with a probability of 1 - alpha.
    `effect` is the difference of the arms' means, or the bound that it is beyond; 0 while an arm has no unit.
    """

    effect: float
    low: float
    high: float
    log_better: float
    log_not_better: float


@dataclass(frozen=True)
class Gains:
    """What each unit says of the effect: `values` (units,), of which none is beyond `bound` or its negative."""

    values: Array
    bound: float

    def negate(self) -> "Gains":
        """Those of the champion over the challenger."""
        return Gains(-self.values, self.bound)


def unit_gains(outcomes: ArrayLike, is_challenger: ArrayLike, share: float) -> Gains:
    """The gains of outcomes (units,) in [0, 1], of which `share` are assigned to the challenger; the mean of each is the effect."""
    values, assigned = np.asarray(outcomes, dtype=np.float64), np.asarray(is_challenger, dtype=np.bool_)
    before = np.concatenate([[0.0], np.cumsum(values)])
    places = np.arange(len(values))
    first = np.maximum(places - CENTRE_UNITS, 0)
    centres = (before[places] - before[first] + 0.5) / (places - first + 1)  # the first unit's is one half
    weights = np.where(assigned, 1 / share, -1 / (1 - share))
    return Gains(weights * (values - centres), 1 / min(share, 1 - share))


def compare_arms(
    outcomes: ArrayLike, is_challenger: ArrayLike, share: float, least_effect: float, alpha: float
) -> Comparison:
    """One look at outcomes (units,) in [0, 1] in the order of the units, with the least effect that is worth having, in (0, 1)."""
    values, assigned = np.asarray(outcomes, dtype=np.float64), np.asarray(is_challenger, dtype=np.bool_)
    gains = unit_gains(values, assigned, share)
    log_better, log_not_better = log_evidence(gains, least_effect)
    low, high = _lower_bound(gains, alpha), -_lower_bound(gains.negate(), alpha)
    has_both = assigned.any() and not assigned.all()
    difference = float(values[assigned].mean() - values[~assigned].mean()) if has_both else 0.0
    return Comparison(min(max(difference, low), high), low, high, log_better, log_not_better)


def log_evidence(gains: Gains, least_effect: float) -> tuple[float, float]:
    """The log e-values of gains against "not better", and against "better by at least the least effect"."""
    return _log_evidence(gains, 0.0), _log_evidence(gains.negate(), -least_effect)


def log_evidence_of_split(challenger_units: int, units: int, share: float) -> float:
    """The log e-value of so many challenger's among the units against the assignment of each with probability `share`.

    It is the likelihood ratio with the share drawn uniformly (Lindon and Malek, "Anytime-valid inference for multinomial count data", NeurIPS 2022).
    """
    others = units - challenger_units
    mixture = math.lgamma(challenger_units + 1) + math.lgamma(others + 1) - math.lgamma(units + 2)
    return mixture - challenger_units * math.log(share) - others * math.log1p(-share)


def _log_evidence(gains: Gains, null_mean: float) -> float:
    """The logarithm of the mean over all bets of their e-values against a mean gain of at most `null_mean`."""
    log_e = log_e_values_of_losses((gains.values / gains.bound + 1) / 2, (1 + null_mean / gains.bound) / 2)
    return float(np.logaddexp.reduce(log_e) - math.log(len(log_e)))


def _lower_bound(gains: Gains, alpha: float) -> float:
    """The largest mean that the evidence rules out together with all lower ones; evidence falls as the null's mean rises."""
    low, high = -1.0, 1.0
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        if _log_evidence(gains, middle) >= -math.log(alpha):
            low = middle
        else:
            high = middle
    return low
