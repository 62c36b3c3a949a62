"""Only what we started is ever stopped: a record names a process, its start and the boot."""

import os
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from e2e.cluster import processes
from e2e.waiting import wait_until

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


def test_a_record_cut_short_is_no_record(tmp_path: Path) -> None:
    (tmp_path / "etcd.json").write_text('{"name": "etcd", "pi')

    assert processes.read(tmp_path, "etcd") is None
    assert processes.records(tmp_path) == []


def test_our_own_process_is_alive() -> None:
    recorded = processes.record("pytest", os.getpid())

    assert recorded is not None
    assert processes.alive(recorded)
