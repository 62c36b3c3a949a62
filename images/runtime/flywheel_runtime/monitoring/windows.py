"""Documents sorted into windows: those that this run decides, and those that come late for a window that was decided before."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from flywheel_runtime.monitoring.documents import CountDocument, DocumentProblems, Series
from flywheel_runtime.monitoring.layout import Counts
from flywheel_runtime.monitoring.rollup import Rollup, merge, roll_up

RETAINED_SECONDS = 26 * 3_600  # for which a window takes late documents
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
        return self.until - windows * self.seconds


@dataclass(frozen=True)
class Window:
    """A window of one series that this run decides; `parts` are its counts [parts, cells] in the order of time."""

    rollup: Rollup
    parts: Counts


@dataclass
class SortedDocuments:
    """The new windows in the order of time, and all roll-ups that are retained, with late documents added."""

    windows: list[Window] = field(default_factory=list)
    rollups: list[Rollup] = field(default_factory=list)
    late: int = 0
    late_rows: int = 0


def sort_documents(
    documents: Iterable[CountDocument], schedule: Schedule, retained: Sequence[Rollup], problems: DocumentProblems
) -> SortedDocuments:
    """Adds each document to its window once, whatever earlier runs have read of it."""
    new: dict[tuple[int, Series], list[CountDocument]] = {}
    late: dict[tuple[int, Series], list[CountDocument]] = {}
    layouts = {rollup.series: rollup.layout for rollup in retained}
    for document in documents:
        start = schedule.start_of(document.time)
        if not schedule.monitored_since <= document.time < schedule.until:
            continue
        if any(rollup.series == document.series and document.key in rollup for rollup in retained):
            continue
        if layouts.setdefault(document.series, document.layout) != document.layout:
            problems.add("columnsDiffer", f"{document.key.pod}-{document.key.boot}-{document.key.window}")
        elif start >= schedule.starts[0]:
            new.setdefault((start, document.series), []).append(document)
        elif start >= schedule.oldest_retained:
            late.setdefault((start, document.series), []).append(document)
        else:
            problems.add("tooLate", f"{document.key.pod}-{document.key.boot}-{document.key.window}")
    found = SortedDocuments()
    found.windows = [_window(new[key], key[0], schedule.seconds) for key in sorted(new)]
    rollups = {(each.start, each.series): each for each in retained if each.start >= schedule.oldest_retained}
    for key, added in late.items():
        rollup = roll_up(added, key[0], schedule.seconds)
        rollups[key] = merge(rollups[key], rollup) if key in rollups else rollup
        found.late += len(added)
        found.late_rows += rollup.rows
    rollups |= {(each.rollup.start, each.rollup.series): each.rollup for each in found.windows}
    found.rollups = [rollups[key] for key in sorted(rollups)]
    return found


def _window(documents: list[CountDocument], start: int, seconds: int) -> Window:
    parts = max(1, min(MAX_PARTS, seconds // 60))
    counts = np.zeros((parts, documents[0].layout.size), np.int64)
    for document in documents:
        counts[min(parts - 1, int((document.time - start) * parts / seconds))] += document.counts
    return Window(roll_up(documents, start, seconds), counts)
