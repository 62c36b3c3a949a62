"""When a trial is pruned: Optuna's MedianPruner, PercentilePruner and PatientPruner, on Python numbers.

A curve maps steps (0, 1, …) to the objective at that step; NaN is a value that is not finite. A curve and `siblings`, those of
trials that succeeded, are all that a rule knows. https://optuna.readthedocs.io/en/stable/reference/pruners.html
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from flywheel_runtime.contract.config.collect import STARTUP_TRIALS, RuleConfig

Curve = Mapping[int, float]


@dataclass(frozen=True)
class Percentile:
    """Prune what is not among the best `percent` percent at its step; 50 is the median."""

    percent: float
    startup_trials: int = STARTUP_TRIALS
    warmup_steps: int = 0

    def prune(self, curve: Curve, siblings: Sequence[Curve], *, maximize: bool) -> str | None:
        """Why the trial ends, as the end of a sentence; None: it goes on."""
        if not siblings or len(siblings) < self.startup_trials or not curve:
            return None
        step = max(curve)
        if step < self.warmup_steps:
            return None
        mine = best(curve.values(), maximize=maximize)
        if math.isnan(mine):
            return "has not been a finite number yet"
        theirs = [sibling[step] for sibling in siblings if step in sibling]
        bound = percentile(theirs, 100 - self.percent if maximize else self.percent)
        if not (mine < bound if maximize else mine > bound):  # also where the bound is NaN
            return None
        which = "median" if self.percent == 50 else f"bound of the best {self.percent:g} %"
        return f"was {mine:.6g} at best, and the {which} of {len(theirs)} trials is {bound:.6g}"


@dataclass(frozen=True)
class Patient:
    """Prune what has not become better than before by `min_delta` in more than `patience` steps."""

    patience: int
    min_delta: float = 0.0

    def prune(self, curve: Curve, siblings: Sequence[Curve], *, maximize: bool) -> str | None:
        """As Percentile.prune; the siblings do not matter."""
        steps = sorted(curve)
        if len(steps) <= self.patience + 1:
            return None
        before = best((curve[step] for step in steps[: -self.patience - 1]), maximize=maximize)
        lately = best((curve[step] for step in steps[-self.patience - 1 :]), maximize=maximize)
        if not (before - self.min_delta > lately if maximize else before + self.min_delta < lately):
            return None
        return f"was {lately:.6g} at best in the last {self.patience + 1} steps, and {before:.6g} before"


Rule = Percentile | Patient


def rule_of(config: RuleConfig) -> Rule:
    """The rule that is configured."""
    if config.patient is not None:
        return Patient(config.patient.patience, config.patient.min_delta)
    if config.percentile is not None:
        given = config.percentile
        return Percentile(given.percentile, given.startup_trials, given.warmup_steps)
    assert config.median is not None, "one of three"
    return Percentile(50.0, config.median.startup_trials, config.median.warmup_steps)


def best(values: Iterable[float], *, maximize: bool) -> float:
    """The best of the finite ones; NaN where there is none."""
    finite = [value for value in values if not math.isnan(value)]
    choose: Callable[[list[float]], float] = max if maximize else min
    return choose(finite) if finite else math.nan


def percentile(values: Iterable[float], percent: float) -> float:
    """Of the finite ones, between the two nearest in line, rounded as numpy rounds; NaN where there is none."""
    finite = sorted(value for value in values if not math.isnan(value))
    if not finite:
        return math.nan
    place = percent / 100 * (len(finite) - 1)
    below = math.floor(place)
    low, high = finite[below], finite[min(below + 1, len(finite) - 1)]
    part = place - below
    return low + (high - low) * part if part < 0.5 else high - (high - low) * (1 - part)
