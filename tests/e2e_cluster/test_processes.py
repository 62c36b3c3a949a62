"""Only what we started is ever stopped: a record names a process, its start and the boot."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from e2e.cluster import processes
from e2e.waiting import wait_until
from tests.documents import CHECKOUT

SLEEP = ["sleep", f"600.{os.getpid()}"]  # of this process alone: start() looks for the same command


@pytest.fixture
def running(tmp_path: Path) -> Iterator[processes.Record]:
    found = processes.start(tmp_path / "pids", tmp_path / "log", "sleeper", SLEEP)
    wait_until(lambda: processes.command(found.pid) == SLEEP)  # a moment after the program has begun
    yield found
    processes.stop(tmp_path / "pids", "sleeper", grace=5)


def test_a_name_with_parentheses_does_not_shift_the_fields() -> None:
    fields = " ".join(["S", *["0"] * 18, "4711", "0"])

    assert processes.parse_stat(f"17 (a) (b c)) {fields}") == processes.Stat("S", 4711)


def test_a_recycled_pid_is_not_ours(running: processes.Record) -> None:
    assert processes.alive(running)
    assert not processes.alive(replace(running, started=running.started + 1))
    assert not processes.alive(replace(running, boot="another boot"))


def test_starting_twice_starts_once(tmp_path: Path, running: processes.Record) -> None:
    assert processes.start(tmp_path / "pids", tmp_path / "log", "sleeper", SLEEP) == running


def test_a_process_whose_record_was_lost_is_found_again(tmp_path: Path, running: processes.Record) -> None:
    (tmp_path / "pids" / "sleeper.json").unlink()

    assert processes.start(tmp_path / "pids", tmp_path / "log", "sleeper", SLEEP) == running


def test_stopping_leaves_a_stranger_with_the_same_pid_alone(tmp_path: Path) -> None:
    stranger = subprocess.Popen(SLEEP)
    recorded = processes.record("sleeper", stranger.pid)
    assert recorded is not None
    processes.write(tmp_path, replace(recorded, started=recorded.started - 1))

    processes.stop(tmp_path, "sleeper", grace=1)

    assert stranger.poll() is None
    assert not (tmp_path / "sleeper.json").exists()
    stranger.kill()
    stranger.wait()


def _has_threads(tasks: Path, count: int) -> bool:
    return len(list(tasks.iterdir())) == count


def test_what_was_stopped_is_reaped_though_its_threads_end_a_moment_later(tmp_path: Path) -> None:
    program = "import threading, time; [threading.Thread(target=time.sleep, args=(600,)).start() for _ in range(64)]"
    for number in range(5):
        started = processes.start(tmp_path, tmp_path / "log", "threads", [sys.executable, "-c", program, str(number)])
        tasks = Path(f"/proc/{started.pid}/task")
        wait_until(partial(_has_threads, tasks, 65))
        processes.stop(tmp_path, "threads", grace=5)

        assert started.pid not in [each.pid for each in processes.STARTED]


def test_a_process_may_die_with_its_parent_however_that_ends(tmp_path: Path) -> None:
    program = f"""
import os, signal
from pathlib import Path
from e2e.cluster import processes
folder = Path({str(tmp_path)!r})
processes.start(folder, folder / "log", "sleeper", {SLEEP!r} + ["1"], dies_with_parent=True)
os.kill(os.getpid(), signal.SIGKILL)
"""
    assert subprocess.run([sys.executable, "-c", program], cwd=CHECKOUT, check=False).returncode == -signal.SIGKILL
    recorded = processes.read(tmp_path, "sleeper")
    assert recorded is not None

    assert processes.gone_within(recorded, 5)


def test_a_record_cut_short_is_no_record(tmp_path: Path) -> None:
    (tmp_path / "etcd.json").write_text('{"name": "etcd", "pi')

    assert processes.read(tmp_path, "etcd") is None
    assert processes.records(tmp_path) == []


def test_our_own_process_is_alive() -> None:
    recorded = processes.record("pytest", os.getpid())

    assert recorded is not None
    assert processes.alive(recorded)
