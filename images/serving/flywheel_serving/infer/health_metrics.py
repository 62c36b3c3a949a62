"""Series on whether the model can compute."""

from collections.abc import Callable, Iterator, Mapping

from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from flywheel_serving.metrics.families import counter, gauge

LABELS = ("model", "version")
UNREADY_REASONS = ("Starting", "Draining", "ModelStuck", "ModelCrashed")
CAUSES = ("TimeLimit", "Crashed")


class HealthMetrics(Collector):
    """Reads the data plane when it is scraped."""

    def __init__(
        self,
        model: tuple[str, str],
        unready_reason: Callable[[], str],
        stuck_calls: Callable[[], int],
        ended_calls: Mapping[str, int],
    ) -> None:
        self._model = model
        self._unready_reason = unready_reason
        self._stuck_calls = stuck_calls
        self._ended_calls = ended_calls

    def collect(self) -> Iterator[Metric]:
        """The series; the registry calls this for each exposition."""
        reason = self._unready_reason()
        unready = [((*self._model, each), float(each == reason)) for each in UNREADY_REASONS]
        yield gauge(
            "flywheel_server_unready", "Whether the server is not ready for this reason", (*LABELS, "reason"), unready
        )
        stuck = [(self._model, self._stuck_calls())]
        yield gauge(
            "flywheel_model_stuck_calls", "Calls of the model that run on after their time limit", LABELS, stuck
        )
        ended = [((*self._model, cause), self._ended_calls.get(cause, 0)) for cause in CAUSES]
        documentation = "Calls of the model that were ended at their time limit, or ended their worker"
        yield counter("flywheel_model_ended_calls", documentation, (*LABELS, "cause"), ended)
