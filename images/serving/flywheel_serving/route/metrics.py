"""What the route counts, as series of the champion's server (images/README.md, "The route")."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from flywheel_serving.route.worst import Worst

FORWARDED = ("Answered", "Failed", "Late", "Invalid")
COMPARED = ("Agreed", "Disagreed", "Failed", "Late", "Dropped")
NAMES = ("model", "challenger")


@dataclass(slots=True)
class Counts:
    """What is known of one challenger, given by its version."""

    challenger: str
    kept: int = 0
    forwarded: Counter[str] = field(default_factory=Counter)
    breaker_open: bool = False
    compared: Counter[str] = field(default_factory=Counter)
    difference: float = 0.0
    worst: Worst = field(default_factory=Worst)


class RouteMetrics(Collector):
    """`counts` is of the challenger that is asked now, or was asked last: a judge still reads it when the route is gone."""

    def __init__(self, model: str) -> None:
        self._model = model
        self.counts: Counts | None = None
        self.hundredths = 0
        self.invalid = False

    def collect(self) -> Iterator[Metric]:
        yield self._gauge("flywheel_route_invalid", "Whether route.json cannot be understood", float(self.invalid))
        yield self._gauge("flywheel_route_percent", "The challenger's share", self.hundredths / 100)
        counts = self.counts
        if counts is None:
            return
        yield self._gauge("flywheel_route_breaker_open", "Whether forwarding has stopped", float(counts.breaker_open))
        kept = CounterMetricFamily("flywheel_route_kept", "Answered without the challenger", labels=NAMES)
        kept.add_metric(self._values, counts.kept)
        yield kept
        yield self._outcomes("flywheel_route_forwarded", "Sent to the challenger", FORWARDED, counts.forwarded)
        yield self._outcomes("flywheel_shadow_compared", "Copies for the challenger", COMPARED, counts.compared)
        yield self._gauge("flywheel_shadow_difference", "The largest between two answers", counts.difference)

    @property
    def _values(self) -> tuple[str, str]:
        return (self._model, self.counts.challenger if self.counts else "")

    def _gauge(self, name: str, words: str, value: float) -> GaugeMetricFamily:
        family = GaugeMetricFamily(name, words, labels=NAMES)
        family.add_metric(self._values, value)
        return family

    def _outcomes(self, name: str, words: str, outcomes: tuple[str, ...], found: Counter[str]) -> CounterMetricFamily:
        family = CounterMetricFamily(name, words, labels=(*NAMES, "outcome"))
        for outcome in outcomes:  # also those that never happened: a rate needs their zero
            family.add_metric((*self._values, outcome), found[outcome])
        return family
