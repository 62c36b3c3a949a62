"""A model in worker processes computes as one in this process, and the end of a worker costs one call."""

import os
import resource
import shutil
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from e2e.waiting import wait_until
from flywheel_serving.errors import ModelCrashed, ModelFailed, ModelRefused, Overloaded, TimeLimitExceeded
from flywheel_serving.memory import MEBIBYTE
from flywheel_serving.model.onnx_model import OnnxModel
from flywheel_serving.workers.isolated_model import IsolatedModel

pytestmark = pytest.mark.integration  # each starts processes that load a model

STEPS = 20_000_000  # of the counting model: more than ten seconds, and an end of its own if the limit fails


@pytest.fixture
def model(counting: Path) -> Iterator[IsolatedModel]:
    made = IsolatedModel(counting / "model.onnx", 1)
    yield made
    made.close()


def count(model: IsolatedModel, steps: int, seconds: float | None = 10.0) -> list[int]:
    [counted] = model.run({"n": np.array([steps])}, ["counted"], seconds)
    return [int(value) for value in counted]


def test_it_has_the_signature_and_the_results_of_the_model(flights: Path) -> None:
    here, isolated = OnnxModel(flights / "model.onnx", 1), IsolatedModel(flights / "model.onnx", 1)
    feeds = {
        "month": np.array([[1.0], [7.0]], np.float32),
        "wind": np.array([[np.nan], [20.0]], np.float32),
        "carrier": np.array([["UA"], ["?"]], object),
    }
    outputs = [spec.name for spec in here.signature.outputs]
    try:
        assert isolated.signature == here.signature
        for wanted, found in zip(here.run(feeds, outputs), isolated.run(feeds, outputs), strict=True):
            assert (wanted == found).all()
        with pytest.raises(ModelFailed, match="could not compute this input"):
            isolated.run({**feeds, "month": np.ones((3, 1), np.float32)}, outputs)
    finally:
        isolated.close()


def test_stacks_of_threads_are_no_memory_of_the_model(counting: Path) -> None:
    threads = 64  # on a large node; their stacks are half a gigabyte of addresses
    model = IsolatedModel(counting / "model.onnx", threads, memory_bytes=100 * MEBIBYTE)
    try:
        assert count(model, 3) == [3]
    finally:
        model.close()


def test_a_computation_ends_at_its_limit_and_the_worker_stays(model: IsolatedModel) -> None:
    [pid] = model.pids

    with pytest.raises(TimeLimitExceeded, match=r"did not finish in 0\.2 s"):
        count(model, STEPS, 0.2)

    assert model.pids == [pid]
    assert count(model, 3) == [3]


def test_a_worker_ends_before_the_server_where_memory_is_short(model: IsolatedModel) -> None:
    [pid] = model.pids

    assert Path(f"/proc/{pid}/oom_score_adj").read_text().strip() == "1000"
    assert resource.prlimit(pid, resource.RLIMIT_DATA)[0] > 0


def test_a_worker_that_dies_costs_one_call(model: IsolatedModel) -> None:
    [pid] = model.pids
    raised: list[BaseException] = []

    def compute() -> None:
        try:
            count(model, STEPS)
        except ModelCrashed as error:
            raised.append(error)

    thread = threading.Thread(target=compute)
    thread.start()
    wait_until(lambda: Path(f"/proc/{pid}/stat").read_text().split()[2] == "R")
    os.kill(pid, signal.SIGABRT)
    thread.join(30)

    assert "SIGABRT" in str(raised[0])
    model.restore()
    assert pid not in model.pids
    assert count(model, 3) == [3]


def test_a_worker_that_does_not_come_back_is_replaced(model: IsolatedModel) -> None:
    [pid] = model.pids
    os.kill(pid, signal.SIGSTOP)  # as one large node would, it does not look at the time limit

    with pytest.raises(TimeLimitExceeded):
        count(model, 3, 0.1)

    assert not Path(f"/proc/{pid}").exists()
    assert count(model, 3) == [3]


def test_a_worker_that_died_while_it_was_idle_costs_nothing(model: IsolatedModel) -> None:
    [pid] = model.pids
    os.kill(pid, signal.SIGKILL)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)  # until its last thread has ended, and closed the socket

    assert count(model, 3) == [3]


def test_calls_that_overlap_get_a_worker_each(model: IsolatedModel) -> None:
    thread = threading.Thread(target=lambda: count(model, 300_000))
    thread.start()
    wait_until(lambda: Path(f"/proc/{model.pids[0]}/stat").read_text().split()[2] == "R")

    assert count(model, 3) == [3]
    assert len(model.pids) == 2
    thread.join()


def test_a_server_without_a_second_worker_is_ready_with_its_first(counting: Path, tmp_path: Path) -> None:
    path = Path(shutil.copy(counting / "model.onnx", tmp_path))
    model = IsolatedModel(path, 1)
    try:
        thread = threading.Thread(target=lambda: count(model, 3_000_000, 120.0))
        thread.start()
        [first] = model._workers
        wait_until(lambda: Path(f"/proc/{first.pid}/stat").read_text().split()[2] == "R")
        absent = path.rename(tmp_path / "absent.onnx")
        for _ in range(2):
            with pytest.raises(Overloaded):
                count(model, 3)
        assert not model.is_crashed
        thread.join()

        os.kill(first.pid, signal.SIGKILL)
        wait_until(lambda: not first.is_alive)
        with pytest.raises(Overloaded):
            count(model, 3)
        assert not model.is_crashed, "the failures before its last result do not count"
        with pytest.raises(Overloaded):
            count(model, 3)
        assert model.is_crashed

        absent.rename(path)
        model.restore()
        assert not model.is_crashed
        assert count(model, 3) == [3]
    finally:
        model.close()


def test_a_refused_model_is_refused(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(b"\x08\x07\x3a\x02\x12\x00")

    with pytest.raises(ModelRefused):
        IsolatedModel(tmp_path / "model.onnx", 1)
