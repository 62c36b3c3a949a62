"""Watching real processes as main: their start, their end, their timeout, their memory."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from e2e.waiting import wait_until
from flywheel_runtime.commands.collect.processes import Process, is_surely_main, living, of_main, roots
from flywheel_runtime.commands.collect.watch import Stop, Watch
from flywheel_runtime.contract.cgroup import Meter, Usage
from tests.runtime.commands.collect.descendants import Descendants

OBEDIENT = "import time; print('up', flush=True); time.sleep(60)"
STUBBORN = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); " + OBEDIENT
WITH_STUBBORN_CHILD = f"""
from e2e.waiting import wait_until
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", {STUBBORN!r}], stdout=subprocess.PIPE)
child.stdout.readline()
print(child.pid, flush=True)
time.sleep(60)
"""


@contextmanager
def main_runs(program: str) -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as process:
        try:
            yield process
        finally:
            process.kill()


def first_line(process: subprocess.Popen[bytes]) -> bytes:
    assert process.stdout is not None
    return process.stdout.readline()


@pytest.fixture
def fetched(tmp_path: Path) -> Path:
    file = tmp_path / "fetched"
    file.write_text("[1]")
    return file


def watched(process: subprocess.Popen[bytes], fetched: Path, timeout: float | None, grace: float = 30) -> Watch:
    """Watch until the process has ended, as the kubelet's SIGTERM would tell."""
    watch, stop = Watch(timeout, grace, fetched, belongs=Descendants(process.pid)), Stop()

    def tell() -> None:
        process.wait()
        stop.at = time.monotonic()

    teller = threading.Thread(target=tell)
    teller.start()
    watch.run(stop)
    teller.join()
    return watch


def test_main_is_asked_to_stop_at_its_timeout(fetched: Path) -> None:
    with main_runs(OBEDIENT) as process:
        watch = watched(process, fetched, timeout=0.5)

    assert watch.timed_out
    assert process.returncode == -signal.SIGTERM


def test_main_that_ignores_its_timeout_is_killed(fetched: Path) -> None:
    with main_runs(STUBBORN) as process:
        first_line(process)
        watch = watched(process, fetched, timeout=0, grace=0.3)

    assert watch.timed_out
    assert process.returncode == -signal.SIGKILL


def test_children_are_killed_with_main(fetched: Path) -> None:
    with main_runs(WITH_STUBBORN_CHILD) as process:
        child = int(first_line(process))
        watch = Watch(0, 0.2, fetched, belongs=Descendants(process.pid))
        stop = Stop()
        thread = threading.Thread(target=watch.run, args=(stop,))
        thread.start()
        wait_until(lambda: child not in living())
        stop.at = time.monotonic()
        thread.join()

    assert watch.timed_out


def test_main_that_ends_in_time_is_left_alone(fetched: Path) -> None:
    with main_runs("raise SystemExit(3)") as process:
        watch = watched(process, fetched, timeout=60)

    assert not watch.timed_out
    assert process.returncode == 3


def test_without_a_timeout_main_is_never_stopped(fetched: Path) -> None:
    with main_runs("import time; time.sleep(1); raise SystemExit(3)") as process:
        assert not watched(process, fetched, timeout=None).timed_out


def test_time_counts_from_mains_start_even_if_collect_starts_again(fetched: Path) -> None:
    with main_runs(OBEDIENT) as process:
        first_line(process)
        began = datetime.now(UTC)
        time.sleep(0.6)  # an earlier collect has watched this long
        watch = watched(process, fetched, timeout=0.5)

    assert watch.timed_out
    assert watch.started_at is not None
    assert abs(watch.started_at - began) < timedelta(seconds=0.5)


def test_before_fetch_has_ended_nothing_is_mains(tmp_path: Path) -> None:
    with main_runs("import time; time.sleep(0.5)") as process:
        watch = watched(process, tmp_path / "not there", timeout=0)

    assert not watch.main_may_run
    assert process.returncode == 0


def test_sigterm_ends_the_watch(fetched: Path) -> None:
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    stop = Stop()
    stop.listen()
    try:
        threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGTERM)).start()
        Watch(None, 10, fetched, everyone=dict).run(stop)
    finally:
        signal.set_wakeup_fd(-1)
        for number, handler in before.items():
            signal.signal(number, handler)

    assert stop.at is not None


PAUSE, COLLECT, FETCH, MAIN, WORKER, ORPHAN, PROBE = 1, os.getpid(), 20, 30, 31, 32, 40


def test_main_is_whatever_was_not_there_before(tmp_path: Path) -> None:
    parents = {PAUSE: 0, COLLECT: 0, FETCH: 0, MAIN: 0, WORKER: MAIN, ORPHAN: PAUSE, PROBE: COLLECT}
    everyone = {pid: Process(pid, parent, 0) for pid, parent in parents.items()}

    found = of_main(everyone, [PAUSE, COLLECT, FETCH], tmp_path)

    assert set(found) == {MAIN, WORKER, ORPHAN}
    assert {process.pid for process in roots(found)} == {MAIN, ORPHAN}


def namespaces(proc: Path, **mounts: str) -> Path:
    for pid, mount in mounts.items():
        (proc / pid.strip("p") / "ns").mkdir(parents=True)
        (proc / pid.strip("p") / "ns" / "mnt").symlink_to(f"mnt:[{mount}]")
    return proc


def test_what_is_executed_in_our_container_is_not_mains(tmp_path: Path) -> None:
    proc = namespaces(tmp_path, **{f"p{COLLECT}": "2", "p50": "2", "p30": "3"})
    parents = {PAUSE: 0, COLLECT: 0, 30: 0, 31: 30, 50: 0, 60: 0}
    everyone = {pid: Process(pid, parent, 0) for pid, parent in parents.items()}

    found = of_main(everyone, [PAUSE, COLLECT], proc)

    assert set(found) == {30, 31, 60}, "60 cannot be read: it may be main's"
    assert [process.pid for process in roots(found) if is_surely_main(process, proc)] == [30]


def test_a_probe_is_not_mains_beginning(fetched: Path) -> None:
    up = time.clock_gettime(time.CLOCK_BOOTTIME)
    looks = iter([{40: Process(40, 0, up - 900)}, {}, {41: Process(41, 0, up)}])
    watch = Watch(None, 10, fetched, everyone=lambda: next(looks), belongs=lambda everyone, _: everyone)

    for _ in range(3):
        for end in watch._look():
            os.close(end)

    assert watch.started_at is not None
    assert datetime.now(UTC) - watch.started_at < timedelta(seconds=60)


def test_the_watch_is_over_when_main_is(fetched: Path) -> None:
    with main_runs("import time; time.sleep(0.5)") as process:
        stop = Stop()
        Watch(None, 10, fetched, belongs=Descendants(process.pid), surely=lambda _: True).run(stop)

        assert process.wait() == 0
        assert stop.at is not None


def test_a_process_with_parentheses_in_its_name_is_read(tmp_path: Path) -> None:
    (tmp_path / "7").mkdir()
    (tmp_path / "7" / "stat").write_text("7 (a) R (b) S 3 " + "0 " * 17 + "200 0 0")

    assert living(tmp_path) == {7: Process(7, 3, 200 / os.sysconf("SC_CLK_TCK"))}


def cgroup(folder: Path, **files: str) -> Path:
    for name, text in files.items():
        path = folder / name.replace("__", "/").replace("_dot_", ".")
        path.parent.mkdir(exist_ok=True, parents=True)
        path.write_text(text)
    return folder


V2 = {
    "memory_dot_events": "low 0\nhigh 0\nmax 12\noom 1\noom_kill 1\n",
    "memory_dot_peak": "312000000\n",
    "cpu_dot_stat": "usage_usec 12300000\nuser_usec 12000000\n",
}
V1 = {
    "memory__memory_dot_oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 1\n",
    "memory__memory_dot_max_usage_in_bytes": "312000000\n",
    "cpuacct__cpuacct_dot_usage": "12300000000\n",
}


@pytest.mark.parametrize("files", [pytest.param(V2, id="cgroup v2"), pytest.param(V1, id="cgroup v1")])
def test_use_and_kills_are_read(files: dict[str, str], tmp_path: Path) -> None:
    meter, usage = Meter(cgroup(tmp_path, **files)), Usage()

    meter.read(usage)
    meter.close()

    assert usage.oom_kills == 1
    assert usage.as_message() == {"cpuSeconds": 12.3, "memoryPeakBytes": 312000000}


def test_the_largest_numbers_stay() -> None:
    usage = Usage(oom_kills=2, memory_peak_bytes=9e12, cpu_seconds=9e9)

    Meter(Path("/nowhere")).read(usage)

    assert usage.as_message() == {"cpuSeconds": 9e9, "memoryPeakBytes": 9_000_000_000_000}


def test_the_cgroup_of_a_real_process_is_found(fetched: Path) -> None:
    with main_runs("sum(range(20_000_000))") as process:
        watch = watched(process, fetched, timeout=None)

    usage = watch.usage.as_message()
    assert json.dumps(usage)
    assert usage["cpuSeconds"] is not None
    assert usage["cpuSeconds"] > 0
