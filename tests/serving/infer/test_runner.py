"""Calls in threads: who may start one, what becomes of those that run on, and what the health port says of them."""

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from flywheel_serving.errors import ModelCrashed, ModelFailed, Overloaded, TimeLimitExceeded
from flywheel_serving.http.message import Request, Response
from flywheel_serving.infer import runner as running
from flywheel_serving.infer.config import InferConfig, Limits
from flywheel_serving.infer.dataplane import DataPlane
from flywheel_serving.infer.runner import Concurrency, ModelResult, Runner
from flywheel_serving.infer.warm_up_calls import run_warm_up_calls
from flywheel_serving.metrics.server_metrics import ServerMetrics
from flywheel_serving.model.datatypes import Array
from flywheel_serving.model.loaded_model import LoadedModel
from flywheel_serving.model.onnx_model import OnnxModel
from flywheel_serving.model.signature import Signature
from flywheel_serving.rest.health import HealthProbes

ROW = {"x": np.zeros((1, 1), np.float32)}


class HeldModel:
    """A model whose calls return when the test says so, whatever their time limit: as one large node would."""

    signature = Signature((), ())
    providers = ["CPUExecutionProvider"]  # noqa: RUF012  as onnxruntime's is

    def __init__(self, error: Exception | None = None) -> None:
        self.go_on = threading.Event()
        self.error = error

    def run(self, feeds: dict[str, Array], outputs: list[str], seconds: float | None = None) -> list[Array]:
        self.go_on.wait(30)
        if self.error is not None:
            raise self.error
        return [feeds["x"]]


class ThreadRecorder:
    """A model that notes whether each call runs on the event loop, and computes for as long as the test says."""

    signature = Signature((), ())
    providers = ["CPUExecutionProvider"]  # noqa: RUF012  as onnxruntime's is

    def __init__(self) -> None:
        self.is_inline: list[bool] = []
        self.rows: list[int] = []
        self.seconds = 0.0

    def run(self, feeds: dict[str, Array], outputs: list[str], seconds: float | None = None) -> list[Array]:
        self.is_inline.append(threading.current_thread() is threading.main_thread())
        self.rows.append(len(feeds["x"]))
        time.sleep(self.seconds)
        return [feeds["x"]]


async def wait_for(condition: Callable[[], bool]) -> None:
    while not condition():
        await asyncio.sleep(0.002)


def test_a_client_has_all_slots_but_one() -> None:
    async def scenario() -> None:
        model = HeldModel()
        runner, results = Runner(model, Concurrency(3, inline=False)), list[ModelResult]()
        for _ in range(2):
            assert runner.may_start("greedy")
            runner.run(ROW, ["y"], results.append, "greedy")
        assert not runner.may_start("greedy")
        assert runner.may_start("another")
        assert not runner.is_full

        model.go_on.set()
        await wait_for(lambda: len(results) == 2)
        assert runner.may_start("greedy")
        runner.close()

    asyncio.run(asyncio.wait_for(scenario(), 30))


def test_a_call_that_runs_on_is_answered_at_its_limit_and_counts_as_stuck(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "GRACE_SECONDS", 0.01)

    async def scenario() -> None:
        model, freed = HeldModel(), list[bool]()
        runner, results = Runner(model, Concurrency(1, 0.01, inline=False)), list[ModelResult]()
        runner.on_late_end = lambda: freed.append(True)
        runner.run(ROW, ["y"], results.append)
        await wait_for(lambda: bool(results))

        assert isinstance(results[0], TimeLimitExceeded)
        assert (runner.is_stuck, runner.is_full, runner.ended["TimeLimit"]) == (True, True, 1)

        model.go_on.set()
        await wait_for(lambda: bool(freed))
        assert (runner.is_stuck, runner.is_full, len(results)) == (False, False, 1)
        runner.close()

    asyncio.run(asyncio.wait_for(scenario(), 30))


@pytest.mark.parametrize("is_inline", [True, False])
def test_an_unexpected_error_is_logged_and_frees_the_slot(is_inline: bool, caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        model = HeldModel(ZeroDivisionError("unexpected"))
        model.go_on.set()
        runner, results = Runner(model, Concurrency(1, inline=is_inline)), list[ModelResult]()
        runner._small_call_seconds, runner._inline_bytes = 0.0, {(): running.MAX_INLINE_BYTES}
        runner.run(ROW, ["y"], results.append)
        await wait_for(lambda: bool(results))

        assert isinstance(results[0], ModelFailed)
        assert "unexpected" in caplog.text
        await wait_for(lambda: not runner.is_full)
        runner.close()

    asyncio.run(asyncio.wait_for(scenario(), 30))


@pytest.mark.parametrize("error", [ModelCrashed("SIGABRT"), Overloaded("no worker")])
def test_the_client_of_a_crash_learns_it_at_once_and_its_slot_waits_for_the_next_worker(
    error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running, "GRACE_SECONDS", 0.0)

    async def scenario() -> None:
        model, replaced = HeldModel(error), threading.Event()
        model.go_on.set()

        def restore() -> None:
            replaced.wait(30)

        runner, results = Runner(model, Concurrency(2, 0.05, inline=False, restore=restore)), list[ModelResult]()
        runner.run(ROW, ["y"], results.append, "a")
        await wait_for(lambda: bool(results))
        assert runner.ended["Crashed"] == isinstance(error, ModelCrashed)
        assert (runner.may_start("a"), runner.may_start("b")) == (False, True)
        await asyncio.sleep(0.1)
        assert runner.stuck_calls == 0, "the wait for a worker is no computation"

        replaced.set()
        await wait_for(lambda: runner.may_start("a"))
        runner.close()

    asyncio.run(asyncio.wait_for(scenario(), 30))


def test_the_start_of_a_worker_is_not_part_of_a_calls_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "GRACE_SECONDS", 0.05)

    async def scenario() -> None:
        model, is_started = HeldModel(), threading.Event()

        @contextmanager
        def lease() -> Iterator[LoadedModel]:
            is_started.wait(30)
            yield model

        runner, results = Runner(model, Concurrency(2, 0.15, inline=False, lease=lease)), list[ModelResult]()
        runner.run(ROW, ["y"], results.append)
        await asyncio.sleep(0.1)
        runner.run(ROW, ["y"], results.append)
        await wait_for(lambda: bool(results))
        assert isinstance(results[0], Overloaded)
        assert (runner.stuck_calls, runner.ended) == (0, {})

        is_started.set()
        await asyncio.sleep(0.15)  # the second call's limit since it came, but not since it has a worker
        assert len(results) == 1
        await wait_for(lambda: len(results) == 2)
        assert isinstance(results[1], TimeLimitExceeded)
        await wait_for(lambda: runner.stuck_calls == 2)  # the other one may have started a moment later
        model.go_on.set()
        runner.close()

    asyncio.run(asyncio.wait_for(scenario(), 30))


@pytest.fixture
def slow_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever else the machine does meanwhile, a call that computes nothing is short."""
    monkeypatch.setattr(running, "MAX_INLINE_SECONDS", 0.2)
    monkeypatch.setattr(running, "LONG_INLINE_SECONDS", 0.3)


@pytest.mark.usefixtures("slow_machine")
def test_a_call_runs_on_the_event_loop_only_if_a_thread_computed_half_as_much_quickly() -> None:
    async def scenario() -> None:
        model = ThreadRecorder()
        runner = Runner(model, Concurrency(2))

        async def is_inline(rows: int, columns: int = 1) -> bool:
            results = list[ModelResult]()
            runner.run({"x": np.zeros((rows, columns), np.float32)}, ["y"], results.append)
            await wait_for(lambda: bool(results))
            return model.is_inline[-1]

        found = [await is_inline(1) for _ in range(4)]
        assert found == [False, False, True, True], "measured twice, then short"
        assert [await is_inline(rows) for rows in (2, 3, 3, 6, 7, 7)] == [True, False, True, True, False, True]
        assert not await is_inline(10_000)
        assert not await is_inline(running.MAX_INLINE_BYTES // 4 + 1)

        model.seconds = 0.4
        assert await is_inline(14), "nothing said before that it is long"
        assert not await is_inline(14)
        runner.close()

    asyncio.run(asyncio.wait_for(scenario(), 30))


@pytest.mark.usefixtures("slow_machine")
@pytest.mark.parametrize(("max_rows", "calls"), [(1, [1] * 5), (64, [1] * 5 + [2, 4, 8, 16, 32, 64])])
def test_the_warm_up_measures_batches_so_that_requests_need_not(max_rows: int, calls: list[int]) -> None:
    async def scenario() -> None:
        model = ThreadRecorder()
        runner = Runner(model, Concurrency(2))
        await run_warm_up_calls(runner, ROW, ["y"], max_rows)
        assert model.rows == calls

        results = list[ModelResult]()
        runner.run({"x": np.zeros((max_rows, 1), np.float32)}, ["y"], results.append)
        assert model.is_inline[-1]
        runner.close()

    asyncio.run(asyncio.wait_for(scenario(), 30))


@pytest.mark.usefixtures("slow_machine")
def test_each_shape_of_rows_is_measured_where_rows_have_any_shape() -> None:
    async def scenario() -> None:
        model = ThreadRecorder()
        runner = Runner(model, Concurrency(2, fixed_row_shape=False))

        async def is_inline(rows: int, columns: int) -> bool:
            results = list[ModelResult]()
            runner.run({"x": np.zeros((rows, columns), np.float32)}, ["y"], results.append)
            await wait_for(lambda: bool(results))
            return model.is_inline[-1]

        assert [await is_inline(16, 16) for _ in range(3)] == [False, False, True]
        assert [await is_inline(256, 1), await is_inline(1, 256)] == [False, False], "as many bytes, but other work"
        assert await is_inline(256, 1)
        runner.close()

    asyncio.run(asyncio.wait_for(scenario(), 30))


def probe(probes: HealthProbes, path: bytes = b"/v2/health/ready") -> Response:
    found: list[Response] = []
    probes(Request("GET", path, {}, b"", True), found.append)
    return found[0]


def test_the_health_port_says_why_the_server_is_not_ready(lookup: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> list[tuple[int, bool]]:
        dataplane = DataPlane(InferConfig(lookup, "lookup", "1", limits=Limits()), ServerMetrics("lookup", "1"))
        now = [0.0]
        probes = HealthProbes(dataplane, lambda: now[0])
        found = [probe(probes)]
        await dataplane.warm_up()
        found.append(probe(probes))
        runner: Any = dataplane._runner
        for cause in ("TimeLimit", "Crashed", "TimeLimit"):
            runner.ended[cause] += 1
            now[0] += 61
            found += [probe(probes), probe(probes)]
        monkeypatch.setattr(Runner, "is_stuck", property(lambda _: True))
        found.append(probe(probes))
        assert b"ModelStuck" in found[-1].body
        monkeypatch.undo()
        dataplane.drain()
        found.append(probe(probes))
        dataplane.close()
        return [(each.status, b'"ready":true' in each.body) for each in found]

    told, ready = (504, True), (200, True)
    crashed = (500, True)
    assert asyncio.run(scenario()) == [
        (503, False), ready, told, ready, crashed, ready, told, ready, (504, False), (503, False),
    ]  # fmt: skip


def test_the_event_loop_answers_while_golden_rows_are_replayed(lookup: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    has_answered = threading.Event()
    run = OnnxModel.run

    def run_slowly(self: OnnxModel, *arguments: Any) -> list[Array]:
        assert has_answered.wait(5), "the event loop is blocked"
        return run(self, *arguments)

    async def scenario() -> None:
        dataplane = DataPlane(InferConfig(lookup, "lookup", "1", limits=Limits()), ServerMetrics("lookup", "1"))
        asyncio.get_running_loop().call_later(0.05, has_answered.set)
        monkeypatch.setattr(OnnxModel, "run", run_slowly)
        await dataplane.warm_up()
        dataplane.close()

    asyncio.run(scenario())
