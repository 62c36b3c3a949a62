"""How the labelled rows were chosen: some were drawn to be labelled with known probabilities, others are labelled anyway."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from flywheel_runtime.monitoring.statistics.horvitz_thompson import combine_samples, count_capped
from flywheel_runtime.statistics.metrics import Array


@dataclass(frozen=True)
class LabelSample:
    """For each labelled row (rows,) the probability of its draw, NaN without one, and whether it has a label that came without a draw.

    Both are None where no row was drawn: then all rows count alike.
    """

    probabilities: Array | None = None
    is_uniform: Array | None = None

    @classmethod
    def from_columns(cls, probabilities: Any, is_uniform: Any) -> "LabelSample":
        """The sample of a window, from arrays (rows,) of which the first may be masked."""
        chances = np.ma.filled(np.ma.asarray(probabilities, np.float64), np.nan)
        if np.isnan(chances).all():
            return cls()
        return cls(chances, np.ma.filled(np.ma.asarray(is_uniform, bool), False))

    @classmethod
    def join(cls, samples: Sequence["LabelSample"], rows: Sequence[int]) -> "LabelSample":
        """The sample of the rows of several windows, which have so many `rows`."""
        if all(each.probabilities is None for each in samples):
            return cls()
        chances = [
            np.full(count, np.nan) if each.probabilities is None else each.probabilities
            for each, count in zip(samples, rows, strict=True)
        ]
        uniform = [
            np.ones(count, bool) if each.is_uniform is None else each.is_uniform
            for each, count in zip(samples, rows, strict=True)
        ]
        return cls(np.concatenate(chances), np.concatenate(uniform))

    @property
    def weights(self) -> Array | None:
        """The weights (rows,) by which a mean is unbiased; None where all rows count alike."""
        if self.probabilities is None or self.is_uniform is None:
            return None
        return combine_samples(self.probabilities, self.is_uniform)

    @property
    def capped(self) -> int:
        """How many rows count for less than their probability says, since they would outweigh the others."""
        return 0 if self.probabilities is None else count_capped(self.probabilities)


NOT_DRAWN = LabelSample()
