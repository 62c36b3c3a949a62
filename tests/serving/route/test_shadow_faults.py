"""A fault while a request is copied reaches no client: its response, and those of its batch, were due anyway."""

import asyncio

import numpy as np

from flywheel_serving.infer.batcher import BatchItem
from flywheel_serving.infer.config import Limits
from flywheel_serving.infer.extensions import RoutedRequest
from flywheel_serving.infer.local_model import LocalModel
from flywheel_serving.infer.runner import ModelResult
from flywheel_serving.model.signature import Signature, TensorSpec
from flywheel_serving.route.metrics import ChallengerCounts
from flywheel_serving.route.route_file import Challenger, Route
from flywheel_serving.route.shadow import Shadow
from flywheel_serving.route.upstream import Upstream

SIGNATURE = Signature((TensorSpec("x", "FP32", (-1,)),), (TensorSpec("y", "BYTES", (-1,)),))
CHALLENGER = Challenger("v2", "127.0.0.1", 9)
ROUTE = Route("Shadow", 10_000, CHALLENGER, None, 1.0, 0.0, 0.0)
NOT_TEXT = [np.array([1], object)]


async def shadow_one() -> tuple[list[ModelResult], ChallengerCounts]:
    """The results of a request whose outputs cannot be copied, and the counts."""
    completed: list[ModelResult] = []

    def complete(result: ModelResult, version: str = "", route: str = "", started: float = 0.0) -> None:
        completed.append(result)

    counts = ChallengerCounts("v2")
    local_model = LocalModel("m", "v1", SIGNATURE, lambda item: item.on_result(NOT_TEXT), Limits())
    shadow = Shadow(local_model, ROUTE, Upstream(local_model, CHALLENGER, 1024, counts))
    item = BatchItem({"x": np.zeros(1, np.float32)}, ["y"], 1, float("inf"), complete)
    shadow.submit(RoutedRequest(item, "r1", {}, False, float("inf"), complete))
    return completed, counts


def test_a_request_that_cannot_be_copied_is_completed_and_counted_as_dropped() -> None:
    completed, counts = asyncio.run(shadow_one())

    assert completed == [NOT_TEXT]
    assert counts.compared == {"Dropped": 1}
