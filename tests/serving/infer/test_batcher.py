"""Requests that share a call of the model get the results that they would get alone."""

import asyncio
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import NodeProto, TensorProto, helper

from flywheel_serving.errors import ModelFailed, Overloaded
from flywheel_serving.infer.admission import Admission
from flywheel_serving.infer.batcher import Batcher, BatchItem
from flywheel_serving.infer.runner import Concurrency, ModelResult, Runner
from flywheel_serving.metrics.server_metrics import ServerMetrics
from flywheel_serving.model.datatypes import Array
from flywheel_serving.model.onnx_model import OnnxModel
from flywheel_serving.model.row_comparison import compare_rows
from flywheel_serving.model.warm_up.synthetic_rows import synthetic_rows


def run_batcher(
    model: OnnxModel, feeds: Sequence[dict[str, Array]], max_rows: int, wait: float = 60.0
) -> tuple[list[ModelResult], ServerMetrics]:
    """The result of each request when all are submitted in one turn of the loop, and the metrics."""
    metrics = ServerMetrics("m", "1")
    outputs = [spec.name for spec in model.signature.outputs]

    async def submit_all() -> list[ModelResult]:
        runner = Runner(model, Concurrency(3))
        batcher = Batcher(runner, metrics, Admission(256), max_rows)
        waits: list[asyncio.Future[ModelResult]] = []
        for each in feeds:
            answer: asyncio.Future[ModelResult] = asyncio.get_running_loop().create_future()
            rows = len(next(iter(each.values())))
            batcher.submit(BatchItem(each, outputs, rows, time.perf_counter() + wait, answer.set_result))
            waits.append(answer)
            if wait < 1:
                await asyncio.sleep(0.001)  # so that it is in a thread before the next one is submitted
        found = await asyncio.wait_for(asyncio.gather(*waits), 30)
        runner.close()
        return found

    return asyncio.run(submit_all()), metrics


def calls(metrics: ServerMetrics) -> int:
    return int(metrics.batch_rows.cumulative_buckets()[-1][1])


def values(found: ModelResult) -> Any:
    assert isinstance(found, list)
    return found[0].tolist()


def model_of(folder: Path, node: NodeProto, *, constants: Sequence[Any] = ()) -> OnnxModel:
    """A model with one operator from `x` [-1, 2] to `y` [-1, 2]."""
    shapes = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [None, 2]) for name in ("x", "y")]
    graph = helper.make_graph([node], "one", shapes[:1], shapes[1:], list(constants))
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    (folder / "model.onnx").write_bytes(made.SerializeToString())
    return OnnxModel(folder / "model.onnx", 1)


def test_requests_that_wait_together_run_in_one_call_with_their_own_rows(lookup: Path) -> None:
    feeds = [{"index": np.array(rows)} for rows in ([0], [1, 2], [2, 0, 1])]

    found, metrics = run_batcher(OnnxModel(lookup / "model.onnx", 1), feeds, max_rows=64)

    assert [values(each) for each in found] == [[1.0], [2.0, 3.0], [3.0, 1.0, 2.0]]
    assert (calls(metrics), metrics.batch_rows.sum) == (1, 6)


@pytest.mark.parametrize(
    ("max_rows", "wanted"),
    [
        pytest.param(1, 4, id="every request by itself"),
        pytest.param(2, 2, id="two rows in a call"),
        pytest.param(3, 2, id="three, then one"),
    ],
)
def test_no_call_has_more_rows_than_allowed(lookup: Path, max_rows: int, wanted: int) -> None:
    feeds = [{"index": np.array([at % 3])} for at in range(4)]

    found, metrics = run_batcher(OnnxModel(lookup / "model.onnx", 1), feeds, max_rows)

    assert [values(each) for each in found] == [[1.0], [2.0], [3.0], [1.0]]
    assert calls(metrics) == wanted


def test_a_request_larger_than_a_batch_runs_alone(lookup: Path) -> None:
    feeds = [{"index": np.array([0] * 5)}, {"index": np.array([1])}]

    found, metrics = run_batcher(OnnxModel(lookup / "model.onnx", 1), feeds, max_rows=2)

    assert [values(each) for each in found] == [[1.0] * 5, [2.0]]
    assert calls(metrics) == 2


def test_a_row_that_the_model_refuses_fails_alone(lookup: Path) -> None:
    feeds = [{"index": np.array([0])}, {"index": np.array([7])}, {"index": np.array([2])}]

    found, _ = run_batcher(OnnxModel(lookup / "model.onnx", 1), feeds, max_rows=64)

    assert values(found[0]) == [1.0]
    assert isinstance(found[1], ModelFailed)
    assert values(found[2]) == [3.0]


def test_a_request_past_its_deadline_is_not_computed(counting: Path) -> None:
    """Two calls occupy both threads; the third expires before one of them is free."""
    long, short = {"n": np.array([100_000])}, {"n": np.array([1])}

    found, metrics = run_batcher(OnnxModel(counting / "model.onnx", 1), [long, long, short], max_rows=1, wait=0.01)

    assert values(found[0]) == values(found[1]) == [100_000]
    assert isinstance(found[2], Overloaded)
    assert calls(metrics) == 2


def test_shapes_that_do_not_fit_together_are_not_mixed(tmp_path: Path) -> None:
    shapes = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [None, None]) for name in ("x", "y")]
    graph = helper.make_graph([helper.make_node("Neg", ["x"], ["y"])], "neg", shapes[:1], shapes[1:])
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    (tmp_path / "model.onnx").write_bytes(made.SerializeToString())
    feeds = [{"x": np.ones((1, width), np.float32)} for width in (2, 2, 3)]

    found, metrics = run_batcher(OnnxModel(tmp_path / "model.onnx", 1), feeds, max_rows=64)

    assert [values(each) for each in found] == [[[-1.0] * 2], [[-1.0] * 2], [[-1.0] * 3]]
    assert calls(metrics) == 2


def test_only_a_model_with_independent_rows_gets_batches(tmp_path: Path) -> None:
    row_by_row = model_of(tmp_path, helper.make_node("Neg", ["x"], ["y"]))
    assert compare_rows(next(synthetic_rows(row_by_row.signature)), row_by_row) == ""

    over_the_batch = model_of(tmp_path, helper.make_node("Softmax", ["x"], ["y"], axis=0))
    finding = compare_rows(next(synthetic_rows(over_the_batch.signature)), over_the_batch)
    assert finding == "a row in a call with others gets another output than alone"


def in_turn(model: OnnxModel, apart: float, wait: float, max_rows: int) -> tuple[list[float], int]:
    """When each of three requests sent `apart` seconds apart was answered, and the number of calls."""
    metrics = ServerMetrics("m", "1")
    answered: list[float] = []

    async def submit_all() -> None:
        runner = Runner(model, Concurrency(3))
        batcher = Batcher(runner, metrics, Admission(256), max_rows, wait_seconds=wait)
        began = time.perf_counter()
        for _ in range(3):
            call = BatchItem(
                {"index": np.array([1])}, ["value"], 1, began + 60, lambda _: answered.append(time.perf_counter())
            )
            batcher.submit(call)
            await asyncio.sleep(apart)
        while len(answered) < 3:
            await asyncio.sleep(0.001)
        runner.close()

    asyncio.run(asyncio.wait_for(submit_all(), 30))
    return answered, calls(metrics)


def test_requests_wait_for_others_as_long_as_configured(lookup: Path) -> None:
    _, made = in_turn(OnnxModel(lookup / "model.onnx", 1), apart=0.01, wait=5.0, max_rows=3)

    assert made == 1, "the third one filled the call"


def test_a_partial_batch_runs_after_its_wait(lookup: Path) -> None:
    began = time.perf_counter()
    answered, made = in_turn(OnnxModel(lookup / "model.onnx", 1), apart=0.001, wait=0.5, max_rows=64)

    assert made == 1
    assert answered[0] - began >= 0.5


def test_a_model_without_batches_makes_no_request_wait(lookup: Path) -> None:
    _, made = in_turn(OnnxModel(lookup / "model.onnx", 1), apart=0.01, wait=5.0, max_rows=1)

    assert made == 3
