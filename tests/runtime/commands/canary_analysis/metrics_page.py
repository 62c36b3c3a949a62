"""Pages of /metrics as a server of ours writes them, by prometheus_client."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from flywheel_runtime.commands.canary_analysis.pod_metrics import parse
from flywheel_runtime.commands.canary_analysis.request_counts import Counts

BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0)
CHALLENGER = "delay-2"


class Page:
    """What one server has counted so far."""

    def __init__(self, version: str = "delay-1") -> None:
        self.registry = CollectorRegistry()
        labels, route = {"model": "delay", "version": version}, {"model": "delay", "challenger": CHALLENGER}
        self.seconds = Histogram(
            "model_infer_duration_seconds", "…", list(labels), registry=self.registry, buckets=BOUNDS
        ).labels(**labels)
        self._forwarded = Counter("flywheel_route_forwarded", "…", [*route, "outcome"], registry=self.registry)
        self._compared = Counter("flywheel_shadow_compared", "…", [*route, "outcome"], registry=self.registry)
        self._route = route
        self.percent = Gauge("flywheel_route_percent", "…", list(route), registry=self.registry).labels(**route)
        self.breaker = Gauge("flywheel_route_breaker_open", "…", list(route), registry=self.registry).labels(**route)
        self.difference = Gauge("flywheel_shadow_difference", "…", list(route), registry=self.registry).labels(**route)

    def answers(self, count: int, seconds: float) -> None:
        """So many inferences, each so long."""
        for _ in range(count):
            self.seconds.observe(seconds)

    def forwards(self, **outcomes: int) -> None:
        """Requests that were sent to the challenger, by how that ended."""
        for outcome, count in outcomes.items():
            self._forwarded.labels(**self._route, outcome=outcome).inc(count)

    def compares(self, **outcomes: int) -> None:
        """Copies, by how that ended."""
        for outcome, count in outcomes.items():
            self._compared.labels(**self._route, outcome=outcome).inc(count)

    @property
    def text(self) -> str:
        """As it is scraped."""
        return generate_latest(self.registry).decode()


def grown(before: Page, after: Page) -> Counts:
    """One pod that showed these pages."""
    counts = Counts()
    counts.add("pod", parse(before.text))
    counts.add("pod", parse(after.text))
    return counts
