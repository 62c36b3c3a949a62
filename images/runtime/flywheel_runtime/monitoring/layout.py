"""Where the counts of a column lie in the vector of a document: cells of all columns one after the other.

A number has the cells `under`, its bins, `over`, `missing`, `invalid`; a category those of the known categories, `other`,
`missing`. The predictions are a column of numbers.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

Counts = npt.NDArray[np.int64]
ColumnKind = Literal["Number", "Category"]
ColumnShape = tuple[str, ColumnKind, int]  # name, kind, number of bins or of known categories

NUMBER_CELLS = 4  # under, over, missing, invalid
CATEGORY_CELLS = 2  # other, missing


@dataclass(frozen=True)
class Column:
    """A feature, or the predictions (`is_prediction`), with its place in the vector. `bins` counts bins or known categories."""

    name: str
    kind: ColumnKind
    bins: int
    start: int
    is_prediction: bool = False

    @property
    def size(self) -> int:
        """How many cells the column has."""
        return self.bins + (NUMBER_CELLS if self.kind == "Number" else CATEGORY_CELLS)

    def cells(self, counts: Counts) -> Counts:
        """The column's cells [..., size] of one vector or several."""
        return counts[..., self.start : self.start + self.size]

    def distribution(self, counts: Counts) -> Counts:
        """Counts of what has a value: the bins, of which the first and the last are open, or the categories and `other`."""
        cells = self.cells(counts)
        if self.kind == "Category":
            return cells[..., : self.bins + 1]
        if not self.bins:
            return cells[..., :2]
        inner = cells[..., 1 : self.bins + 1].copy()
        inner[..., 0] += cells[..., 0]
        inner[..., -1] += cells[..., self.bins + 1]
        return inner

    def anomalies(self, counts: Counts) -> dict[str, Counts]:
        """Counts [...] by data quality anomaly: missing, and invalid and outOfRange of a number, or unseen of a category."""
        cells = self.cells(counts)
        if self.kind == "Category":
            return {"missing": cells[..., -1], "unseen": cells[..., self.bins]}
        out_of_range = cells[..., 0] + cells[..., self.bins + 1]
        return {"missing": cells[..., -2], "invalid": cells[..., -1], "outOfRange": out_of_range}


@dataclass(frozen=True)
class Layout:
    """The columns of a vector: the features, and the predictions where they are counted. Equal shapes are one layout."""

    features: tuple[ColumnShape, ...]
    prediction_bins: int | None

    @cached_property
    def columns(self) -> tuple[Column, ...]:
        """All columns in the order of the vector."""
        columns: list[Column] = []
        start = 0
        for name, kind, bins in self.features:
            columns.append(Column(name, kind, bins, start))
            start += columns[-1].size
        if self.prediction_bins is not None:
            columns.append(Column("prediction", "Number", self.prediction_bins, start, is_prediction=True))
        return tuple(columns)

    @cached_property
    def size(self) -> int:
        """How many cells a vector has."""
        return sum(column.size for column in self.columns)

    @cached_property
    def starts(self) -> Counts:
        """The first cell of each column [columns]."""
        return np.array([column.start for column in self.columns], np.int64)

    def to_json(self) -> dict[str, Any]:
        """The JSON that `from_json` reads."""
        return {"features": [list(shape) for shape in self.features], "predictionBins": self.prediction_bins}

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> "Layout":
        """The layout in a document. Raises KeyError, TypeError, ValueError."""
        features = tuple((str(name), kind, int(bins)) for name, kind, bins in document["features"])
        return cls(features, document["predictionBins"])


def flatten_columns(
    features: Mapping[str, Mapping[str, Any]], predictions: Mapping[str, Any] | None
) -> tuple[tuple[ColumnShape, ...], int | None, list[int]]:
    """The shapes of the features, the number of prediction bins, and all cells in the order of the vector. Raises KeyError, TypeError."""
    shapes: list[ColumnShape] = []
    cells: list[int] = []
    for name, column in features.items():
        if "bins" in column:
            bins = column["bins"]
            shapes.append((name, "Number", len(bins)))
            cells += _number_cells(column)
        else:
            counts: Sequence[int] = column["counts"]
            shapes.append((name, "Category", len(counts)))
            cells += [*counts, column["other"], column["missing"]]
    if predictions is None:
        return tuple(shapes), None, cells
    cells += _number_cells(predictions)
    return tuple(shapes), len(predictions["bins"]), cells


def _number_cells(column: Mapping[str, Any]) -> list[int]:
    return [column["under"], *column["bins"], column["over"], column["missing"], column["invalid"]]
