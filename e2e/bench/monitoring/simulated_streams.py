"""Many monitored streams at once, at the level of counts, by the monitor's own functions.

A stream is one feature with quantile bins whose values are normal. Its mean follows a daily cycle and an AR(1) process over the windows,
and a second AR(1) process over the parts of a window; rows may come in clusters of equal ones. What the product adds for one stream (the
effect must also exceed the threshold, and a finding stays active until it is cleared) can only make alarms rarer, and is left out.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import special

from flywheel_runtime.monitoring.statistics.dependence import design_effect_of_blocks
from flywheel_runtime.monitoring.statistics.detector import add_evidence, total_log_evidence
from flywheel_runtime.monitoring.statistics.evalues import WindowTest, distribution_test, log_e_values
from flywheel_runtime.monitoring.statistics.quantiles import Array

YEAR_HOURS = 8760


@dataclass(frozen=True)
class Traffic:
    """How the mean of a feature moves, in standard deviations of the reference, and what windows have."""

    shift: float = 0.0
    cycle: float = 0.0  # amplitude over a day
    deviation: float = 0.0  # of the AR(1) process over windows
    correlation: float = 0.0  # of that process, from one window to the next
    part_deviation: float = 0.0  # of the AR(1) process over the parts of a window
    part_correlation: float = 0.0
    cluster: int = 1  # equal rows that come together
    rows: int = 1_000  # of a window
    parts: int = 4  # of a window
    window_hours: int = 1


@dataclass(frozen=True)
class Monitor:
    """What the streams are monitored with."""

    reference_rows: int = 10_000
    bins: int = 10
    threshold: float = 0.1
    allowance: float = 1 / YEAR_HOURS  # of a look


@dataclass
class SimulatedStreams:
    """The state of `streams` streams, each with a reference of its own draw."""

    streams: int
    traffic: Traffic
    monitor: Monitor
    seed: int
    edges: Array = field(init=False)
    test: WindowTest = field(init=False)

    def __post_init__(self) -> None:
        self.random = np.random.default_rng(self.seed)
        self.edges = special.ndtri(np.linspace(0, 1, self.monitor.bins + 1))
        uniform = np.full(self.monitor.bins, 1 / self.monitor.bins)
        self.reference = self.random.multinomial(self.monitor.reference_rows, uniform, size=self.streams)
        self.test = distribution_test(self.reference, self.monitor.threshold, self.monitor.bins)
        self.learned = self.test.initial_counts()
        self.evidence = np.full((self.streams, self.test.components), -np.inf)
        self.fine = self.coarse = np.ones(self.streams)
        self.phase = self.random.uniform(0, 2 * math.pi, self.streams)
        self.wander = self.random.normal(size=self.streams)
        self.part_wander = self.random.normal(size=self.streams)

    def observe_windows(self, count: int) -> Iterator[NDArray[np.intp]]:
        """The indices of the streams that raise an alarm in each of the next `count` windows; their evidence starts again."""
        log_allowance = np.full(self.streams, math.log(self.monitor.allowance))
        for index in range(1, count + 1):
            blocks = self.draw_window(index)
            factor, self.fine, self.coarse = design_effect_of_blocks(blocks, self.fine, self.coarse, index)
            log_e, self.learned = log_e_values(self.test, self.learned, blocks, factor)
            self.evidence = add_evidence(self.evidence, log_e, self.test.log_weights, log_allowance)
            alarms = np.flatnonzero(total_log_evidence(self.evidence) >= 0)
            self.evidence[alarms] = -np.inf
            yield alarms

    def draw_window(self, index: int) -> Array:
        """Counts (streams, parts, bins) of the window."""
        traffic = self.traffic
        self.wander = self._step(self.wander, traffic.correlation)
        moved = traffic.shift + traffic.deviation * self.wander
        means = np.empty((self.streams, traffic.parts))
        for part in range(traffic.parts):
            hour = (index + part / traffic.parts) * traffic.window_hours
            self.part_wander = self._step(self.part_wander, traffic.part_correlation)
            cycle = traffic.cycle * np.sin(2 * math.pi * hour / 24 + self.phase)
            means[:, part] = moved + cycle + traffic.part_deviation * self.part_wander
        shares = np.diff(special.ndtr(self.edges - means[..., None]), axis=-1)
        rows = traffic.rows // traffic.parts // traffic.cluster
        drawn: NDArray[Any] = traffic.cluster * self.random.multinomial(rows, shares)
        return drawn.astype(np.float64)

    def _step(self, wander: Array, correlation: float) -> Array:
        stepped: Array = correlation * wander + math.sqrt(1 - correlation**2) * self.random.normal(size=len(wander))
        return stepped


def count_alarms(streams: SimulatedStreams, windows: int) -> int:
    """The number of alarms of all streams in their next windows."""
    return sum(len(alarms) for alarms in streams.observe_windows(windows))


def first_alarms(streams: SimulatedStreams, windows: int) -> Array:
    """The window (streams,) of each stream's first alarm, from 1; infinity without one."""
    first = np.full(streams.streams, np.inf)
    for index, alarms in enumerate(streams.observe_windows(windows), start=1):
        fresh = alarms[np.isinf(first[alarms])]
        first[fresh] = index
        if np.isfinite(first).all():
            break
    return first
