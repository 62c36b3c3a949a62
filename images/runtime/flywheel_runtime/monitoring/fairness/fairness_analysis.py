"""Fairness in a run of the monitor: each window is measured by group, and tested once, in the run in which its rows are complete."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from flywheel_runtime.contract.errors import Undefined
from flywheel_runtime.monitoring.fairness.group_differences import GroupCounts
from flywheel_runtime.monitoring.fairness.group_stream import MAX_COMPARED, observe_groups
from flywheel_runtime.monitoring.fairness.measures import FairnessTarget, GroupedRows, Scale, count_rates
from flywheel_runtime.monitoring.findings import ObservedSubject
from flywheel_runtime.monitoring.labels.labelled_windows import retire_streams
from flywheel_runtime.monitoring.labels.sources import MISSING_GROUP
from flywheel_runtime.monitoring.labels.window_rows import OTHER_GROUP
from flywheel_runtime.monitoring.state import MonitorState
from flywheel_runtime.monitoring.statistics.streams.decision import Finding as Outcome

SIGNAL = "fairness"
MIN_GROUP_ROWS = 30  # below which no difference is tested, whatever the monitor asks for
SMALL_SHARE = 0.01  # of a window's rows, below which a group may stay without a test

COLUMN_NOT_LOGGED = "ColumnNotLogged"

ScaleReader = Callable[[str], Scale]
"""The scale of a version. Raises Undefined if its predictions have no such measure."""


@dataclass(frozen=True)
class GroupRate:
    """One rate of one group: its mean outcome, its rows, and whether it is compared with the others."""

    group: str
    rate: str
    value: float
    rows: int
    is_compared: bool


@dataclass(frozen=True)
class FairnessResult:
    """One column of one window and version: the rates of all groups, and the outcome of the test, or why there is none."""

    rows: GroupedRows
    column: str
    is_complete: bool
    rates: Sequence[GroupRate] = ()
    outcome: Outcome | None = None
    problem: str = ""
    reason: str = ""  # of the problem, as a word; empty for the usual ones
    untested_groups: int = 0  # that are too large to be left out

    @property
    def gap(self) -> float | None:
        """The largest difference between two groups that are compared, as it is observed; None below two groups."""
        gaps = []
        for rate in dict.fromkeys(each.rate for each in self.rates):
            values = [
                each.value for each in self.rates if each.rate == rate and each.is_compared and each.value is not None
            ]
            gaps += [max(values) - min(values)] if len(values) > 1 else []
        return max(gaps, default=None)


@dataclass
class FairnessAnalysis:
    """Measures and tests windows; the state has what goes on to the next run. `versions` are those that are tested, with their digests.

    `allowance` is how many false alarms the windows at one time may cost in expectation; columns and versions share it.
    """

    state: MonitorState
    versions: Mapping[str, str]
    target: FairnessTarget
    columns: Sequence[str]
    allowance: float
    min_rows: int
    read_scale: ScaleReader
    results: list[FairnessResult] = field(default_factory=list)
    restarted: list[str] = field(default_factory=list)  # streams whose state did not fit

    def run(self, windows: Sequence[GroupedRows], complete: Collection[int], window_seconds: int) -> None:
        """Decides the windows, which come in the order of time; `complete` are the starts of those that are tested."""
        for start in dict.fromkeys(each.start for each in windows):
            alike = [each for each in windows if each.start == start]
            total = sum(each.logged for each in alike)
            for rows in alike:
                share = rows.logged / total if total else 0.0
                for column in self.columns:
                    result = self._measure(rows, column, start in complete)
                    if result.is_complete and not result.problem:
                        allowance = self.allowance / len(alike) / len(self.columns)
                        result = self._test(result, allowance, share, start + window_seconds)
                    self.results.append(result)
        retire_streams(
            self.state, SIGNAL, {self._stream(version, each) for version in self.versions for each in self.columns}
        )

    def _measure(self, rows: GroupedRows, column: str, is_complete: bool) -> FairnessResult:
        if set(rows.groups[column][0]) <= {MISSING_GROUP, OTHER_GROUP}:
            problem = (
                f"the logged rows have no column '{column}', or no value in it, and other columns of a Dataset with labels "
                "form no groups; name logged columns in spec.fairness.by"
            )
            return FairnessResult(rows, column, is_complete, problem=problem, reason=COLUMN_NOT_LOGGED)
        try:
            scale = self.read_scale(rows.version)
        except Undefined as error:
            return FairnessResult(rows, column, is_complete, problem=str(error))
        rates, untested = [], 0
        for rate, (found, unit) in count_rates(self.target, scale, rows, column).items():
            chosen = set(self._compared(found).tolist())
            total = found.rows.sum()
            for number, name in enumerate(found.names):
                size, mean = int(found.rows[number]), float(found.means[number])
                if size:
                    rates.append(GroupRate(name, rate, mean * unit, size, number in chosen))
                untested += number not in chosen and size > SMALL_SHARE * total
        return FairnessResult(rows, column, is_complete, rates, untested_groups=untested)

    def _compared(self, found: GroupCounts) -> Any:
        """The numbers of the groups with enough rows, at most ten, those with the most."""
        enough = np.flatnonzero(found.rows >= max(self.min_rows, MIN_GROUP_ROWS))
        return np.sort(enough[np.argsort(-found.rows[enough], kind="stable")][:MAX_COMPARED])

    def _test(self, result: FairnessResult, allowance: float, share: float, until: int) -> FairnessResult:
        rows, name = result.rows, self._stream(result.rows.version, result.column)
        scale = self.read_scale(rows.version)
        counted = count_rates(self.target, scale, rows, result.column)
        compared = {rate: found.select(self._compared(found)) for rate, (found, _) in counted.items()}
        max_gap = self.target.max_gap / scale.unit
        state, outcome = observe_groups(compared, self.state.streams.get(name), max_gap, allowance, rows.start)
        self.state.streams[name] = state
        if outcome.effect is not None:
            outcome = replace(outcome, effect=outcome.effect * scale.unit)
        self._note_outcome(result, outcome, share, until)
        return replace(result, outcome=outcome)

    def _stream(self, version: str, column: str) -> str:
        """The name of a test: other bytes, another measure, gap or class are another one."""
        digest = self.versions.get(version, "").rpartition(":")[2][:8]
        target = self.target
        return f"{version}/{SIGNAL}/{target.measure}/{target.max_gap:g}/{digest}/{target.positive}/{column}"

    def _note_outcome(self, result: FairnessResult, outcome: Outcome, share: float, until: int) -> None:
        """Opens, updates and closes the finding of the stream."""
        version, column = result.rows.version, result.column
        name = self._stream(version, column)
        if outcome.is_restarted:
            self.restarted.append(name)
        earlier = self.state.findings.get(name)
        effect = outcome.effect if outcome.effect is not None else earlier.effect if earlier else 0.0
        observed = ObservedSubject(SIGNAL, column, version, self.target.measure, self.target.max_gap, until, share)
        self.state.note_outcome(name, observed, outcome, effect)
