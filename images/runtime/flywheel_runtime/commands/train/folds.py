"""Which rows a model is fitted to, and which it is validated on."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flywheel_runtime.commands.train.config import ValidationConfig
from flywheel_runtime.contract.errors import Failure
from flywheel_runtime.datasets.features import Data
from flywheel_runtime.datasets.split import Rows

Indices = NDArray[np.intp]


@dataclass(frozen=True)
class Plan:
    """`rows` to draw on, pairs of (train, validation) row numbers, and the rows that the final model is fitted to."""

    rows: Rows
    folds: list[tuple[Indices, Indices]]
    final: Indices
    is_holdout: bool


def plan_folds(data: Data, validation: ValidationConfig, seed: int) -> Plan:
    """Holdout: fit train, validate on validation, use that model. Folds: cross-validate both, then fit both."""
    rows = data.read("train", "validation")
    if validation.holdout:
        if data.count("validation") == 0:
            raise Failure(
                "HoldoutEmpty", "The Dataset's validation split is empty; use folds or change its spec.split."
            )
        boundary, everything = data.count("train"), np.arange(len(rows))
        return Plan(rows, [(everything[:boundary], everything[boundary:])], everything[:boundary], True)
    count = validation.folds or 0
    smallest = int(np.bincount(rows.y.astype(np.int64)).min()) if data.schema["task"] == "Classification" else len(rows)
    if count < 2 or count > smallest:
        what = "rows of the rarest class" if data.schema["task"] == "Classification" else "rows"
        message = (
            f"{count} folds need at least 2 folds and no more than the {smallest:,} {what}; change validation.folds."
        )
        raise Failure("FoldsInvalid", message)
    folds = list(_splitter(data, count, seed).split(rows.x, rows.y, rows.groups))
    return Plan(rows, folds, np.arange(len(rows)), False)


def _splitter(data: Data, count: int, seed: int) -> Any:
    """Folds like the split: the future from the past, unseen groups from seen ones, else random rows."""
    from sklearn.model_selection import GroupKFold, KFold, StratifiedKFold, TimeSeriesSplit

    by = data.schema["split"]["by"]
    if by == "Time":
        return TimeSeriesSplit(count)
    if by == "Group":
        return GroupKFold(count)
    if data.schema["task"] == "Classification":
        return StratifiedKFold(count, shuffle=True, random_state=seed)
    return KFold(count, shuffle=True, random_state=seed)
