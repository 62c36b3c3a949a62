"""Count documents of the servers, of this release and of earlier ones. What cannot be read is counted, and never a failure."""

import hashlib
import json
import os
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from flywheel_runtime.monitoring.layout import Counts, Layout, UnknownBuckets, flatten_columns, flatten_responses

MAX_DOCUMENT_BYTES = 32 * 1024 * 1024
MAX_COUNT = 2**48  # so that no sum of documents is beyond 64 bits
# A server counts for a minute. One of an earlier release that had no traffic meanwhile wrote a document with an old `from`.
LONGEST_WINDOW_SECONDS = 300.0
MAX_EXAMPLES = 5
ROWS_BASELINE = "rows"  # begins what stands in place of a baseline's digest: counts of stored rows


@dataclass(frozen=True, order=True)
class Series:
    """What may be added: counts of one version's artifact in the bins of one baseline."""

    version: str
    digest: str
    baseline: str

    @property
    def counts_rows(self) -> bool:
        """Whether stored rows are counted, of which it is not known how many were answered."""
        return self.baseline.startswith(ROWS_BASELINE)

    @property
    def identifier(self) -> str:
        """The version with eight digits of what its artifact and its bins are, since a name may be used again."""
        return f"{self.version}@{hashlib.sha256(f'{self.digest} {self.baseline}'.encode()).hexdigest()[:8]}"


@dataclass(frozen=True, order=True)
class DocumentKey:
    """What makes a document unique. `boot` is one start of the server."""

    pod: str
    boot: str
    window: int


@dataclass(frozen=True)
class CountDocument:
    """One document. `time` is in seconds since 1970; `served_rows` is how many rows the server had answered since its start."""

    series: Series
    key: DocumentKey
    time: float
    requests: int
    rows: int
    served_rows: int
    layout: Layout
    counts: Counts


@dataclass
class DocumentProblems:
    """How many documents were not counted, by reason, with examples of their names."""

    counts: Counter[str] = field(default_factory=Counter)
    examples: dict[str, list[str]] = field(default_factory=dict)

    def add(self, reason: str, example: str) -> None:
        """Counts one document."""
        self.counts[reason] += 1
        examples = self.examples.setdefault(reason, [])
        if len(examples) < MAX_EXAMPLES:
            examples.append(example[:200])


class NumberRanges:
    """A set of whole numbers that takes the memory of its gaps, since the windows of a server follow one another."""

    def __init__(self) -> None:
        self._ranges: list[list[int]] = []  # both ends included, sorted and apart

    def add(self, number: int) -> bool:
        """Adds a number; False if it is there already."""
        ranges = self._ranges
        place = bisect_right(ranges, number, key=lambda each: each[0])
        if place and number <= ranges[place - 1][1]:
            return False
        follows = place > 0 and ranges[place - 1][1] == number - 1
        precedes = place < len(ranges) and ranges[place][0] == number + 1
        if follows and precedes:
            ranges[place - 1][1] = ranges.pop(place)[1]
        elif follows:
            ranges[place - 1][1] = number
        elif precedes:
            ranges[place][0] = number
        else:
            ranges.insert(place, [number, number])
        return True

    def to_ranges(self) -> tuple[tuple[int, int], ...]:
        """The ranges, sorted, with both ends."""
        return tuple((low, high) for low, high in self._ranges)


class DocumentReader:
    """Reads documents of one service. Layouts are shared, since all documents of a version have the same."""

    def __init__(self, namespace: str, service: str, problems: DocumentProblems) -> None:
        self._namespace, self._service = namespace, service
        self._problems = problems
        self._layouts: dict[Layout, Layout] = {}

    def read(self, folders: Iterable[Path]) -> Iterator[CountDocument]:
        """The documents in these folders, folder by folder and sorted by name; each key once. None of them is retained."""
        seen: dict[tuple[str, str], NumberRanges] = {}
        for path in (each for folder in folders for each in _find_files(folder)):
            document = self._read_file(path)
            if document is None:
                continue
            key = document.key
            if seen.setdefault((key.pod, key.boot), NumberRanges()).add(key.window):
                yield document
            else:
                self._problems.add("repeated", path.name)

    def _read_file(self, path: Path) -> CountDocument | None:
        if path.stat().st_size > MAX_DOCUMENT_BYTES:
            self._problems.add("unreadable", f"{path.name}: has more than {MAX_DOCUMENT_BYTES:,} bytes")
            return None
        try:
            document = json.loads(path.read_bytes())
            if (document["namespace"], document["service"]) != (self._namespace, self._service):
                self._problems.add("otherService", path.name)
                return None
            return self._parse(document)
        except (OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
            self._problems.add("unreadable", f"{path.name}: {type(error).__name__}: {error}")
            return None

    def _parse(self, document: dict[str, Any]) -> CountDocument:
        if document["v"] != 1:
            raise ValueError(f"version {document['v']!r} of the format is unknown")
        shapes, prediction_bins, cells = flatten_columns(document["features"], document.get("predictions"))
        layout = Layout(shapes, prediction_bins)
        layout = self._layouts.setdefault(layout, layout)
        cells += self._response_cells(document)
        requests, rows = _count(document["requests"]), _count(document["rows"])
        served_rows = _count(document["sinceBoot"]["rows"])
        counts = np.array(cells)
        if counts.dtype != np.int64 or counts.size != layout.size or counts.min() < 0:
            raise ValueError("a count is no whole number from 0")
        if counts.max() > MAX_COUNT:
            raise ValueError(f"a count is above {MAX_COUNT}")
        sums = np.add.reduceat(counts, [*layout.starts, layout.column_cells])
        if (sums[: len(shapes)] != rows).any():
            raise ValueError("the counts of a column do not add up to rows")
        series = Series(_text(document["version"]), _text(document["digest"]), _text(document["baseline"]))
        key = DocumentKey(_text(document["pod"]), _text(document["boot"]), _count(document["window"]))
        return CountDocument(series, key, _time(document), requests, rows, served_rows, layout, counts)

    def _response_cells(self, document: dict[str, Any]) -> list[int]:
        """Errors and latencies; those in buckets of another release are left out, and counted."""
        try:
            return flatten_responses(document.get("responses"))
        except UnknownBuckets:
            self._problems.add("otherLatencyBuckets", f"{document['pod']}-{document['boot']}-{document['window']}")
            return flatten_responses(None)


def _find_files(folder: Path) -> Iterator[Path]:
    """The JSON files in a folder and in those below; the names of one folder at a time are in memory."""
    for root, folders, names in os.walk(folder):
        folders.sort()
        yield from (Path(root, name) for name in sorted(names) if name.endswith(".json"))


def _time(document: dict[str, Any]) -> float:
    """When the document's requests came: its `from`; near its `to` if it is much longer than a window."""
    start, end = _timestamp(document["from"]), _timestamp(document["to"])
    if end < start:
        raise ValueError("`to` is before `from`")
    return start if end - start <= LONGEST_WINDOW_SECONDS else end - 60.0


def _timestamp(text: Any) -> float:
    parsed = datetime.fromisoformat(_text(text))
    return (parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)).timestamp()


def _count(value: Any) -> int:
    if type(value) is not int or not 0 <= value <= MAX_COUNT:
        raise ValueError(f"{value!r:.40} is no count")
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r:.40} is no text")
    return value
