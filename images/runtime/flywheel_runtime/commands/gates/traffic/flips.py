"""Shares of logged rows that differ, with intervals that know that the rows of one request are no independent rows."""

from dataclasses import dataclass
from itertools import pairwise
from statistics import NormalDist
from typing import Any

import numpy as np
from scipy.special import stdtrit

from flywheel_runtime.monitoring.labels.window_rows import MAX_GROUPS, NO_NUMBER, OTHER_GROUP
from flywheel_runtime.statistics.intervals import Interval, wilson
from flywheel_runtime.statistics.metrics import Array

MIN_REQUESTS = 10  # that tell how much requests differ
QUARTILES = (0.25, 0.5, 0.75)


@dataclass(frozen=True)
class GroupShare:
    """The flips of one group of rows."""

    group: str
    rows: int
    flips: int
    interval: Interval

    def to_json(self) -> dict[str, Any]:
        found = self.interval
        counts = {"group": self.group, "rows": self.rows, "flips": self.flips}
        return counts | {"share": found.value, "low": found.low, "high": found.high}


def share_interval(flips: Array, requests: Array, confidence: float) -> Interval:
    """Wilson's interval of the share of `flips` (rows,), as of so many independent rows as its variance over whole requests says.

    `requests` (rows,) numbers the request of each row. The variance is that of a ratio of sums over requests (Cochran, Sampling
    Techniques, 1977, section 2.11), which n requests estimate with n - 1 degrees of freedom: Student's t takes the place of the normal
    quantile. Requests count in place of rows where there is no variance (no row or each one flips), and where fewer than ten requests
    do not tell it.
    """
    rows, share = len(flips), float(flips.mean())
    _, request = np.unique(requests, return_inverse=True)
    sizes = np.bincount(request)
    count = len(sizes)
    if share in (0.0, 1.0) or count < MIN_REQUESTS:
        return wilson(share, count, confidence)
    residuals = np.bincount(request, weights=flips) - share * sizes
    variance = count / (count - 1) * float((residuals**2).sum()) / rows**2
    if variance <= 0:
        return wilson(share, count, confidence)
    level = (1 + confidence) / 2
    wider = float(stdtrit(count - 1, level)) / NormalDist().inv_cdf(level)
    effective = share * (1 - share) / variance / wider**2
    return wilson(share, int(min(rows, max(1.0, effective))), confidence)


def flips_by_group(flips: Array, requests: Array, values: Array, confidence: float) -> list[GroupShare]:
    """The share of each group of `values` (rows,), the greatest lower end first."""
    names, group = number_groups(values)
    found = []
    for number, name in enumerate(names):
        chosen = np.flatnonzero(group == number)
        if not len(chosen):
            continue
        interval = share_interval(flips[chosen], requests[chosen], confidence)
        found.append(GroupShare(name, len(chosen), int(flips[chosen].sum()), interval))
    return sorted(found, key=lambda each: (-each.interval.low, -each.interval.value, each.group))


def number_values(values: Array) -> tuple[list[str], Array]:
    """The distinct values (rows,) as text, and the number of each row's. Python's dictionary is ten times as fast as a sort of texts."""
    if values.dtype.kind == "O":
        texts = values.tolist()
        known = {text: number for number, text in enumerate(dict.fromkeys(texts))}
        return list(known), np.fromiter(map(known.__getitem__, texts), np.int64, len(texts))
    distinct, inverse = np.unique(values, return_inverse=True)
    return [f"{each:g}" for each in distinct.tolist()], inverse


def number_groups(values: Array) -> tuple[list[str], Array]:
    """The groups' names, and the number of each row's (rows,): the value, or of more than 50 numbers their quarter; of more texts the most frequent ones."""
    names, number = number_values(values)
    if len(names) > MAX_GROUPS and values.dtype.kind != "O":
        return _number_quarters(values.astype(np.float64))
    if len(names) > MAX_GROUPS:
        rare = np.argsort(-np.bincount(number, minlength=len(names)), kind="stable")[MAX_GROUPS:]
        number = np.where(np.isin(number, rare), len(names), number)
        names = [*names, OTHER_GROUP]
    return names, number


def _number_quarters(values: Array) -> tuple[list[str], Array]:
    finite = values[np.isfinite(values)]
    edges = np.unique(np.quantile(finite, QUARTILES)) if len(finite) else np.empty(0)
    texts = [f"{edge:.4g}" for edge in edges]
    if not texts:
        return [NO_NUMBER], np.zeros(len(values), np.int64)
    between = [f"{low} to {high}" for low, high in pairwise(texts)]
    names = [f"< {texts[0]}", *between, f"≥ {texts[-1]}", NO_NUMBER]
    places = np.where(np.isfinite(values), np.searchsorted(edges, values, side="right"), len(names) - 1)
    return names, places
