"""What counts are compared with: the train split's counts in baseline.json, else those of the first window with enough rows."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from flywheel_runtime.monitoring.documents import Series
from flywheel_runtime.monitoring.layout import Column, Counts, Layout, flatten_columns
from flywheel_runtime.monitoring.rollup import Rollup

# Every time is new, and so is every identifier or free text: their distribution says nothing.
UNTESTED_TYPES = {"Timestamp": "a timestamp"}
UNTESTED_CONTENTS = {"Identifier": "an identifier", "FreeText": "free text"}


@dataclass(frozen=True)
class ColumnFacts:
    """What the baseline knows of a column. `untested` says why its distribution is not compared, empty if it is.

    `lists_all_categories`: the train split had no other, so that one can be called new.
    """

    edges: tuple[float, ...] = ()
    categories: tuple[str, ...] = ()
    lists_all_categories: bool = True
    untested: str = ""


@dataclass(frozen=True)
class Reference:
    """The counts to compare with, in the cells of `layout`. `window` is the start of the window that they are of, None for training.

    `season` is the hour of the week that it is of, where it is learnt for each; `design_effects` then say, by the name of a column (empty
    for the prediction), how much more its weeks differ than independent rows would. `positives` (bins,) are the rows of the second of two classes among the predictions, None if the baseline does not have them.
    """

    series: Series
    layout: Layout
    counts: Counts
    rows: int
    facts: Mapping[str, ColumnFacts] = field(default_factory=dict)
    window: int | None = None
    positives: Counts | None = None
    season: str = ""
    design_effects: Mapping[str, float] = field(default_factory=dict)

    def column_facts(self, column: Column) -> ColumnFacts:
        """What is known of a column."""
        return self.facts.get("" if column.is_prediction else column.name, ColumnFacts())

    def to_json(self) -> dict[str, Any]:
        """The JSON of a reference that is a window's."""
        series = [self.series.version, self.series.digest, self.series.baseline]
        counts = {"counts": self.counts.tolist(), "rows": self.rows, "window": self.window}
        return {"series": series, "layout": self.layout.to_json(), **counts}

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> "Reference":
        """The reference in a document. Raises KeyError, TypeError, ValueError."""
        layout, counts = Layout.from_json(document["layout"]), np.array(document["counts"], np.int64)
        return cls(Series(*document["series"]), layout, counts, document["rows"], window=document["window"])


def window_reference(rollup: Rollup) -> Reference:
    """The counts of a window, for a version without a baseline of its training."""
    return Reference(rollup.series, rollup.layout, rollup.counts, rollup.rows, window=rollup.start)


def read_reference(path: Path, series: Series, layout: Layout) -> Reference | None:
    """The counts of baseline.json; None if there is no such file, or if it is not the one that the server counted by."""
    try:
        content = path.read_bytes()
        if "sha256:" + hashlib.sha256(content).hexdigest() != series.baseline:
            return None
        return parse_reference(json.loads(content), series, layout)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def parse_reference(document: Mapping[str, Any], series: Series, layout: Layout) -> Reference:
    """The counts of the layout's columns in a baseline. Raises KeyError, TypeError, ValueError, AttributeError."""
    counts = np.zeros(layout.size, np.int64)
    facts: dict[str, ColumnFacts] = {}
    for column in layout.columns:
        if column.is_prediction:
            edges = tuple(document["predictions"]["edges"])
            cells = _prediction_cells(document["predictions"]["counts"])
            facts[""] = ColumnFacts(edges)
        else:
            described = document["features"][column.name]
            _, _, cells = flatten_columns({column.name: described["counts"]}, None)
            facts[column.name] = _facts(described)
        if len(cells) != column.size:
            raise ValueError(f"column {column.name!r} does not have the cells of the documents")
        column.cells(counts)[:] = cells
    positives = _read_positives(document.get("predictions") or {})
    return Reference(series, layout, counts, int(document["rows"]), facts, positives=positives)


def _read_positives(predictions: Mapping[str, Any]) -> Counts | None:
    """The sum of the splits; None in a baseline of an earlier release, of a regression or of several classes."""
    splits = predictions.get("positives")
    return np.array([*splits.values()], np.int64).sum(axis=0) if splits else None


def _prediction_cells(splits: Mapping[str, list[int]]) -> list[int]:
    """The sum of the splits that the model was not fitted to, which have no value outside of the bins."""
    bins = [sum(each) for each in zip(*splits.values(), strict=True)]
    return [0, *bins, 0, 0, 0]


def _facts(described: Mapping[str, Any]) -> ColumnFacts:
    untested = UNTESTED_TYPES.get(described.get("type", ""), "") or UNTESTED_CONTENTS.get(
        described.get("content", ""), ""
    )
    return ColumnFacts(
        tuple(described.get("edges", ())),
        tuple(str(each) for each in described.get("categories", ())),
        bool(described.get("allCategories", True)),
        untested,
    )
