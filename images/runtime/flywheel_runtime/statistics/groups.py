"""Metrics and rates of groups of rows, and how far apart they are."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from flywheel_runtime.contract.errors import Undefined
from flywheel_runtime.statistics.metrics import Array, ScoredRows, metric_value

Parity = Literal["DemographicParity", "EqualOpportunity"]


@dataclass(frozen=True)
class GroupValues:
    """The value and the number of rows of each group, and how many groups were omitted: too few rows, or no value."""

    values: Mapping[str, float]
    rows: Mapping[str, int]
    omitted: int


def metric_by_group(metric: str, scored: ScoredRows, groups: Array, min_rows: int) -> GroupValues:
    """The metric of each group; `groups` (rows,) names the group of each row."""
    return _by_group(lambda rows: metric_value(metric, scored.take(rows)), groups, np.arange(len(scored)), min_rows)


def positive_rates(parity: Parity, scored: ScoredRows, positive: int, groups: Array, min_rows: int) -> GroupValues:
    """How often each group is predicted to be of class `positive`; `groups` (rows,) names the group of each row.

    DemographicParity: among all its rows, P(predicted positive | group). Dwork et al., "Fairness Through Awareness", 2012.
    EqualOpportunity: among its positive rows, P(predicted positive | positive, group), which `min_rows` counts. Hardt, Price and
    Srebro, "Equality of Opportunity in Supervised Learning", 2016.
    """
    counted = np.arange(len(scored)) if parity == "DemographicParity" else np.flatnonzero(scored.y_true == positive)
    is_positive = scored.predicted == positive
    return _by_group(lambda rows: float(is_positive[rows].mean()), groups, counted, min_rows)


def largest_difference(values: Mapping[str, float]) -> float:
    """The greatest difference between the values of two groups; 0 for one group.

    Raises:
        Undefined: there is no group.
    """
    if not values:
        raise Undefined("there is no group")
    return max(values.values()) - min(values.values())


def _by_group(value: Callable[[Array], float], groups: Array, counted: Array, min_rows: int) -> GroupValues:
    """Apply `value` to the row numbers of each group that are among `counted` (rows,)."""
    names, group_of_row = np.unique(groups, return_inverse=True)
    values: dict[str, float] = {}
    rows: dict[str, int] = {}
    for number, name in enumerate(names):
        chosen = counted[group_of_row[counted] == number]
        found = value(chosen) if len(chosen) >= max(min_rows, 1) else float("nan")
        if np.isfinite(found):
            values[str(name)], rows[str(name)] = found, len(chosen)
    return GroupValues(values, rows, len(names) - len(values))
