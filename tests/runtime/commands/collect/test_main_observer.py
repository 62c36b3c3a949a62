"""What collect concludes of main from its own view, and what it believes of watch's report."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from flywheel_runtime.commands.collect import main_observer
from flywheel_runtime.commands.collect.main_observer import MainObserver, Stop, occupy_probe_port
from flywheel_runtime.contract.cgroup import Usage
from flywheel_runtime.contract.config.watch import WatchReport
from flywheel_runtime.contract.paths import Paths
from flywheel_runtime.contract.processes import PodProcesses, Process
from tests.runtime.process_family import NOBODY

pytestmark = pytest.mark.integration  # each starts processes and waits for them

WATCH = replace(NOBODY, watch_runs=True, containers=frozenset({"watch"}))


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    for name in ("run", "watch"):
        (tmp_path / name).mkdir()
    (tmp_path / "run" / "fetched").touch()
    return Paths(tmp_path, tmp_path / "termination-log")


def main_since(seconds: float, *, watch_runs: bool = False) -> PodProcesses:
    started = time.clock_gettime(time.CLOCK_BOOTTIME) - seconds
    return PodProcesses({30: Process(30, 0, started)}, watch_runs, frozenset(), frozenset({"main"}))


def starting(*containers: str) -> PodProcesses:
    return PodProcesses({}, False, frozenset(containers), frozenset(containers))


def observed(paths: Paths, views: Iterable[PodProcesses], timeout: float | None = None) -> MainObserver:
    """Observe these views in turn, the last one again and again."""
    remaining = iter(views)
    last = [NOBODY]

    def read() -> PodProcesses:
        last[0] = next(remaining, last[0])
        return last[0]

    observer = MainObserver(timeout, paths, read=read)
    observer.run(Stop())
    return observer


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(main_observer, "POLL_SECONDS", 0.01)
    monkeypatch.setattr(main_observer, "REPORT_TIMEOUT_SECONDS", 0.3)


def test_main_has_ended_when_its_processes_are_gone(paths: Paths) -> None:
    observer = observed(paths, [NOBODY, main_since(1), NOBODY])

    assert paths.main_ended.exists()
    assert observer.started_at is not None
    assert not observer.timed_out


def test_the_exit_code_of_main_is_known_to_this_collect_and_to_the_next_one(
    paths: Paths, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(main_observer, "read_exit_code", lambda _pidfd: 3)
    own = replace(main_since(1), main={os.getpid(): Process(os.getpid(), 0, 0.0)})

    observer = observed(paths, [own, NOBODY])
    later = MainObserver(None, paths)
    later.resume()

    for each in (observer, later):
        assert each.exit_code == 3
        assert each.failure is not None
        assert each.failure.reason == "ExitCode3"


def test_an_orphan_of_main_says_nothing_of_its_exit_code(paths: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(main_observer, "read_exit_code", lambda _pidfd: 137)
    orphan = replace(main_since(1), main={os.getpid(): Process(os.getpid(), 1, 0.0)})

    observer = observed(paths, [orphan, NOBODY])

    assert (observer.exit_code, observer.failure) == (None, None)


def test_a_main_too_short_to_be_seen_with_its_user_is_known_to_have_ended_once_watch_runs(paths: Paths) -> None:
    observer = observed(paths, [starting("main"), NOBODY, starting("watch"), WATCH])

    assert paths.main_ended.exists()
    assert observer.started_at is None


def test_watch_alone_is_not_main_whose_image_is_still_pulled(paths: Paths) -> None:
    observer = observed(paths, [starting("watch"), WATCH, WATCH, main_since(0, watch_runs=True), WATCH])

    assert observer.started_at is not None


def test_a_collect_that_was_away_when_main_ended_knows_it_from_watch(paths: Paths) -> None:
    paths.watch_report.write_text(WatchReport(timed_out=True, usage=Usage(0, 3e8, 12.3)).encode())

    observer = observed(paths, [WATCH])

    assert paths.main_ended.exists()
    assert observer.timed_out
    assert observer.usage == Usage(0, 3e8, 12.3)


@pytest.mark.parametrize(
    "views",
    [
        pytest.param([main_since(1), main_since(1), NOBODY], id="main runs"),
        pytest.param([starting("main"), starting("main"), main_since(0), NOBODY], id="a container still starts"),
    ],
)
def test_a_report_is_not_believed_while_main_may_be_there(views: list[PodProcesses], paths: Paths) -> None:
    paths.watch_report.write_text(WatchReport().encode())
    remaining = iter(views)
    seen: list[PodProcesses] = []

    def read() -> PodProcesses:
        seen.append(next(remaining, NOBODY))
        return seen[-1]

    MainObserver(None, paths, read=read).run(Stop())

    assert seen[: len(views)] == views


def test_our_own_clock_says_that_main_is_late_and_the_message_is_out_before_main_ends(paths: Paths) -> None:
    messages: list[bytes] = []

    def views() -> Iterable[PodProcesses]:
        yield main_since(11)
        messages.append(paths.termination_log.read_bytes())
        yield NOBODY

    observer = observed(paths, views(), timeout=10)

    assert observer.timed_out
    assert json.loads(messages[0]) == {"v": 1, "phase": "Running", "timedOut": True}


def test_time_counts_from_mains_start_even_if_collect_starts_again(paths: Paths) -> None:
    observer = observed(paths, [main_since(600), NOBODY], timeout=500)

    assert observer.timed_out
    assert observer.started_at is not None
    assert abs(datetime.now(UTC) - observer.started_at - timedelta(seconds=600)) < timedelta(seconds=5)


def test_before_fetch_has_ended_nothing_is_mains(paths: Paths) -> None:
    paths.fetched.unlink()
    observer = MainObserver(None, paths, read=lambda: main_since(1))
    stop = Stop()
    threading.Timer(0.1, stop.now).start()

    observer.run(stop)

    assert not observer.main_may_run
    assert not paths.main_ended.exists()


def test_the_report_of_watch_is_waited_for_while_watch_runs(paths: Paths) -> None:
    report = WatchReport(timed_out=True, usage=Usage(1, 3e8, 12.3))
    threading.Timer(0.1, lambda: paths.watch_report.write_text(report.encode())).start()

    observer = observed(paths, [main_since(1, watch_runs=True), WATCH])

    assert observer.timed_out
    assert observer.usage == Usage(1, 3e8, 12.3)


def test_a_watch_that_was_ended_is_not_waited_for(paths: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(main_observer, "REPORT_TIMEOUT_SECONDS", 60.0)

    observer = observed(paths, [main_since(1, watch_runs=True), NOBODY])

    assert observer.usage == Usage()


def test_a_watch_that_hangs_is_not_waited_for_for_ever(paths: Paths) -> None:
    observed(paths, [main_since(1, watch_runs=True), WATCH])


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[" * 100_000,
        "[]",
        '{"usage": 1}',
        '{"usage": {"oomKills": "x", "cpuSeconds": -1, "memoryPeakBytes": 1e999}, "timedOut": "yes"}',
    ],
)
def test_a_forged_report_says_nothing(text: str, paths: Paths) -> None:
    paths.watch_report.write_text(text)

    observer = observed(paths, [main_since(1), NOBODY])

    assert not observer.timed_out
    assert observer.usage == Usage()


def test_a_report_that_denies_a_timeout_is_not_believed(paths: Paths) -> None:
    paths.watch_report.write_text(WatchReport(timed_out=False).encode())

    assert observed(paths, [main_since(11), NOBODY], timeout=10).timed_out


def test_sigterm_ends_the_observation(paths: Paths) -> None:
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    stop = Stop()
    stop.listen()
    try:
        threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGTERM)).start()
        MainObserver(None, paths, read=lambda: main_since(1)).run(stop)
    finally:
        signal.set_wakeup_fd(-1)
        for number, handler in before.items():
            signal.signal(number, handler)

    assert stop.at is not None


def test_main_cannot_listen_where_its_probe_is_sent(capfd: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
    listens = f"from flywheel_runtime.commands.collect.main_observer import occupy_probe_port as o; o({port}); print(1, flush=True); input()"
    with subprocess.Popen([sys.executable, "-c", listens], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        for address in ("", "127.0.0.1"):
            with pytest.raises(OSError, match="in use"):
                socket.create_server((address, port), reuse_port=True)
        occupy_probe_port(port)
        process.kill()

    assert f"port {port} cannot be taken" in capfd.readouterr().err
