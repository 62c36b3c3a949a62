"""Null years: traffic that moves, but never further from the reference than the threshold, and the alarms that it raises."""

from dataclasses import dataclass, field, replace

from scipy import stats

from e2e.bench.monitoring.simulated_streams import (
    YEAR_HOURS,
    Monitor,
    SimulatedStreams,
    Traffic,
    count_alarms,
)

CONFIDENCE = 0.999
AT_THRESHOLD = 0.316  # the shift in standard deviations whose PSI is 0.1


@dataclass(frozen=True)
class NullYears:
    """Years of null traffic with `features` features that share a budget of one false alarm a year."""

    traffic: Traffic
    features: int = 1
    monitor: Monitor = field(default_factory=Monitor)


@dataclass(frozen=True)
class AlarmCount:
    """The alarms in null years, the most that the budget allows in expectation, and the upper bound of the mean at 99.9 %."""

    alarms: int
    budget: float
    upper_bound: float


MOVING = Traffic(parts=2, cycle=0.2, deviation=0.03, correlation=0.9, part_deviation=0.02, part_correlation=0.5)
STILL = Traffic(parts=2, shift=AT_THRESHOLD)
COARSE, SURE = Monitor(bins=8), Monitor(bins=8, reference_rows=1_000_000)
NULLS = {
    "daily cycle of 0.2 and AR(1)": NullYears(MOVING, monitor=COARSE),
    "cycle and AR(1) near the threshold": NullYears(replace(MOVING, shift=0.05), monitor=SURE),
    "shift at the threshold": NullYears(STILL, monitor=SURE),
    "shift at the threshold, 300 reference rows": NullYears(STILL, monitor=Monitor(bins=8, reference_rows=300)),
    "clusters of 10 equal rows at the threshold": NullYears(replace(STILL, cluster=10), monitor=SURE),
    "10 features, windows of a day, cycle of 0.4": NullYears(
        Traffic(cycle=0.4, window_hours=24, parts=12, rows=12_000, deviation=0.05, correlation=0.8), features=10
    ),
    "10 features, windows of a day, at the threshold": NullYears(
        Traffic(shift=AT_THRESHOLD, window_hours=24, rows=2_000), features=10
    ),
}


def count_false_alarms(null: NullYears, years: int, seed: int = 1) -> AlarmCount:
    """Simulate `years` lives of one year, each with references of its own draw. Its features share one false alarm a year."""
    windows = YEAR_HOURS // null.traffic.window_hours
    monitor = replace(null.monitor, allowance=1 / windows / null.features)
    streams = SimulatedStreams(years * null.features, null.traffic, monitor, seed)
    alarms = count_alarms(streams, windows)
    upper = float(stats.chi2.isf(1 - CONFIDENCE, 2 * (alarms + 1))) / 2  # of the mean of a Poisson variable
    return AlarmCount(alarms, float(years), upper)
