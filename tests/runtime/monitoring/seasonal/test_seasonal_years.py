"""A daily cycle far beyond the threshold is silent with a reference for each hour of the week, and a change on top of it is found."""

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from flywheel_runtime.monitoring.documents import Series
from flywheel_runtime.monitoring.layout import Layout
from flywheel_runtime.monitoring.reference import Reference
from flywheel_runtime.monitoring.rollup import Rollup
from flywheel_runtime.monitoring.seasonal.hour_of_week import HOUR_SECONDS, HOURS, WEEKS, HoursOfWeek
from flywheel_runtime.monitoring.statistics.monitored_stream import CountStream, drift_stream, observe_window
from flywheel_runtime.monitoring.statistics.streams.decision import State

BINS, ROWS, BLOCKS, THRESHOLD = 20, 1_200, 12, 0.1
EDGES = stats.norm.ppf(np.linspace(0, 1, BINS + 1))
SERIES, LAYOUT = Series("v1", "sha256:1", "sha256:2"), Layout((("x0", "Number", BINS),), None)
TRAINING = Reference(SERIES, LAYOUT, np.zeros(LAYOUT.size, np.int64), 0)
COLUMN = LAYOUT.columns[0]


class SeasonalMonitor:
    """One feature whose mean follows a daily cycle of one standard deviation and an AR(1) process."""

    def __init__(self, seed: int) -> None:
        self.random = np.random.default_rng(seed)
        self.hours, self.tests = HoursOfWeek(), dict[str, CountStream]()
        self.state: State | None = None
        self.wander, self.hour, self.alarms = 0.0, 0, list[int]()

    def run(self, windows: int, shift: float = 0.0) -> None:
        for _ in range(windows):
            self.wander = 0.8 * self.wander + 0.03 * self.random.normal()
            mean = shift + self.wander + math.sin(2 * math.pi * self.hour / 24)
            shares = np.diff(stats.norm.cdf(EDGES, mean))
            self._observe(self.random.multinomial(ROWS // BLOCKS, shares, size=BLOCKS))
            self.hour += 1

    def _observe(self, blocks: np.ndarray) -> None:
        cells = np.zeros(LAYOUT.size, np.int64)
        COLUMN.cells(cells)[1 : BINS + 1] = blocks.sum(axis=0)
        start = self.hour * HOUR_SECONDS
        rollup = Rollup(SERIES, start, HOUR_SECONDS, LAYOUT, cells, ROWS, ROWS, {})
        reference, _ = self.hours.take_window(rollup, replace(TRAINING), is_whole=True)
        if reference is None:
            return
        if reference.season not in self.tests:
            counts = COLUMN.distribution(reference.counts)
            self.tests[reference.season] = drift_stream(counts, THRESHOLD, BINS, reference.design_effects["x0"])
        test = self.tests[reference.season]
        self.state, finding = observe_window(test, self.state, blocks, 1 / 8760, start)
        if finding.is_new:
            self.alarms.append(self.hour)


@pytest.mark.integration
@pytest.mark.parametrize("seed", [pytest.param(1, marks=pytest.mark.long_run), 2])
def test_a_cycle_of_a_standard_deviation_is_silent_for_months_and_a_change_is_found_within_a_day(seed: int) -> None:
    monitor = SeasonalMonitor(seed)
    monitor.run(HOURS * (WEEKS + 12))
    assert monitor.alarms == []

    begun = monitor.hour
    monitor.run(48, shift=0.7)

    assert [begun <= hour < begun + 24 for hour in monitor.alarms] == [True]
