"""Which arm of an A/B test has the greater mean outcome: e-values of the difference, its confidence sequence, and whether the arms are split as they should be.

Outcomes are in [0, 1], one for each unit of randomisation, in the order in which the units came. The next units of both arms form a pair, in
the proportion of the arms; its difference d is in [-1, 1]. Where the mean of d, given the pairs before, is at most m, the wealth
prod(1 + bet (d - m)/(1 + m)) has a mean of at most 1 for any bet in [0, 1): Waudby-Smith and Ramdas, "Estimating means of bounded random
variables by betting", JRSS B 86, 2024, for the differences of Shekhar and Ramdas, "Nonparametric two-sample testing by betting", IEEE
Transactions on Information Theory 70, 2024. By Ville's inequality the wealth reaches 1/alpha at any time with a probability of at most
alpha, however often it is looked at. What moves both arms alike, such as a daily cycle, cancels in the pairs.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from flywheel_runtime.monitoring.statistics.betting import log_e_values_of_losses
from flywheel_runtime.monitoring.statistics.quantiles import Array

BISECTIONS = 40  # of an interval of length 2: to 2e-12


@dataclass(frozen=True)
class Comparison:
    """What one look at the pairs says of the difference: challenger's mean less champion's.

    `log_better`: the log e-value against "not better"; `log_not_better`: that against "better by at least the least effect".
    `low` and `high` are confidence bounds, each of which holds at all looks together with a probability of 1 - alpha.
    """

    pairs: int
    effect: float
    low: float
    high: float
    log_better: float
    log_not_better: float


def pair_outcomes(champion: ArrayLike, challenger: ArrayLike, share: float) -> Array:
    """The differences (pairs,) of the outcomes of both arms, (units,) each, where `share` of the units are the challenger's.

    With unequal arms a pair has the mean of several units of the larger one. What is left over waits for its partner.
    """
    first, second = np.asarray(champion, dtype=np.float64), np.asarray(challenger, dtype=np.float64)
    sizes = max(1, round((1 - share) / share)), max(1, round(share / (1 - share)))
    pairs = min(len(first) // sizes[0], len(second) // sizes[1])
    means = [
        each[: pairs * size].reshape(pairs, size).mean(axis=1)
        for each, size in zip((first, second), sizes, strict=True)
    ]
    return np.asarray(means[1] - means[0])


def compare_arms(differences: ArrayLike, least_effect: float, alpha: float) -> Comparison:
    """One look at differences (pairs,) in [-1, 1], with the least effect that is worth having, in (0, 1)."""
    values = np.asarray(differences, dtype=np.float64)
    log_better, log_not_better = log_evidence(values, least_effect)
    return Comparison(
        pairs=len(values),
        effect=float(values.mean()) if len(values) else 0.0,
        low=_lower_bound(values, alpha),
        high=-_lower_bound(-values, alpha),
        log_better=log_better,
        log_not_better=log_not_better,
    )


def log_evidence(differences: Array, least_effect: float) -> tuple[float, float]:
    """The log e-values of differences (pairs,) against "not better", and against "better by at least the least effect"."""
    return _log_evidence(differences, 0.0), _log_evidence(-differences, -least_effect)


def log_evidence_of_split(challenger_units: int, units: int, share: float) -> float:
    """The log e-value of so many of the units against the assignment of each with probability `share`.

    It is the likelihood ratio with the share drawn uniformly (Lindon and Malek, "Anytime-valid inference for multinomial count data", NeurIPS 2022).
    """
    others = units - challenger_units
    mixture = math.lgamma(challenger_units + 1) + math.lgamma(others + 1) - math.lgamma(units + 2)
    return mixture - challenger_units * math.log(share) - others * math.log1p(-share)


def _log_evidence(differences: Array, null_mean: float) -> float:
    """The logarithm of the mean over all bets of their e-values against a mean difference of at most `null_mean`."""
    log_e = log_e_values_of_losses((differences + 1) / 2, (1 + null_mean) / 2)
    return float(np.logaddexp.reduce(log_e) - math.log(len(log_e)))


def _lower_bound(differences: Array, alpha: float) -> float:
    """The largest mean that the evidence rules out together with all lower ones; evidence falls as the null's mean rises."""
    low, high = -1.0, 1.0
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        if _log_evidence(differences, middle) >= -math.log(alpha):
            low = middle
        else:
            high = middle
    return low
