"""What a method says of rows."""

from dataclasses import dataclass
from typing import Any, Protocol

from numpy.typing import NDArray

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

    def explain_rows(self, inputs: dict[str, Array]) -> Explanation:
        """The contributions to the predictions of rows, as the model takes them. Raises NotExplained."""
