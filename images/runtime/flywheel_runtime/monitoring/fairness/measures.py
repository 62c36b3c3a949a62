"""What fairness compares between groups of rows, by the names of fairlearn.

demographic_parity_difference  the share of rows that are predicted positive; needs no labels (Dwork et al. 2012)
equalized_odds_difference      that share among positive rows and among the others, of which the larger difference counts (Hardt et al. 2016)
true_positive_rate_difference  that share among positive rows alone: equality of opportunity
accuracy_difference            the share of rows whose class is predicted
mae_difference                 the mean absolute error of predicted values, in the target's unit
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from flywheel_runtime.contract.errors import Undefined
from flywheel_runtime.monitoring.fairness.group_differences import GroupCounts, count_outcomes
from flywheel_runtime.statistics.metrics import Array

DEMOGRAPHIC_PARITY, MAE = "demographic_parity_difference", "mae_difference"
SELECTION_RATE, TRUE_POSITIVE_RATE, FALSE_POSITIVE_RATE = "selection rate", "true positive rate", "false positive rate"
RATES = {
    DEMOGRAPHIC_PARITY: (SELECTION_RATE,),
    "equalized_odds_difference": (TRUE_POSITIVE_RATE, FALSE_POSITIVE_RATE),
    "true_positive_rate_difference": (TRUE_POSITIVE_RATE,),
    "accuracy_difference": ("accuracy",),
    MAE: ("mean absolute error",),
}
CUT_AT = 10.0  # times the mean absolute error of the test rows: a greater error counts as this one
ERROR_LEVELS = 257  # to which errors are rounded


@dataclass(frozen=True)
class FairnessTarget:
    """The measure, and how far apart two groups may be in it. `positive` is a class; empty, the second of two."""

    measure: str
    max_gap: float
    positive: str = ""

    @property
    def needs_labels(self) -> bool:
        """Whether predictions are compared with what turned out to be true."""
        return self.measure != DEMOGRAPHIC_PARITY


@dataclass(frozen=True)
class GroupedRows:
    """Rows of one version in one window, in the order of time, that are compared between groups.

    `predicted` and `y_true` (rows,) are class numbers or values; without labels `y_true` is None. `groups` has for each column the names
    of its groups, and the number of the group of each row (rows,); `logged` is the number of all logged rows of the window.
    """

    start: int
    version: str
    logged: int
    predicted: Array
    y_true: Array | None
    groups: Mapping[str, tuple[Sequence[str], Array]]


@dataclass(frozen=True)
class Scale:
    """How outcomes become numbers in [0, 1]: the number of the positive class, or the error that counts as 1."""

    positive: int = -1
    unit: float = 1.0


def find_scale(target: FairnessTarget, classes: Sequence[str], test_mae: float | None) -> Scale:
    """The scale of a version with these classes (none where it predicts values), whose mean absolute error on test rows is `test_mae`.

    Raises:
        Undefined: the version has no such measure.
    """
    if target.measure == MAE:
        if classes:
            raise Undefined(f"{MAE} is of predicted values; choose accuracy_difference for classes")
        if test_mae is None:
            raise Undefined("the version has no mae on test rows; give its Dataset a split with a test part")
        return Scale(unit=max(CUT_AT * test_mae, float(np.finfo(np.float64).tiny)))
    if not classes:
        raise Undefined(f"{target.measure} is of predicted classes; choose {MAE} for values")
    if target.measure == "accuracy_difference":
        return Scale()
    positive = target.positive or (classes[1] if len(classes) == 2 else "")
    if not positive:
        raise Undefined("the version has more than two classes; set spec.fairness.positive to one of them")
    if positive not in classes:
        raise Undefined(f"spec.fairness.positive is '{positive}', which is no class of the version")
    return Scale(list(classes).index(positive))


def count_rates(
    target: FairnessTarget, scale: Scale, rows: GroupedRows, column: str
) -> dict[str, tuple[GroupCounts, float]]:
    """For each rate of the measure the counts of all groups of a column, and the number that an outcome of 1 stands for."""
    names, groups = rows.groups[column]
    levels = np.array([0.0, 1.0])
    if target.measure == MAE:
        levels = np.linspace(0.0, 1.0, ERROR_LEVELS)
    return {
        rate: (count_outcomes(tuple(names), groups[chosen], outcomes, levels), scale.unit)
        for rate in RATES[target.measure]
        for chosen, outcomes in [_outcomes(rate, scale, rows)]
    }


def _outcomes(rate: str, scale: Scale, rows: GroupedRows) -> tuple[Array, Array]:
    """The numbers (chosen,) of the rows that a rate is of, and their levels (chosen,)."""
    every = np.arange(len(rows.predicted))
    is_positive = rows.predicted == scale.positive
    if rate == SELECTION_RATE:
        return every, is_positive.astype(int)
    y_true = np.asarray(rows.y_true)
    if rate in (TRUE_POSITIVE_RATE, FALSE_POSITIVE_RATE):
        chosen = np.flatnonzero((y_true == scale.positive) == (rate == TRUE_POSITIVE_RATE))
        return chosen, is_positive[chosen].astype(int)
    if rate == "accuracy":
        return every, (rows.predicted == y_true).astype(int)
    errors = np.minimum(np.abs(rows.predicted - y_true) / scale.unit, 1.0)
    return every, np.rint(errors * (ERROR_LEVELS - 1)).astype(int)
