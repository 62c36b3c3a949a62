"""Roll-ups: the sum of a window's count documents, with the keys of what was added.

Sums of integers do not depend on the order of documents, nor on how they are divided among runs, and a document that comes
twice is added once.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from flywheel_runtime.monitoring.documents import MAX_COUNT, CountDocument, DocumentKey, NumberRanges, Series
from flywheel_runtime.monitoring.layout import Counts, Layout

Ranges = tuple[tuple[int, int], ...]  # of whole numbers, both ends included, sorted and apart


@dataclass(frozen=True)
class Source:
    """What one start of one server contributed: its windows, their rows, and its own count of rows before and after them."""

    windows: Ranges
    rows: int
    served_before: int
    served_after: int

    def merge(self, other: "Source") -> "Source":
        """The sum of two contributions without a common window. Raises ValueError."""
        return Source(
            _merge_ranges(self.windows, other.windows),
            self.rows + other.rows,
            min(self.served_before, other.served_before),
            max(self.served_after, other.served_after),
        )


SourceKey = tuple[str, str]  # pod, boot


@dataclass(frozen=True, eq=False)
class Rollup:
    """The counts of one series in the window that begins at `start` and is `seconds` long."""

    series: Series
    start: int
    seconds: int
    layout: Layout
    counts: Counts
    requests: int
    rows: int
    sources: Mapping[SourceKey, Source]

    @property
    def end(self) -> int:
        """The end of the window, in seconds since 1970."""
        return self.start + self.seconds

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Rollup):
            return NotImplemented
        mine, its = ((x.series, x.start, x.seconds, x.layout, x.requests, x.rows, x.sources) for x in (self, other))
        return mine == its and bool(np.array_equal(self.counts, other.counts))

    __hash__ = None  # type: ignore[assignment]  # its counts could be changed

    def __contains__(self, key: DocumentKey) -> bool:
        source = self.sources.get((key.pod, key.boot))
        return source is not None and any(low <= key.window <= high for low, high in source.windows)

    def to_json(self) -> dict[str, Any]:
        """Everything but the layout, which all roll-ups of a series share."""
        return {
            "series": [self.series.version, self.series.digest, self.series.baseline],
            "start": self.start,
            "seconds": self.seconds,
            "requests": self.requests,
            "rows": self.rows,
            "counts": self.counts.tolist(),
            "sources": [
                [*key, [list(each) for each in source.windows], source.rows, source.served_before, source.served_after]
                for key, source in sorted(self.sources.items())
            ],
        }

    @classmethod
    def from_json(cls, document: Mapping[str, Any], layout: Layout) -> "Rollup":
        """The roll-up in a document. Raises KeyError, TypeError, ValueError."""
        sources = {
            (pod, boot): Source(tuple((low, high) for low, high in windows), rows, before, after)
            for pod, boot, windows, rows, before, after in document["sources"]
        }
        counts = np.array(document["counts"], np.int64)
        if counts.size == layout.column_cells:  # of the release before, which counted neither errors nor latencies
            counts = np.append(counts, np.zeros(layout.size - counts.size, np.int64))
        if counts.size != layout.size:
            raise ValueError("a roll-up does not have the cells of its layout")
        window = (int(document["start"]), int(document["seconds"]))
        return cls(
            Series(*document["series"]), *window, layout, counts, document["requests"], document["rows"], sources
        )


def roll_up(documents: Iterable[CountDocument], start: int, seconds: int) -> Rollup:
    """The sum of documents of one series and layout, with keys of their own. Raises ValueError without a document."""
    builder: RollupBuilder | None = None
    for document in documents:
        builder = builder or RollupBuilder(document.series, document.layout, start, seconds)
        builder.add(document)
    if builder is None:
        raise ValueError("there is no document to add")
    return builder.build()


class RollupBuilder:
    """Adds documents of one series and layout, one at a time, without retaining them."""

    def __init__(self, series: Series, layout: Layout, start: int, seconds: int) -> None:
        self.series, self.layout, self.start, self.seconds = series, layout, start, seconds
        self.documents = self.requests = self.rows = 0
        self._counts = np.zeros(layout.size, np.int64)
        self._sources: dict[SourceKey, _SourceBuilder] = {}

    def add(self, document: CountDocument) -> None:
        """Adds a document. Raises ValueError if it was added before."""
        self._sources.setdefault((document.key.pod, document.key.boot), _SourceBuilder()).add(document)
        self._counts += document.counts
        self.documents += 1
        self.requests += document.requests
        self.rows += document.rows

    def build(self) -> Rollup:
        """The sum of what was added."""
        sources = {key: each.build() for key, each in self._sources.items()}
        window = (self.start, self.seconds)
        return Rollup(self.series, *window, self.layout, self._counts, self.requests, self.rows, sources)


@dataclass
class _SourceBuilder:
    windows: NumberRanges = field(default_factory=NumberRanges)
    rows: int = 0
    served_before: int = MAX_COUNT
    served_after: int = 0

    def add(self, document: CountDocument) -> None:
        if not self.windows.add(document.key.window):
            raise ValueError("a document comes twice")
        self.rows += document.rows
        self.served_before = min(self.served_before, document.served_rows - document.rows)
        self.served_after = max(self.served_after, document.served_rows)

    def build(self) -> Source:
        return Source(self.windows.to_ranges(), self.rows, self.served_before, self.served_after)


def merge(left: Rollup, right: Rollup) -> Rollup:
    """The sum of two roll-ups of one series; a roll-up with itself is itself. The window spans both.

    Raises ValueError if they have some documents in common, since these cannot be subtracted.
    """
    if left.series != right.series or left.layout != right.layout:
        raise ValueError("roll-ups of different series cannot be added")
    if left == right:
        return left
    start, end = min(left.start, right.start), max(left.end, right.end)
    sources = dict(left.sources)
    for key, source in right.sources.items():
        sources[key] = sources[key].merge(source) if key in sources else source
    return Rollup(
        left.series,
        start,
        end - start,
        left.layout,
        left.counts + right.counts,
        left.requests + right.requests,
        left.rows + right.rows,
        sources,
    )


def merge_all(rollups: Iterable[Rollup]) -> Rollup:
    """The sum of one roll-up or several of one series, without a common document. Raises ValueError."""
    first, *others = rollups
    for other in others:
        first = merge(first, other)
    return first


def _merge_ranges(left: Ranges, right: Ranges) -> Ranges:
    """The union of ranges. Raises ValueError if they have a number in common."""
    merged: list[tuple[int, int]] = []
    for low, high in sorted((*left, *right)):
        if merged and low <= merged[-1][1]:
            raise ValueError("roll-ups with some documents in common cannot be added")
        if merged and low == merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], high)
        else:
            merged.append((low, high))
    return tuple(merged)
