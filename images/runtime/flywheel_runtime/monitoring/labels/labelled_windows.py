"""The labelled windows of a run: each is measured while it is open, and tested once, in the run in which it is frozen."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from flywheel_runtime.contract.errors import Undefined
from flywheel_runtime.monitoring.findings import ObservedSubject
from flywheel_runtime.monitoring.labels.join import JoinedWindows, LabelledRows
from flywheel_runtime.monitoring.labels.label_matching import Delay
from flywheel_runtime.monitoring.labels.performance import (
    Performance,
    PerformanceTarget,
    TestMetric,
    measure_performance,
)
from flywheel_runtime.monitoring.state import MonitorState
from flywheel_runtime.monitoring.statistics.streams.decision import Finding as Outcome

SIGNAL = "performance"
MAX_WINDOWS = (
    200  # that are measured in one run: those that are frozen, of which a run has no more, and the newest open ones
)

TestMetricReader = Callable[[str], TestMetric]
"""The metric of a version on its test rows. Raises Undefined if there is none."""


@dataclass(frozen=True)
class LabelSchedule:
    """The windows of a run whose labels are read. `open_starts` may still get labels, `frozen_starts` get none from now on."""

    open_starts: Sequence[int]
    frozen_starts: Sequence[int]
    window_seconds: int

    @property
    def starts(self) -> list[int]:
        """The frozen ones, which are tested in no other run, and the newest open ones, oldest first."""
        room = max(0, MAX_WINDOWS - len(self.frozen_starts))
        return sorted([*self.frozen_starts, *sorted(self.open_starts, reverse=True)[:room]])


def label_schedule(until: int, window_seconds: int, delay: Delay, labelled_until: int) -> LabelSchedule:
    """The windows whose labels are expected at `until`, and the oldest of those that are frozen then, as many as one run measures.

    No window before `labelled_until` is among them: it was tested, or is given up.
    """
    first = -(-labelled_until // window_seconds) * window_seconds
    starts = range(first, until - window_seconds - delay.min_seconds + 1, window_seconds)
    frozen = [start for start in starts if start + window_seconds + delay.max_seconds <= until]
    return LabelSchedule([*starts[len(frozen) :]], frozen[:MAX_WINDOWS], window_seconds)


def first_frozen_start(run_from: int, window_seconds: int, delay: Delay) -> int:
    """The start of the oldest window that a run from then on freezes."""
    return (run_from - delay.max_seconds) // window_seconds * window_seconds


@dataclass(frozen=True)
class LabelledResult:
    """One window of one version: its performance and the outcome of its test, or why there is none."""

    window: LabelledRows
    is_frozen: bool
    performance: Performance | None = None
    outcome: Outcome | None = None
    problem: str = ""

    def to_json(self) -> dict[str, Any]:
        """What the report says of the window."""
        found = {"start": self.window.start, "version": self.window.version, "labels": self.window.counts.to_json()}
        if self.performance is not None:
            found |= self.performance.to_json()
        return found | {"frozen": self.is_frozen, **({"problem": self.problem} if self.problem else {})}


@dataclass
class LabelledAnalysis:
    """Measures and tests labelled windows; the state has what goes on to the next run.

    `versions` are those whose labels are awaited, with their digests. `allowance` is how many false alarms the windows at one time may
    cost in expectation. `frozen_windows` counts those of this run, also the ones without a logged row.
    """

    state: MonitorState
    versions: Mapping[str, str]
    target: PerformanceTarget
    allowance: float
    min_rows: int
    read_test_metric: TestMetricReader
    results: list[LabelledResult] = field(default_factory=list)
    frozen_windows: int = 0
    restarted: list[str] = field(default_factory=list)  # streams whose state did not fit

    def run(self, joined: JoinedWindows, schedule: LabelSchedule) -> None:
        """Decides the windows in the order of time; the versions of one window share its allowance."""
        frozen = set(schedule.frozen_starts)
        self.frozen_windows = len(frozen)
        for start in schedule.starts:
            windows = [each for each in joined.windows if each.start == start]
            total = sum(each.counts.rows for each in windows)
            for window in windows:
                share = window.counts.rows / total if total else 0.0
                self.results.append(self._decide(window, start in frozen, share, len(windows), schedule.window_seconds))
        retire_streams(self.state, SIGNAL, {self._stream(each) for each in self.versions})

    def _stream(self, version: str) -> str:
        """The name of the version's test: other bytes, another metric or another threshold are another test."""
        digest = self.versions[version].rpartition(":")[2][:8]
        return f"{version}/{SIGNAL}/{self.target.metric}/{self.target.max_drop:g}/{digest}"

    def _decide(
        self, window: LabelledRows, is_frozen: bool, share: float, versions: int, window_seconds: int
    ) -> LabelledResult:
        try:
            performance = measure_performance(window, self.target, self.read_test_metric(window.version))
        except Undefined as error:
            return LabelledResult(window, is_frozen, problem=str(error))
        if not is_frozen:
            return LabelledResult(window, is_frozen, performance)
        name = self._stream(window.version)
        allowance = self.allowance / versions
        self.state.streams[name], outcome = performance.observe(self.state.streams.get(name), allowance, self.min_rows)
        self._note_outcome(performance, outcome, share, window.start + window_seconds)
        if outcome.is_restarted:
            self.restarted.append(name)
        return LabelledResult(window, is_frozen, performance, outcome)

    def _note_outcome(self, performance: Performance, outcome: Outcome, share: float, until: int) -> None:
        """Opens, updates and closes the finding of the version's stream."""
        version = performance.window.version
        target = self.target
        observed = ObservedSubject(SIGNAL, target.metric, version, "drop", target.max_drop, until, share)
        self.state.note_outcome(self._stream(version), observed, outcome, performance.drop)


def retire_streams(state: MonitorState, signal: str, tested: Collection[str]) -> None:
    """Ends the tests of a signal that are not among these streams, and closes their findings."""
    for name in sorted({*state.streams, *state.findings}):
        if name.split("/")[1:2] == [signal] and name not in tested:
            state.end_test(name)
