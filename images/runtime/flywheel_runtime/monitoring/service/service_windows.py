"""Tests of the service's errors and latencies: the share of requests that fail, and of responses beyond a latency.

Their null is a share of at most the threshold, which is absolute: it needs no reference. It may move below the threshold, as in a daily cycle.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from flywheel_runtime.monitoring.documents import Series
from flywheel_runtime.monitoring.findings import ObservedSubject, Problem
from flywheel_runtime.monitoring.layout import SERVICE_CELLS, Counts, ServiceCounts
from flywheel_runtime.monitoring.state import MonitorState
from flywheel_runtime.monitoring.statistics.evalues import share_limit_test
from flywheel_runtime.monitoring.statistics.monitored_stream import Stream, observe_window
from flywheel_runtime.monitoring.statistics.streams.decision import Finding as Outcome
from flywheel_runtime.monitoring.windows import Window

SIGNAL = "service"
ERRORS, LATENCY, FAILED = "errors", "latency", "failed"
FAILED_REQUESTS = "requests that the model failed"
PROBLEMS: dict[str, Problem] = {FAILED: "ModelFailed"}  # of the version itself; one client can overload any version
NO_HITS = np.array([0.0, 1.0])  # a reference of which each share is the increase


@dataclass(frozen=True)
class LatencyTarget:
    """That share of all responses, the `quantile`, takes at most `max_seconds`, which is a bound of the servers' buckets."""

    quantile: float
    max_seconds: float

    @property
    def max_slow_share(self) -> float:
        """The share of responses that may take longer."""
        return round(1 - self.quantile, 9)


@dataclass(frozen=True)
class ServiceTarget:
    """What is asked of the service; None is not tested."""

    max_error_share: float | None = None
    latency: LatencyTarget | None = None


@dataclass(frozen=True)
class ServiceLook:
    """One test of one window: `blocks` [parts, 2] are requests with and without what it counts."""

    subject: str
    measure: str
    threshold: float
    blocks: Counts

    def stream(self, series: Series) -> str:
        """The name of the test's process, which goes on from window to window. Another target is another test."""
        return f"{series.identifier}/{SIGNAL}/{self.measure}/{self.threshold:g}/{self.subject}"


@dataclass(frozen=True)
class ServiceResult:
    """One window of one series: its counts, its share of requests, and the outcome of each test by what it measures."""

    series: Series
    start: int
    end: int
    counts: ServiceCounts
    share: float
    outcomes: Mapping[str, Outcome] = field(default_factory=dict)


def find_service_looks(counts: ServiceCounts, target: ServiceTarget) -> Iterator[ServiceLook]:
    """The tests of a window from the counts of its parts."""
    successes = counts.successes
    if target.max_error_share is not None:
        blocks = np.stack([counts.failures, successes], axis=-1)
        yield ServiceLook(ERRORS, ERRORS, target.max_error_share, blocks)
        failed = counts.model_failures
        others = counts.failures + successes - failed
        yield ServiceLook(FAILED_REQUESTS, FAILED, target.max_error_share, np.stack([failed, others], axis=-1))
    if target.latency is not None:
        slow = counts.slower_than(target.latency.max_seconds)
        subject = f"latency over {format_duration(target.latency.max_seconds)}"
        yield ServiceLook(subject, LATENCY, target.latency.max_slow_share, np.stack([slow, successes - slow], axis=-1))


def format_duration(seconds: float) -> str:
    """A latency as users write it: `50ms`, `2.5s`."""
    if seconds >= 1:
        return f"{seconds:g}s"
    return f"{seconds * 1e3:g}ms" if seconds >= 0.001 else f"{seconds * 1e6:g}us"


@dataclass
class ServiceAnalysis:
    """The service in all windows of a run, in the order of time. `allowance` is how many false alarms one window may cost in expectation.

    `versions` are those that are served. A window with fewer than `min_requests` is not tested.
    """

    state: MonitorState
    versions: frozenset[str]
    target: ServiceTarget
    allowance: float
    min_requests: int
    results: list[ServiceResult] = field(default_factory=list)
    restarted: list[str] = field(default_factory=list)  # streams whose state did not fit

    def run(self, windows: Sequence[Window]) -> None:
        """Decides each window of which the servers counted a request."""
        by_start: dict[int, list[Window]] = {}
        for window in windows:
            if window.rollup.layout.service(window.rollup.counts).cells.any():
                by_start.setdefault(window.rollup.start, []).append(window)
        for start in sorted(by_start):
            self._decide(by_start[start])
        self._retire_streams()

    def _decide(self, windows: Sequence[Window]) -> None:
        """Decides the windows of all versions at one time, which share the allowance of one window."""
        counted = [window.rollup.layout.service(window.rollup.counts) for window in windows]
        totals = [int(each.failures + each.successes) for each in counted]
        looks = [
            list(find_service_looks(window.rollup.layout.service(window.parts.astype(np.int64)), self.target))
            for window in windows
        ]
        allowance = self.allowance / max(1, sum(map(len, looks)))
        for window, counts, total, listed in zip(windows, counted, totals, looks, strict=True):
            share = total / max(1, sum(totals))
            outcomes = {each.measure: self._observe(each, window, share, allowance) for each in listed}
            rollup = window.rollup
            self.results.append(ServiceResult(rollup.series, rollup.start, rollup.end, counts, share, outcomes))

    def _observe(self, look: ServiceLook, window: Window, share: float, allowance: float) -> Outcome:
        """One look of a test; it opens, updates and closes the finding of its stream."""
        state, rollup = self.state, window.rollup
        name, version = look.stream(rollup.series), rollup.series.version
        stream = Stream("Share", share_limit_test(look.threshold), NO_HITS, look.threshold)
        state.streams[name], outcome = observe_window(
            stream, state.streams.get(name), look.blocks, allowance, rollup.start, min_rows=self.min_requests
        )
        observed = ObservedSubject(
            SIGNAL, look.subject, version, look.measure, look.threshold, rollup.end, share,
            problem=PROBLEMS.get(look.measure),
        )  # fmt: skip
        state.note_outcome(name, observed, outcome, outcome.effect)
        if outcome.is_restarted:
            self.restarted.append(name)
        return outcome

    def _retire_streams(self) -> None:
        """Ends the tests, and closes the findings, of versions that are not served any more, and of other targets."""
        empty = ServiceCounts(np.zeros((1, SERVICE_CELLS), np.int64))
        tested = {
            (each.measure, f"{each.threshold:g}", each.subject) for each in find_service_looks(empty, self.target)
        }
        seen = {each.series.version for each in self.results}
        for name in sorted({*self.state.streams, *self.state.findings}):
            series, signal, *rest = name.split("/", 4)
            version = series.partition("@")[0]
            if signal == SIGNAL and (tuple(rest) not in tested or version not in self.versions | seen):
                self.state.end_test(name)
