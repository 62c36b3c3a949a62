"""Roll-ups: the sum of a window's count documents, with the keys of what was added.

Sums of integers do not depend on the order of documents, nor on how they are divided among runs, and a document that comes
twice is added once.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from flywheel_runtime.monitoring.documents import CountDocument, DocumentKey, Series
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
        if counts.size != layout.size:
            raise ValueError("a roll-up does not have the cells of its layout")
        window = (int(document["start"]), int(document["seconds"]))
        return cls(
            Series(*document["series"]), *window, layout, counts, document["requests"], document["rows"], sources
        )


def roll_up(documents: Iterable[CountDocument], start: int, seconds: int) -> Rollup:
    """The sum of documents of one series and layout, with keys of their own. Raises ValueError without a document."""
    listed = list(documents)
    if not listed:
        raise ValueError("there is no document to add")
    counts = np.zeros_like(listed[0].counts)
    for each in listed:
        counts += each.counts
    by_source: dict[SourceKey, list[CountDocument]] = {}
    for each in listed:
        by_source.setdefault((each.key.pod, each.key.boot), []).append(each)
    sources = {key: _source(contributed) for key, contributed in by_source.items()}
    requests, rows = sum(each.requests for each in listed), sum(each.rows for each in listed)
    return Rollup(listed[0].series, start, seconds, listed[0].layout, counts, requests, rows, sources)


def _source(documents: list[CountDocument]) -> Source:
    windows = sorted(each.key.window for each in documents)
    if len(set(windows)) < len(windows):
        raise ValueError("a document comes twice")
    before = min(each.served_rows - each.rows for each in documents)
    after = max(each.served_rows for each in documents)
    return Source(_ranges(windows), sum(each.rows for each in documents), before, after)


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


def _ranges(numbers: Iterable[int]) -> Ranges:
    """Sorted numbers as ranges."""
    ranges: list[list[int]] = []
    for number in numbers:
        if ranges and number == ranges[-1][1] + 1:
            ranges[-1][1] = number
        else:
            ranges.append([number, number])
    return tuple((low, high) for low, high in ranges)


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
