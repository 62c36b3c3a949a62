"""Whether the best trial learned something that holds: its objective beside that of a constant prediction and that on its own train rows."""

from dataclasses import dataclass
from typing import Literal

from flywheel.core.resource.metric_direction import KNOWN_DIRECTIONS
from flywheel.kinds.experiment.schema.status import Trial
from flywheel.kinds.experiment.search.defaults import Setup

# Trainer sklearn reports these beside the objective; a container may.
TRAIN_PREFIX, BASELINE_PREFIX = "train_", "baseline_"
MIN_TRAIN_SKILL = 0.1
MIN_RETAINED_SKILL = 0.5

Finding = Literal["NoBetterThanConstant", "Underfitting", "Overfitting"]


@dataclass(frozen=True)
class Generalization:
    """The objective of the best trial on validation rows, on its train rows, and of a constant prediction on the validation rows."""

    metric: str
    maximize: bool
    value: float
    train: float | None
    baseline: float | None

    @property
    def gap(self) -> float | None:
        """By how much the objective is better on the train rows than on the validation rows."""
        return None if self.train is None else self._gain(self.train, self.value)

    def finding(self) -> Finding | None:
        """What is wrong with it, by the skill score: the share of the way from the constant to a perfect model.

        A model that loses more than half of its train skill on validation rows overfits; one with less than 0.1 on its train rows underfits.
        """
        if self.baseline is None:
            return None
        if self._gain(self.value, self.baseline) <= 0:
            return "NoBetterThanConstant"
        skill = None if self.train is None else self._skill(self.train)
        if skill is None:
            return None
        if skill < MIN_TRAIN_SKILL:
            return "Underfitting"
        return "Overfitting" if (self._skill(self.value) or 0.0) < MIN_RETAINED_SKILL * skill else None

    def _gain(self, value: float, other: float) -> float:
        return value - other if self.maximize else other - value

    def _skill(self, value: float) -> float | None:
        """(value - baseline) / (perfect - baseline); None where the perfect value is not known or the baseline has it."""
        if self.metric not in KNOWN_DIRECTIONS or self.baseline is None:
            return None
        possible = self._gain(1.0 if self.maximize else 0.0, self.baseline)
        return self._gain(value, self.baseline) / possible if possible > 0 else None


def measure_generalization(best: Trial, setup: Setup) -> Generalization | None:
    """Returns how the best trial generalizes; None where it reports neither a baseline nor its objective on train rows."""
    train, baseline = (best.metrics.get(f"{prefix}{setup.metric}") for prefix in (TRAIN_PREFIX, BASELINE_PREFIX))
    if best.value is None or (train is None and baseline is None):
        return None
    return Generalization(
        metric=setup.metric,
        maximize=setup.maximize,
        value=float(best.value),
        train=None if train is None else float(train),
        baseline=None if baseline is None else float(baseline),
    )
