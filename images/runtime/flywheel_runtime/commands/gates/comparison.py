"""The challenger and the champion on the same rows: those to which every model that can be scored gave a finite answer."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from flywheel_runtime.contract.errors import Unmeasurable
from flywheel_runtime.models.test_set import Array, TestSet
from flywheel_runtime.statistics.failed_rows import find_answered
from flywheel_runtime.statistics.metrics import DEFAULT_METRIC, METRICS_OF_TASK, ScoredRows


@dataclass(frozen=True)
class Comparison:
    """Both models' predictions of the test rows; a model that cannot be scored says why. `all_champion` is None where there is none.

    `matched` (rows,): the numbers of the champion's rows among the test rows, where they come from its own preparation, which may drop
    some; None: it has them all. `left_out`: how many test rows only one preparation has. `fallback`: why its own preparation was not used.
    """

    test: TestSet
    all_challenger: ScoredRows | Unmeasurable
    all_champion: ScoredRows | Unmeasurable | None
    champion_name: str
    objective: str | None = None
    matched: NDArray[np.intp] | None = None
    left_out: int = 0
    fallback: str | None = None

    @property
    def has_champion(self) -> bool:
        return self.all_champion is not None

    @cached_property
    def rows(self) -> NDArray[np.intp]:
        """The numbers of the test rows that every model answered that was given them all."""
        models = (self.all_challenger, self.all_champion if self.matched is None else None)
        scored = [each for each in models if isinstance(each, ScoredRows)]
        answered = [find_answered(each) for each in scored]
        return np.flatnonzero(np.logical_and.reduce(answered)) if answered else np.arange(len(self.test))

    @property
    def challenger(self) -> ScoredRows:
        """The challenger's rows. Raises Unmeasurable."""
        if isinstance(self.all_challenger, Unmeasurable):
            raise self.all_challenger
        if not len(self.rows):
            raise Unmeasurable(f"no one of {len(self.test):,} test rows has a finite answer")
        return self.all_challenger.take(self.rows)

    @cached_property
    def both(self) -> tuple[ScoredRows, ScoredRows]:
        """The challenger's and the champion's predictions of the same rows, which both answered. Raises Unmeasurable."""
        challenger = self.challenger
        if not isinstance(self.all_champion, ScoredRows):
            message = f"champion '{self.champion_name}' cannot be scored on the challenger's rows: {self.all_champion}"
            raise Unmeasurable(message)
        if self.matched is None:
            return challenger, self.all_champion.take(self.rows)
        own = self._challenger_beside_champion()
        answered = np.flatnonzero(find_answered(own) & find_answered(self.all_champion))
        if not len(answered):
            raise Unmeasurable(f"no one of {len(own):,} test rows has a finite answer of both")
        return own.take(answered), self.all_champion.take(answered)

    def _challenger_beside_champion(self) -> ScoredRows:
        """The challenger's predictions of the rows that the champion was given. Raises Unmeasurable."""
        if isinstance(self.all_challenger, Unmeasurable):
            raise self.all_challenger
        return self.all_challenger if self.matched is None else self.all_challenger.take(self.matched)

    @property
    def default_metric(self) -> str:
        """The Model's objective where it is computed from rows, else the usual metric of the task."""
        task = self.test.task
        return self.objective if self.objective in METRICS_OF_TASK[task] else DEFAULT_METRIC[task]

    def column(self, name: str) -> Array:
        """The values (rows,) of a column as text. Raises Failure where the data has no such column."""
        values: Array = self.test.column(name)[self.rows]
        return values

    def failed_rows(self) -> tuple[int, int]:
        """How many of the rows that both were given have no finite answer of the challenger, and of the champion."""
        own = (
            self.all_challenger if isinstance(self.all_challenger, Unmeasurable) else self._challenger_beside_champion()
        )
        challenger, champion = (
            int((~find_answered(each)).sum()) if isinstance(each, ScoredRows) else 0
            for each in (own, self.all_champion)
        )
        return challenger, champion
