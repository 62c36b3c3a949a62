"""How much of the traffic was counted: each server's own count since its start against the sum of its documents."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from flywheel_runtime.monitoring.rollup import Rollup, SourceKey

MAX_SOURCES = 2_000  # of which the last count is retained


@dataclass(frozen=True)
class Coverage:
    """Rows that the servers answered, and those that their documents counted. Of logged rows it is not known how many were answered."""

    served: int
    counted: int

    @property
    def lost(self) -> int:
        """Rows that no document counted."""
        return max(0, self.served - self.counted)

    @property
    def completeness(self) -> float | None:
        """The counted share; None without traffic, and where it is not known."""
        return self.counted / max(self.served, self.counted) if self.served else None

    def __add__(self, other: "Coverage") -> "Coverage":
        return Coverage(self.served + other.served, self.counted + other.counted)


@dataclass(frozen=True)
class Progress:
    """A server's count of rows since its start at the end of its last known document, in the window that began at `start`."""

    served: int
    start: int


def measure_coverage(
    rollups: Iterable[Rollup], progress: Mapping[SourceKey, Progress]
) -> tuple[list[Coverage], dict[SourceKey, Progress]]:
    """The coverage of each roll-up, which come in the order of time, and the progress after the last one.

    What is missing between two windows counts for the later one. What a server had answered before its first known document
    is not missing: the monitor may be younger than the server.
    """
    known = dict(progress)
    coverages = []
    for rollup in rollups:
        served = 0
        if rollup.series.counts_rows:
            coverages.append(Coverage(0, rollup.rows))
            continue
        for key, source in rollup.sources.items():
            before = known[key].served if key in known else source.served_before
            served += max(source.served_after - min(before, source.served_after), 0)
            known[key] = Progress(max(before, source.served_after), rollup.start)
        coverages.append(Coverage(served, rollup.rows))
    newest = sorted(known, key=lambda key: (known[key].start, key), reverse=True)[:MAX_SOURCES]
    return coverages, {key: known[key] for key in sorted(newest)}
