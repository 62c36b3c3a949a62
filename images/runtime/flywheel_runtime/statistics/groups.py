"""Groups of rows: the worst of them, and how far apart they are treated."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from flywheel_runtime.statistics.metrics import Answers, value

Array = NDArray[Any]
Parity = Literal["DemographicParity", "EqualOpportunity"]


@dataclass(frozen=True)
class Grouped:
    """What was found for each group that could be measured, and how many could not: too few rows, or no value of the metric."""

    values: Mapping[str, float]
    rows: Mapping[str, int]
    left_out: int


def slices(metric: str, truth: Array, answers: Answers, groups: Array, least_rows: int) -> Grouped:
    """The metric of each group's rows. `groups` (rows,) names the group of each row."""
    found: dict[str, float] = {}
    rows: dict[str, int] = {}
    names, group_of = np.unique(groups, return_inverse=True)
    for number, name in enumerate(names):
        mine = np.flatnonzero(group_of == number)
        measured = value(metric, truth[mine], answers.of(mine)) if len(mine) >= least_rows else float("nan")
        if np.isfinite(measured):
            found[str(name)], rows[str(name)] = measured, len(mine)
    return Grouped(found, rows, len(names) - len(found))


def positive_rates(
    measure: Parity, truth: Array, found: Array, positive: int, groups: Array, least_rows: int
) -> Grouped:
    """How often each group is answered with the class `positive`.

    DemographicParity: among all its rows, P(answer positive | group), Dwork et al., "Fairness Through Awareness", 2012.
    EqualOpportunity: among those that are positive, P(answer positive | positive, group), Hardt, Price and Srebro, "Equality of
    Opportunity in Supervised Learning", 2016. `least_rows` counts the rows among which it is asked.
    """
    asked = np.ones(len(truth), dtype=bool) if measure == "DemographicParity" else truth == positive
    names, group_of = np.unique(groups, return_inverse=True)
    rates: dict[str, float] = {}
    rows: dict[str, int] = {}
    for number, name in enumerate(names):
        mine = asked & (group_of == number)
        if mine.sum() >= max(least_rows, 1):
            rates[str(name)], rows[str(name)] = float((found[mine] == positive).mean()), int(mine.sum())
    return Grouped(rates, rows, len(names) - len(rates))


def gap(rates: Mapping[str, float]) -> float:
    """The greatest difference between two groups."""
    return max(rates.values()) - min(rates.values())
