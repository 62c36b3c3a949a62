"""The rules of other monitors, by their formulas: each looks at one window of a numeric feature and says whether it has drifted.

Evidently 0.7.23 chooses by the reference's size: up to 1,000 rows the two-sample Kolmogorov-Smirnov test at 0.05, above that the
Wasserstein distance over the reference's standard deviation, at 0.1. `evidently_windows.py` runs the library itself on the same windows.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import special, stats

Values = NDArray[np.float64]
Rule = Callable[[Values, Values], bool]

LARGE_REFERENCE = 1_000
LEVEL, WASSERSTEIN_LIMIT, PSI_LIMIT = 0.05, 0.1, 0.2
LEAST_DEVIATION = 0.001


def psi_rule(reference: Values, current: Values) -> bool:
    """PSI above 0.2 on the reference's deciles, with half a row added to each bin."""
    edges = np.quantile(reference, np.linspace(0, 1, 11)[1:-1])
    p, q = (
        np.bincount(np.searchsorted(edges, each, side="right"), minlength=10) + 0.5 for each in (reference, current)
    )
    p, q = p / p.sum(), q / q.sum()
    return bool(((q - p) * np.log(q / p)).sum() > PSI_LIMIT)


def kolmogorov_smirnov_rule(reference: Values, current: Values) -> bool:
    """The two-sample Kolmogorov-Smirnov test at 0.05, by its asymptotic distribution."""
    return _kolmogorov_smirnov_p_value(reference, current) < LEVEL


def evidently_rule(reference: Values, current: Values) -> bool:
    """Evidently's default for a numeric column."""
    score = evidently_score(reference, current)
    return score >= WASSERSTEIN_LIMIT if len(reference) > LARGE_REFERENCE else score < LEVEL


def evidently_score(reference: Values, current: Values) -> float:
    """The number that Evidently compares: a p-value for a small reference, else the normed Wasserstein distance."""
    if len(reference) <= LARGE_REFERENCE:
        return float(stats.ks_2samp(reference, current).pvalue)
    deviation = max(float(np.std(reference)), LEAST_DEVIATION)
    return float(stats.wasserstein_distance(reference, current)) / deviation


def _kolmogorov_smirnov_p_value(reference: Values, current: Values) -> float:
    ascending = np.sort(current)
    below = np.searchsorted(np.sort(reference), ascending, side="right") / len(reference)
    steps = np.arange(len(current) + 1) / len(current)
    distance = max(float((steps[1:] - below).max()), float((below - steps[:-1]).max()))
    rows = len(reference) * len(current) / (len(reference) + len(current))
    probability: Any = special.kolmogorov(distance * rows**0.5)
    return float(probability)


RULES: dict[str, Rule] = {
    "PSI 0.2": psi_rule,
    "KS 0.05": kolmogorov_smirnov_rule,
    "Evidently's default": evidently_rule,
}
