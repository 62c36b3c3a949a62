"""What observes the looks of all versions at one time, by the method of the monitor."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from flywheel_runtime.monitoring.signals import DRIFT_MEASURE, Look
from flywheel_runtime.monitoring.statistics.false_alarm_budget import look_allowances
from flywheel_runtime.monitoring.statistics.fixed_tests import fixed_level, holm_adjusted
from flywheel_runtime.monitoring.statistics.monitored_stream import (
    CountStream,
    drift_stream,
    observe_fixed,
    observe_window,
    share_stream,
    window_p_value,
)
from flywheel_runtime.monitoring.statistics.streams.decision import Finding as Outcome

Method = Literal["Sequential", "Fixed"]


@dataclass(frozen=True)
class AlarmBudget:
    """At most `count` false alarms are expected in `per_seconds`."""

    count: float
    per_seconds: float


@dataclass
class LookObserver:
    """Observes looks, and leaves the states of their tests in `states` for the next window."""

    states: dict[str, dict[str, Any]]
    budget: AlarmBudget
    min_rows: int
    method: Method
    _tests: dict[tuple[str, str], CountStream] = field(default_factory=dict)

    def observe(self, looks: Sequence[Look], start: int, seconds: int) -> dict[str, Outcome]:
        """The outcomes by the names of the looks' streams. The looks share what one window may cost of the budget."""
        observe = self._observe_fixed if self.method == "Fixed" else self._observe_sequentially
        return dict(observe(looks, start, seconds))

    def _observe_sequentially(self, looks: Sequence[Look], start: int, seconds: int) -> Sequence[tuple[str, Outcome]]:
        """By tests that go on from window to window."""
        subjects: dict[str, list[str]] = {}
        for look in looks:
            subjects.setdefault(look.signal, []).append(look.stream)
        allowances = look_allowances(subjects, self.budget.count, self.budget.per_seconds, seconds)
        found = []
        for look in looks:
            allowance = allowances[look.signal, look.stream]
            self.states[look.stream], outcome = observe_window(
                self._test(look), self.states.get(look.stream), look.blocks, allowance, start, self.min_rows
            )
            found.append((look.stream, outcome))
        return found

    def _observe_fixed(self, looks: Sequence[Look], start: int, seconds: int) -> Sequence[tuple[str, Outcome]]:
        """By p-values, which are adjusted for all looks."""
        tested = {
            look.stream: window_p_value(self._test(look), self.states.get(look.stream), look.blocks, self.min_rows)
            for look in looks
        }
        values = {name: value for name, value in tested.items() if value is not None}
        adjusted = dict(zip(values, holm_adjusted([*values.values()]).tolist(), strict=True))
        level = fixed_level(self.budget.count, self.budget.per_seconds, seconds)
        found = []
        for look in looks:
            self.states[look.stream], outcome = observe_fixed(
                self._test(look),
                self.states.get(look.stream),
                look.blocks,
                adjusted.get(look.stream),
                level,
                start,
                self.min_rows,
            )
            found.append((look.stream, outcome))
        return found

    def _test(self, look: Look) -> CountStream:
        """The test of a look, which is made once in a run; of a seasonal one, for each hour."""
        if look.test is not None:
            return look.test
        key = (look.stream, look.season)
        if key not in self._tests:
            if look.measure == DRIFT_MEASURE:
                ordered = len(look.reference) if look.column.kind == "Number" else 0
                test: CountStream = drift_stream(look.reference, look.threshold, ordered, look.reference_design_effect)
            else:
                test = share_stream(int(look.reference[0]), int(look.reference.sum()), look.threshold)
            self._tests[key] = test
        return self._tests[key]
