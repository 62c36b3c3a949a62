"""Observing main until it has ended. Stopping it is the work of watch, which has its user; collect's own view and clock decide what happened."""

import json
import os
import select
import signal
import socket
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from types import FrameType
from typing import TYPE_CHECKING

from flywheel_runtime.commands.collect.main_failure import exit_failure, reported_failure
from flywheel_runtime.contract import termination_message
from flywheel_runtime.contract.cgroup import Usage
from flywheel_runtime.contract.config.watch import WatchReport
from flywheel_runtime.contract.errors import Failure, UnsafeFile
from flywheel_runtime.contract.paths import Paths
from flywheel_runtime.contract.processes import PodProcesses, ProcessTable, open_pidfds, read_exit_code, seconds_since
from flywheel_runtime.contract.safe_files import open_regular_file

if TYPE_CHECKING:
    from flywheel_runtime.commands.collect.prune.pruner import Pruner

POLL_SECONDS = 0.25
EXPECTING_POLL_SECONDS = 0.005  # for some seconds after a change of containers, so that a short main is seen
WAITING_POLL_SECONDS = 0.05  # while an image is pulled
EXPECTING_SECONDS = 5.0
REPORT_TIMEOUT_SECONDS = 10.0  # for watch to make main's files readable
MAX_REPORT_BYTES = 4096
PROBE_PORT = 9911


@dataclass
class Stop:
    """That main has ended: the kubelet's SIGTERM says so, or main's processes, which are gone up to two seconds earlier.

    Readable, so that the signal can be waited for beside other things.
    """

    at: float | None = None  # time.monotonic
    terminated_at: float | None = None  # time.monotonic, of the kubelet's SIGTERM: the pod ends after its grace period
    on_terminated: Callable[[], None] = field(default=lambda: None, repr=False)
    _ends: tuple[int, int] = field(default_factory=os.pipe, repr=False)

    def listen(self, on_terminated: Callable[[], None] = lambda: None) -> None:
        """Hear the kubelet's SIGTERM, at the first of which `on_terminated` is called."""
        self.on_terminated = on_terminated
        for end in self._ends:
            os.set_blocking(end, False)
        signal.set_wakeup_fd(self._ends[1], warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._heard)

    def now(self) -> None:
        """The first time counts."""
        if self.at is None:
            self.at = time.monotonic()

    def _heard(self, _number: int, _frame: FrameType | None) -> None:
        self.now()
        if self.terminated_at is None:
            self.terminated_at = time.monotonic()
            self.on_terminated()

    def fileno(self) -> int:
        return self._ends[0]


def occupy_probe_port(port: int = PROBE_PORT) -> None:
    """Listen, until this process ends, where main's liveness probe is sent, and never answer: main cannot take the port to answer it."""
    dual = socket.has_dualstack_ipv6()
    try:
        server = socket.create_server(
            ("", port), family=socket.AF_INET6 if dual else socket.AF_INET, dualstack_ipv6=dual
        )
    except OSError as error:
        sys.stderr.write(f"port {port} cannot be taken, so main could answer its own probe: {error}\n")
    else:
        server.detach()


@dataclass
class MainObserver:
    """What collect knows of main. `timeout` is in seconds from main's start."""

    timeout: float | None
    paths: Paths
    pruner: "Pruner | None" = None  # says whether main should end though its time is not over
    read: Callable[[], PodProcesses] = field(default_factory=lambda: ProcessTable().read)

    usage: Usage = field(default_factory=Usage)
    started_at: datetime | None = None
    timed_out: bool = False
    pruned: bool = False
    main_may_run: bool = False  # fetch has succeeded
    exit_code: int | None = None  # of main; None where the kernel does not say, or main was never seen
    ended_at: float = field(default_factory=time.time)  # seconds since the epoch
    _main_end: int | None = None  # a pidfd of main's first process
    _started: float | None = None  # CLOCK_BOOTTIME
    _main_runs: bool = False
    _starting: frozenset[str] = frozenset()  # containers that were seen before they had their user
    _missed: bool = False  # one of them is gone
    _watch_seen: bool = False
    _end_seen: bool = False  # by our own view, which is before the kubelet ends watch too
    _containers: frozenset[str] = frozenset()
    _changed_at: float = 0.0  # time.monotonic, when a container came or went

    def run(self, stop: Stop) -> None:
        """Until `stop`, which it says itself when main was seen and is gone."""
        while stop.at is None:
            ends: list[int] = []
            if self._look_for_fetched():
                processes = self.read()
                self._observe(processes)
                if self._has_ended(processes):
                    self._end_seen = True
                    stop.now()
                    break
                ends = open_pidfds(processes.roots)
            with suppress(InterruptedError):
                select.select([stop.fileno(), *ends], [], [], self._pause())
            for end in ends:
                os.close(end)
        self.ended_at = time.time()
        if self._main_end is not None:
            self.exit_code = read_exit_code(self._main_end)
            os.close(self._main_end)
        if self._look_for_fetched():
            self.paths.main_ended.touch()
            self._read_report()
            self._save()

    def resume(self) -> None:
        """Take over what an earlier collect of this pod has observed to the end of main."""
        self.main_may_run = True
        with suppress(OSError, ValueError, KeyError, TypeError):
            found = json.loads(self.paths.main_ended.read_text(encoding="utf-8"))
            self.ended_at = float(found["endedAt"])
            self.timed_out, self.usage = bool(found["timedOut"]), Usage(**found["usage"])
            self.started_at = datetime.fromisoformat(found["startedAt"]) if found["startedAt"] else None
            self.exit_code = found.get("exitCode")

    @property
    def failure(self) -> Failure | None:
        """How main failed by itself, or why fetch did not let it start; None where neither is known, though the work may not be complete."""
        if not self.main_may_run:
            return reported_failure(self.paths.fetch_failure)
        return exit_failure(self.exit_code, self.paths.main_failure)

    def _save(self) -> None:
        found = {
            "endedAt": self.ended_at,
            "timedOut": self.timed_out,
            "usage": vars(self.usage),
            "startedAt": self.started_at and self.started_at.isoformat(),
            "exitCode": self.exit_code,
        }
        part = self.paths.main_ended.with_name(".main-ended")
        part.write_text(json.dumps(found), encoding="utf-8")
        part.rename(self.paths.main_ended)

    def _look_for_fetched(self) -> bool:
        self.main_may_run = self.main_may_run or self.paths.fetched.exists()
        return self.main_may_run

    def _pause(self) -> float:
        if not self.main_may_run or self._main_runs:
            return POLL_SECONDS
        expecting = time.monotonic() - self._changed_at < EXPECTING_SECONDS
        return EXPECTING_POLL_SECONDS if expecting else WAITING_POLL_SECONDS

    def _observe(self, processes: PodProcesses) -> None:
        self._missed = self._missed or not self._starting <= processes.containers
        self._starting = processes.unknown
        self._watch_seen = self._watch_seen or processes.watch_runs
        if processes.containers != self._containers:
            self._containers, self._changed_at = processes.containers, time.monotonic()
        self._main_runs = bool(processes.main)
        if processes.main:
            self._meet(processes)
            self._compare_with_clock()
            self._prune()

    def _has_ended(self, processes: PodProcesses) -> bool:
        """Whether main was seen and is gone. One that was gone before it had its user is known by watch, which starts after it.

        Watch's report says so of a main that ended before this collect was started. It can be forged, but by a process of main alone.
        """
        if processes.main:
            return False
        if self._started is not None:
            return True
        gone_unseen = self.paths.watch_report.exists() or (self._missed and processes.watch_runs)
        return gone_unseen and not processes.unknown

    def _meet(self, processes: PodProcesses) -> None:
        if self._started is None:
            # The process's own start: after a restart of collect the time goes on, it does not begin again.
            self._started = processes.main_started
            self.started_at = datetime.now(UTC) - timedelta(seconds=max(0.0, seconds_since(self._started)))
            # Its parent is the container runtime's, outside of the pod's namespace; an orphan has one inside.
            first = min(processes.roots, key=lambda process: process.started)
            self._main_end = next(iter(open_pidfds([first])), None) if first.parent == 0 else None

    def _compare_with_clock(self) -> None:
        if self.timed_out or self.timeout is None or self._started is None:
            return
        self.timed_out = seconds_since(self._started) >= self.timeout
        if self.timed_out:  # should the kubelet kill us after a main that ignores SIGTERM, this is our last message
            message = {**termination_message.RUNNING, "timedOut": True}
            termination_message.write(self.paths.termination_log, message)

    def _prune(self) -> None:
        if not (self.pruned or self.timed_out) and self.pruner is not None and self.pruner.verdict is not None:
            self.pruned = True
            self.paths.stop_requested.touch()

    def _read_report(self) -> None:
        """Wait until watch has made main's files readable, unless it is gone."""
        give_up = time.monotonic() + REPORT_TIMEOUT_SECONDS
        while time.monotonic() < give_up and not self.paths.watch_report.exists():
            watch_runs = self.read().watch_runs
            self._watch_seen = self._watch_seen or watch_runs
            if not watch_runs and (self._watch_seen or not self._end_seen):
                break
            time.sleep(0.02)
        with suppress(OSError, UnsafeFile, ValueError), open_regular_file(self.paths.watch_report) as file:
            report = WatchReport.parse(file.read(MAX_REPORT_BYTES).decode())
            self.timed_out, self.usage = self.timed_out or report.timed_out, report.usage
