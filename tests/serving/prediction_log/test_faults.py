"""A fault of the recorder reaches no request: the batch's other requests still get their results."""

import asyncio
import logging
from pathlib import Path

import numpy as np
import pytest

from flywheel_serving.infer.batcher import BatchItem
from flywheel_serving.infer.requests import InferRequest
from flywheel_serving.infer.runner import ModelResult
from flywheel_serving.model.datatypes import Array
from flywheel_serving.model.signature import Signature, TensorSpec
from flywheel_serving.prediction_log.config import parse_log_config
from flywheel_serving.prediction_log.recorder import PredictionRecorder

SIGNATURE = Signature((TensorSpec("x", "FP32", (-1, 1)),), (TensorSpec("y", "FP32", (-1, 1)),))
CONFIG = parse_log_config('{"sample": 1.0, "service": "delay", "namespace": "shop"}')
ROW = np.zeros((1, 1), np.float32)


async def record(outputs: list[Array], folder: Path) -> list[ModelResult]:
    """What the request's completion gets from a recorder that is given `outputs`."""
    completed: list[ModelResult] = []

    def complete(result: ModelResult, version: str = "", route: str = "", started: float = 0.0) -> None:
        completed.append(result)

    recorder = PredictionRecorder(CONFIG, folder, SIGNATURE, "v1")
    item = BatchItem({"x": ROW}, ["y"], 1, float("inf"), complete)
    item.on_result = recorder.record_on(complete, item, InferRequest("r1", {"x": ROW}, []), None, is_sampled=True)
    item.on_result(outputs)
    return completed


def test_a_request_that_cannot_be_recorded_is_completed_and_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    outputs_of_another_model = [ROW, ROW]

    with caplog.at_level(logging.ERROR):
        completed = asyncio.run(record(outputs_of_another_model, tmp_path))

    assert completed == [outputs_of_another_model]
    assert "request 'r1' was not recorded" in caplog.text
