"""Documents sorted into windows: those that this run decides, and those that come late for a window that was decided before."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from flywheel_runtime.monitoring.documents import CountDocument, DocumentProblems, Series
from flywheel_runtime.monitoring.layout import Layout
from flywheel_runtime.monitoring.rollup import Rollup, RollupBuilder, merge

RETAINED_SECONDS = 26 * 3_600  # for which a window takes late documents
READ_AGAIN_SECONDS = (
    2 * 3_600
)  # before a run's windows, whose documents are in its inputs again: what was counted is not too late
MIN_RETAINED_WINDOWS, MAX_RETAINED_WINDOWS = 2, 48
MAX_PARTS = 60  # of a window; their differences show how much rows depend on one another


@dataclass(frozen=True)
class Schedule:
    """The windows of a run: each of `starts` is `seconds` long. `monitored_since` is the start of the monitor's first window."""

    starts: Sequence[int]
    seconds: int
    monitored_since: int

    @property
    def until(self) -> int:
        """The end of the last window."""
        return self.starts[-1] + self.seconds

    def start_of(self, time: float) -> int:
        """The start of the window that has this time, in seconds since 1970."""
        return self.starts[0] + int((time - self.starts[0]) // self.seconds) * self.seconds

    @property
    def oldest_retained(self) -> int:
        """Windows that begin before this are neither retained nor changed."""
        windows = min(max(RETAINED_SECONDS // self.seconds, MIN_RETAINED_WINDOWS), MAX_RETAINED_WINDOWS)
        windows = max(windows, READ_AGAIN_SECONDS // self.seconds)
        return self.until - windows * self.seconds

    @property
    def oldest_counted(self) -> int:
        """Rows before this are of windows that are neither decided by this run nor changed."""
        return min(self.oldest_retained, self.starts[0])


@dataclass(frozen=True)
class Window:
    """A window of one series that this run decides; `parts` are its counts [parts, cells] in the order of time, of any width."""

    rollup: Rollup
    parts: npt.NDArray[Any]


@dataclass
class SortedDocuments:
    """The new windows in the order of time, and all roll-ups that are retained, with late documents added.

    `read` counts all documents, also those that no window takes; `versions` are those whose values they count.
    """

    windows: list[Window] = field(default_factory=list)
    rollups: list[Rollup] = field(default_factory=list)
    read: int = 0
    versions: set[str] = field(default_factory=set)
    late: int = 0
    late_rows: int = 0


class DocumentSorter:
    """Adds each document to its window once, whatever earlier runs have read of it.

    Nothing of a document is retained but its counts in the window's, so that memory is that of the windows.
    """

    def __init__(self, schedule: Schedule, retained: Sequence[Rollup], problems: DocumentProblems) -> None:
        self._schedule, self._problems = schedule, problems
        self._retained: dict[Series, list[Rollup]] = {}
        for rollup in retained:
            self._retained.setdefault(rollup.series, []).append(rollup)
        self._layouts = {rollup.series: rollup.layout for rollup in retained}
        self._new: dict[tuple[int, Series], _WindowBuilder] = {}
        self._late: dict[tuple[int, Series], RollupBuilder] = {}
        self.read, self.versions = 0, set[str]()

    def add(self, documents: Iterable[CountDocument]) -> None:
        """Adds documents, each of which is read when it is needed."""
        for document in documents:
            self.read += 1
            if document.layout.columns:
                self.versions.add(document.series.version)
            self._add(document)

    def _add(self, document: CountDocument) -> None:
        schedule, series = self._schedule, document.series
        start = schedule.start_of(document.time)
        if not schedule.monitored_since <= document.time < schedule.until:
            return
        if any(document.key in rollup for rollup in self._retained.get(series, ())):
            return
        if self._layouts.setdefault(series, document.layout) != document.layout:
            self._problems.add("columnsDiffer", _name(document))
        elif start >= schedule.starts[0]:
            key = (start, series)
            if key not in self._new:
                self._new[key] = _WindowBuilder(series, document.layout, start, schedule.seconds)
            self._add_once(self._new[key], document)
        elif start >= schedule.oldest_retained:
            key = (start, series)
            if key not in self._late:
                self._late[key] = RollupBuilder(series, document.layout, start, schedule.seconds)
            self._add_once(self._late[key], document)
        else:
            self._problems.add("tooLate", _name(document))

    def _add_once(self, builder: RollupBuilder, document: CountDocument) -> None:
        try:
            builder.add(document)
        except ValueError:
            self._problems.add("repeated", _name(document))

    def finish(self) -> SortedDocuments:
        """The windows, of which this object retains nothing."""
        found = SortedDocuments(read=self.read, versions=self.versions)
        found.windows = [self._new.pop(key).build_window() for key in sorted(self._new)]
        oldest = self._schedule.oldest_retained
        retained = [each for listed in self._retained.values() for each in listed]
        rollups = {(each.start, each.series): each for each in retained if each.start >= oldest}
        for key, added in self._late.items():
            rollup = added.build()
            rollups[key] = merge(rollups[key], rollup) if key in rollups else rollup
            found.late += added.documents
            found.late_rows += rollup.rows
        rollups |= {(each.rollup.start, each.rollup.series): each.rollup for each in found.windows}
        found.rollups = [rollups[key] for key in sorted(rollups)]
        return found


def sort_documents(
    documents: Iterable[CountDocument], schedule: Schedule, retained: Sequence[Rollup], problems: DocumentProblems
) -> SortedDocuments:
    """The windows of these documents."""
    sorter = DocumentSorter(schedule, retained, problems)
    sorter.add(documents)
    return sorter.finish()


class _WindowBuilder(RollupBuilder):
    """Adds the documents of a window, and its parts. Most counts are small: the parts are as narrow as their values allow."""

    def __init__(self, series: Series, layout: Layout, start: int, seconds: int) -> None:
        super().__init__(series, layout, start, seconds)
        self._parts: npt.NDArray[Any] = np.zeros((max(1, min(MAX_PARTS, seconds // 60)), layout.size), np.uint16)

    def add(self, document: CountDocument) -> None:
        """Adds a document to the window and to the part of its time. Raises ValueError if it was added before."""
        super().add(document)
        parts = len(self._parts)
        place = min(parts - 1, int((document.time - self.start) * parts / self.seconds))
        sums = self._parts[place] + document.counts
        if sums.size and sums.max() > np.iinfo(self._parts.dtype).max:
            self._parts = self._parts.astype(np.int64)
        self._parts[place] = sums

    def build_window(self) -> Window:
        """The sum of what was added, and its parts."""
        return Window(self.build(), self._parts)


def _name(document: CountDocument) -> str:
    return f"{document.key.pod}-{document.key.boot}-{document.key.window}"
