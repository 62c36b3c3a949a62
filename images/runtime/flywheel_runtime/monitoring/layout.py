"""Where the counts of a column lie in the vector of a document: cells of all columns one after the other.

A number has the cells `under`, its bins, `over`, `missing`, `invalid`; a category those of the known categories, `other`,
`missing`. The predictions are a column of numbers. The last cells are of no column: errors by
class and latencies by bucket, as the servers count them. In a document of an earlier release they are 0.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from flywheel_runtime.contract.errors import FlywheelError

Counts = npt.NDArray[np.int64]
ColumnKind = Literal["Number", "Category"]
ColumnShape = tuple[str, ColumnKind, int]  # name, kind, number of bins or of known categories

INVALID, OVERLOADED, TIMED_OUT, FAILED = ERROR_CLASSES = ("invalid", "overloaded", "timedOut", "failed")
LATENCY_BOUNDS_SECONDS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)  # fmt: skip
SERVICE_CELLS = len(ERROR_CLASSES) + len(LATENCY_BOUNDS_SECONDS) + 1
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
class ServiceCounts:
    """The cells [..., cells] of one window or of its parts. A successful response has a latency."""

    cells: Counts

    @property
    def failures(self) -> Counts:
        """Requests [...] that the service failed: overloaded, timed out, or failed by the model; not those that were invalid."""
        classes = [ERROR_CLASSES.index(name) for name in (OVERLOADED, TIMED_OUT, FAILED)]
        return np.asarray(self.cells[..., classes].sum(axis=-1), np.int64)

    @property
    def model_failures(self) -> Counts:
        """Those [...] that the model itself failed, which no number of other requests causes."""
        return np.asarray(self.cells[..., ERROR_CLASSES.index(FAILED)], np.int64)

    @property
    def latencies(self) -> Counts:
        """Responses by bucket [..., buckets]; the last bucket is above all bounds."""
        return np.asarray(self.cells[..., len(ERROR_CLASSES) :], np.int64)

    @property
    def successes(self) -> Counts:
        """Successful responses [...]."""
        return np.asarray(self.latencies.sum(axis=-1), np.int64)

    def slower_than(self, seconds: float) -> Counts:
        """Responses [...] that took longer than one of the bounds."""
        return np.asarray(self.latencies[..., LATENCY_BOUNDS_SECONDS.index(seconds) + 1 :].sum(axis=-1), np.int64)

    def errors(self) -> dict[str, int]:
        """Errors of a single window by class."""
        return {name: int(self.cells[index]) for index, name in enumerate(ERROR_CLASSES)}

    def latency_quantile(self, quantile: float) -> float | None:
        """The smallest bound within which that share of a single window's responses was; None without one, or beyond the last bound."""
        if not self.successes:
            return None
        reached = np.cumsum(self.latencies) >= quantile * float(self.successes)
        place = int(np.argmax(reached))
        return LATENCY_BOUNDS_SECONDS[place] if place < len(LATENCY_BOUNDS_SECONDS) else None


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
    def column_cells(self) -> int:
        """How many cells the columns have, which are the first of a vector."""
        return sum(column.size for column in self.columns)

    @property
    def size(self) -> int:
        """How many cells a vector has."""
        return self.column_cells + SERVICE_CELLS

    def service(self, counts: Counts) -> ServiceCounts:
        """Errors and latencies of one vector or several [..., size]."""
        return ServiceCounts(counts[..., self.column_cells :])

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


class UnknownBuckets(FlywheelError):
    """The latencies are in buckets of another release."""


def flatten_responses(responses: Mapping[str, Any] | None) -> list[int]:
    """The cells of a document's `responses`. Raises KeyError, TypeError, UnknownBuckets."""
    if responses is None:
        return [0] * SERVICE_CELLS
    latencies, errors = responses["latencySeconds"], responses["errors"]
    counts: list[int] = latencies["counts"]
    if tuple(latencies["bounds"]) != LATENCY_BOUNDS_SECONDS or len(counts) != len(LATENCY_BOUNDS_SECONDS) + 1:
        raise UnknownBuckets("the buckets of latencies are those of another release")
    return [*(errors.get(name, 0) for name in ERROR_CLASSES), *counts]
