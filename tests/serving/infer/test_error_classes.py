"""Whose error a request is whose model was not free in time, as the counts of a version have it."""

import asyncio
from pathlib import Path

import numpy as np
import pytest

from flywheel_serving.errors import SHORT_TIMEOUT_SECONDS, DeadlineExceeded, Overloaded, RequestError
from flywheel_serving.infer.config import InferConfig, Limits
from flywheel_serving.infer.dataplane import DataPlane
from flywheel_serving.infer.extensions import RoutedRequest
from flywheel_serving.infer.requests import InferRequest
from flywheel_serving.metrics.server_metrics import ServerMetrics


class BusyRoute:
    """Says of each request, `seconds` later, that the model was not free."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def assign(self, _request: InferRequest, _row_keys: list[str] | None) -> None:
        """No request is of an A/B test."""

    def submit(self, request: RoutedRequest) -> None:
        asyncio.get_running_loop().call_later(self.seconds, request.complete, Overloaded("the model was not free"))


@pytest.mark.parametrize(
    ("timeout", "busy_seconds", "error", "counted"),
    [
        pytest.param(1e-6, 0.01, DeadlineExceeded, "invalid", id="a timeout that no service meets"),
        pytest.param(SHORT_TIMEOUT_SECONDS, 0.11, DeadlineExceeded, "timedOut", id="a timeout that a good service meets"),
        pytest.param(0.09, 0.0, Overloaded, "overloaded", id="an error before the timeout"),
        pytest.param(None, 0.01, Overloaded, "overloaded", id="no timeout"),
    ],
)  # fmt: skip
def test_only_a_timeout_that_is_too_short_is_the_clients_error(
    lookup: Path, timeout: float | None, busy_seconds: float, error: type[RequestError], counted: str
) -> None:
    metrics = ServerMetrics("lookup", "1")

    async def scenario() -> None:
        dataplane = DataPlane(InferConfig(lookup, "lookup", "1", limits=Limits()), metrics)
        dataplane.set_route(BusyRoute(busy_seconds))
        with pytest.raises(error):
            await dataplane.infer(InferRequest("1", {"index": np.array([1])}, [], timeout))
        dataplane.close()

    asyncio.run(scenario())

    assert metrics.errors == {counted: 1}
