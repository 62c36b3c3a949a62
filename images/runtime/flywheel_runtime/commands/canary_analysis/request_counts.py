"""What grew since the step began, over all pods of one side."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping

from flywheel_runtime.commands.canary_analysis.pod_metrics import Series


class Counts:
    """Adds up the growth of every pod's counters. A pod's first page is where it starts from, since what it counted before belongs to an
    earlier step; a counter that shrank belongs to a server that was started anew, and counts from nothing (as Prometheus' `increase`)."""

    def __init__(self) -> None:
        self._last: dict[str, Mapping[Series, float]] = {}
        self._grown: dict[Series, float] = defaultdict(float)

    def add(self, pod: str, page: Mapping[Series, float]) -> None:
        """One page of one pod."""
        before = self._last.get(pod)
        self._last[pod] = page
        if before is None:
            return
        for series, value in page.items():
            old = before.get(series, 0.0)
            self._grown[series] += value - old if value >= old else value

    def increase(self, name: str, **labels: str) -> float:
        """How much the series of that name grew, over all that carry these labels."""
        return sum(_select([self._grown], name, labels))

    def total(self, name: str, **labels: str) -> float:
        """The sum of the last values of the series of that name that carry these labels, with what they counted before."""
        return sum(_select(self._last.values(), name, labels))

    def buckets(self, histogram: str) -> list[tuple[float, float]]:
        """Upper bound and cumulative count of what was observed, by bound; the last bound is infinite."""
        found: dict[float, float] = defaultdict(float)
        for series, value in self._grown.items():
            if series.name == f"{histogram}_bucket" and series.label("le"):
                found[float(series.label("le"))] += value
        return sorted(found.items())

    @property
    def pods(self) -> int:
        """How many pods ever answered."""
        return len(self._last)

    def latest(self, name: str) -> list[float]:
        """The last value of a gauge of every pod that has it."""
        return list(_select(self._last.values(), name, {}))


def _select(pages: Iterable[Mapping[Series, float]], name: str, labels: Mapping[str, str]) -> Iterator[float]:
    """The values of all series of that name that carry these labels."""
    for page in pages:
        for series, value in page.items():
            if series.name == name and all(series.label(key) == text for key, text in labels.items()):
                yield value


def quantile(q: float, buckets: list[tuple[float, float]]) -> float | None:
    """The q-quantile of a histogram of cumulative buckets, in the unit of its bounds; None without an observation.

    Linear within the bucket in which the rank q*n falls, from 0 in the first; in the infinite bucket the greatest finite bound:
    Prometheus' `histogram_quantile` (https://prometheus.io/docs/prometheus/latest/querying/functions/#histogram_quantile).
    """
    total = buckets[-1][1] if buckets else 0.0
    if total <= 0:
        return None
    rank, low, below = q * total, 0.0, 0.0
    for bound, count in buckets:
        if count >= rank and bound != float("inf"):
            share = (rank - below) / (count - below) if count > below else 1.0
            return low + (bound - low) * share
        if bound == float("inf"):
            break
        low, below = bound, count
    return low


def slower(than: float, buckets: list[tuple[float, float]]) -> float:
    """How many observations are for certain above `than`: those of buckets that begin there or later."""
    total = buckets[-1][1] if buckets else 0.0
    return total - next((count for bound, count in buckets if bound >= than), total)
