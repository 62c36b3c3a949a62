"""Guarding real processes as main: their timeout, their grace, their use, their end."""

import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import pytest

from e2e.waiting import wait_until
from flywheel_runtime.commands.watch import main as watch_main
from flywheel_runtime.commands.watch.main_guard import MainGuard
from flywheel_runtime.contract.paths import Paths
from flywheel_runtime.contract.processes import PodProcesses, living_processes
from tests.runtime.process_family import NOBODY, ProcessFamily

pytestmark = pytest.mark.integration  # each starts processes and waits for them

OBEDIENT = "import time; print('up', flush=True); time.sleep(60)"
STUBBORN = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); " + OBEDIENT
AFTER_IT_WAS_SEEN = "import sys; sys.stdin.read(); "  # else it could have ended before the guard's first look
WITH_STUBBORN_CHILD = f"""
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", {STUBBORN!r}], stdout=subprocess.PIPE)
child.stdout.readline()
print(child.pid, flush=True)
time.sleep(60)
"""


@contextmanager
def main_runs(program: str) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-c", program]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        try:
            yield process
        finally:
            process.kill()


def first_line(process: subprocess.Popen[bytes]) -> bytes:
    assert process.stdout is not None
    return process.stdout.readline()


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    (tmp_path / "run").mkdir()
    (tmp_path / "outputs").mkdir()
    return Paths(tmp_path, tmp_path / "termination-log")


def guarded(process: subprocess.Popen[bytes], paths: Paths, timeout: float | None, grace: float = 30) -> MainGuard:
    """Guard main, whose standard input is closed when the guard has seen it for a whole turn."""
    family, views = ProcessFamily(process.pid), count()

    def read() -> PodProcesses:
        found = family.read()
        if next(views) == 1 and process.stdin is not None:
            process.stdin.close()
        return found

    guard = MainGuard(timeout, grace, paths, read)
    guard.run()
    process.wait()
    return guard


def test_main_is_asked_to_stop_at_its_timeout(paths: Paths) -> None:
    with main_runs(OBEDIENT) as process:
        guard = guarded(process, paths, timeout=0.5)

    assert guard.timed_out
    assert guard.main_ended
    assert process.returncode == -signal.SIGTERM


def test_main_that_ignores_its_timeout_is_killed(paths: Paths) -> None:
    with main_runs(STUBBORN) as process:
        first_line(process)
        guard = guarded(process, paths, timeout=0, grace=0.3)

    assert guard.timed_out
    assert process.returncode == -signal.SIGKILL


def test_children_are_killed_with_main(paths: Paths) -> None:
    with main_runs(WITH_STUBBORN_CHILD) as process:
        child = int(first_line(process))
        guarded(process, paths, timeout=0, grace=0.2)

        wait_until(lambda: child not in {each.pid for each in living_processes()})


def test_main_that_ends_in_time_is_left_alone(paths: Paths) -> None:
    with main_runs(f"{AFTER_IT_WAS_SEEN}raise SystemExit(3)") as process:
        guard = guarded(process, paths, timeout=60)

    assert not guard.timed_out
    assert process.returncode == 3


def test_without_a_timeout_main_is_never_stopped(paths: Paths) -> None:
    with main_runs(f"{AFTER_IT_WAS_SEEN}import time; time.sleep(0.3); raise SystemExit(3)") as process:
        assert not guarded(process, paths, timeout=None).timed_out


def test_main_is_stopped_when_collect_asks_for_it(paths: Paths) -> None:
    paths.stop_requested.touch()
    with main_runs(OBEDIENT) as process:
        guard = guarded(process, paths, timeout=60)

    assert not guard.timed_out
    assert process.returncode == -signal.SIGTERM


def test_collect_may_know_of_mains_end_before_watch_has_started(paths: Paths) -> None:
    paths.main_ended.touch()
    guard = MainGuard(None, 10, paths, lambda: NOBODY)

    guard.run()

    assert guard.main_ended


def test_a_pod_that_ends_before_main_has_started_is_not_held(paths: Paths) -> None:
    guard = MainGuard(None, 10, paths, lambda: NOBODY)
    threading.Timer(0.2, guard.pod_ends).start()

    guard.run()

    assert not guard.main_ended


def test_a_main_that_nobody_saw_does_not_hold_the_pod_for_ever(paths: Paths) -> None:
    guard = MainGuard(None, 10, paths, lambda: NOBODY)
    guard.run(max_wait=0.1)

    assert not guard.main_ended


@pytest.mark.parametrize(("hold", "max_wait"), [(21720.0, 21720.0), (0.0, 600.0)])
def test_a_main_whose_image_is_pulled_for_long_is_waited_for(
    hold: float, max_wait: float, paths: Paths, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[float] = []
    monkeypatch.setattr(MainGuard, "run", lambda _guard, wait: waits.append(wait))
    before = signal.getsignal(signal.SIGTERM)
    try:
        watch_main.main({"FLYWHEEL_ROOT": str(paths.root), "FLYWHEEL_WATCH": json.dumps({"holdSeconds": hold})})
    finally:
        signal.signal(signal.SIGTERM, before)

    assert waits == [max_wait]


def test_curves_can_be_read_while_main_runs(paths: Paths) -> None:
    paths.curves.touch(mode=0o600)
    with main_runs(AFTER_IT_WAS_SEEN) as process:
        guarded(process, paths, timeout=None)

    assert paths.curves.stat().st_mode & 0o777 == 0o640


def test_the_cgroup_of_a_real_process_is_found(paths: Paths) -> None:
    with main_runs(f"{AFTER_IT_WAS_SEEN}sum(range(20_000_000))") as process:
        guard = guarded(process, paths, timeout=None)

    usage = guard.usage.as_message()
    assert json.dumps(usage)
    assert usage["cpuSeconds"] is not None
    assert usage["cpuSeconds"] > 0


def test_the_pod_is_held_until_collect_has_reported(paths: Paths) -> None:
    guard = MainGuard(None, 1, paths)
    threading.Timer(0.3, paths.reported.touch).start()
    begin = time.monotonic()

    guard.hold(30)

    assert 0.25 < time.monotonic() - begin < 5


def test_a_pod_that_is_deleted_is_not_held(paths: Paths) -> None:
    guard = MainGuard(None, 1, paths)
    threading.Timer(0.3, guard.pod_ends).start()
    begin = time.monotonic()

    guard.hold(30)

    assert time.monotonic() - begin < 5


def test_a_collect_that_never_reports_is_not_waited_for_ever(paths: Paths) -> None:
    begin = time.monotonic()

    MainGuard(None, 1, paths).hold(0.2)

    assert 0.15 < time.monotonic() - begin < 5
