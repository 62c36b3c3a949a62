"""The route's metrics, as series of the champion's server (images/README.md, "The route")."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from flywheel_serving.metrics.families import counter, gauge
from flywheel_serving.route.top_differences import TopDifferences

FORWARDED_OUTCOMES = ("Answered", "Failed", "Late", "Invalid")
COMPARED_OUTCOMES = ("Agreed", "Disagreed", "Failed", "Late", "Dropped")
LABELS = ("model", "challenger")


@dataclass(slots=True)
class ChallengerCounts:
    """What is counted of one challenger, given by its version."""

    challenger: str
    not_forwarded: int = 0
    forwarded: Counter[str] = field(default_factory=Counter)
    breaker_open: bool = False
    compared: Counter[str] = field(default_factory=Counter)
    largest_difference: float = 0.0
    top_differences: TopDifferences = field(default_factory=TopDifferences)


class RouteMetrics(Collector):
    """`counts` are of the current challenger or the last one: the canary judge reads them after the route has gone."""

    def __init__(self, model: str) -> None:
        self._model = model
        self.counts: ChallengerCounts | None = None
        self.share_hundredths = 0
        self.is_invalid = False

    def collect(self) -> Iterator[Metric]:
        counts = self.counts
        values = (self._model, counts.challenger if counts else "")

        def one_gauge(name: str, documentation: str, value: float) -> Metric:
            return gauge(name, documentation, LABELS, [(values, value)])

        def by_outcome(name: str, documentation: str, outcomes: tuple[str, ...], found: Counter[str]) -> Metric:
            # Outcomes that never happened are there too: a rate needs their zero.
            samples = [((*values, outcome), found[outcome]) for outcome in outcomes]
            return counter(name, documentation, (*LABELS, "outcome"), samples)

        yield one_gauge("flywheel_route_invalid", "Whether route.json is invalid", float(self.is_invalid))
        yield one_gauge("flywheel_route_percent", "The challenger's share of requests", self.share_hundredths / 100)
        if counts is None:
            return
        yield one_gauge("flywheel_route_breaker_open", "Whether forwarding has stopped", float(counts.breaker_open))
        yield counter("flywheel_route_kept", "Requests not forwarded", LABELS, [(values, counts.not_forwarded)])
        yield by_outcome("flywheel_route_forwarded", "Requests forwarded", FORWARDED_OUTCOMES, counts.forwarded)
        yield by_outcome("flywheel_shadow_compared", "Copies sent and compared", COMPARED_OUTCOMES, counts.compared)
        yield one_gauge("flywheel_shadow_difference", "The largest difference seen", counts.largest_difference)
