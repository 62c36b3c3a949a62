"""Metrics of explanations, as series of the server."""

from collections.abc import Iterator

from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from flywheel_serving.explanation.sidecar.client import ExplainerClient
from flywheel_serving.metrics.families import counter, gauge


class ExplanationMetrics(Collector):
    """Reads the client's counts when they are asked for."""

    def __init__(self, client: ExplainerClient) -> None:
        self._client = client

    def collect(self) -> Iterator[Metric]:
        samples = [((outcome,), float(count)) for outcome, count in self._client.outcomes.items()]
        yield counter("flywheel_explanations", "Requests that were to be explained", ("outcome",), samples)
        connected = [((), float(self._client.is_connected))]
        yield gauge("flywheel_explainer_connected", "Whether the explainer can be reached: 1 or 0", (), connected)
