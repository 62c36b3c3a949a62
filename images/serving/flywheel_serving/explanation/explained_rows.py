"""What a method says of rows."""

import math
import time
from dataclasses import dataclass
from typing import Any, Protocol

from numpy.typing import NDArray

from flywheel_serving.explanation.errors import NotExplained

Array = NDArray[Any]


@dataclass(frozen=True)
class Explanation:
    """For each row and output the contributions (rows, outputs, columns) of `columns`; with `base` (outputs,) they add up to `values` (rows, outputs).

    `scale` is LogOdds, Probability or Target: the unit of all of them.
    """

    method: str
    scale: str
    outputs: list[str]
    columns: list[str]
    base: Array
    values: Array
    contributions: Array


class RowExplainer(Protocol):
    """Explains rows of one model, by the method of that name."""

    method_name: str

    def explain_rows(self, inputs: dict[str, Array], deadline: float = math.inf) -> Explanation:
        """The contributions to the predictions of rows, as the model takes them. Raises NotExplained, Late after `deadline`."""


def check_deadline(deadline: float) -> None:
    """Raises NotExplained after `deadline`, on the clock time.monotonic, which all processes share."""
    if time.monotonic() > deadline:
        raise NotExplained("Late", "nobody waits for it any more; explain fewer rows at once")
