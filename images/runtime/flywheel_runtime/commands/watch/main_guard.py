"""Stopping main when its time is over, and measuring what it uses until its end."""

import os
import select
import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

from flywheel_runtime.commands.watch.readable_files import make_readable
from flywheel_runtime.contract.cgroup import Meter, Usage
from flywheel_runtime.contract.paths import Paths
from flywheel_runtime.contract.processes import PodProcesses, ProcessTable, open_pidfds, seconds_since, send_signal

POLL_SECONDS = 0.25
HOLD_POLL_SECONDS = 0.05
OPEN_INTERVAL_SECONDS = 5.0  # between two times of opening what collect reads while main runs
# The least that watch waits for main to start. Without an end, a main that nobody saw would leave a pod in which collect and watch
# wait for each other; as watch also starts before a main whose image cannot be pulled yet, it waits for as long as it holds the pod.
MIN_WAIT_FOR_MAIN_SECONDS = 600.0


@dataclass
class MainGuard:
    """`timeout` counts from main's start, `grace` from SIGTERM to SIGKILL, both in seconds."""

    timeout: float | None
    grace: float
    paths: Paths
    read: Callable[[], PodProcesses] = field(default_factory=lambda: ProcessTable().read)
    meter_of: Callable[[int], Meter] = Meter.of_process

    usage: Usage = field(default_factory=Usage)
    timed_out: bool = False
    main_ended: bool = False
    _pod_ends: bool = False
    _started_at: float | None = None  # CLOCK_BOOTTIME
    _stopped_at: float | None = None  # time.monotonic, when SIGTERM was sent
    _opened_at: float = 0.0  # time.monotonic
    _meter: Meter | None = None

    def pod_ends(self) -> None:
        """Stop waiting for a main that has not started, and for a collect that waits for the store."""
        self._pod_ends = True

    def run(self, max_wait: float = MIN_WAIT_FOR_MAIN_SECONDS) -> None:
        """Until main has ended, or has not started for `max_wait` seconds.

        The end of a process wakes it, so that the last numbers are read before its cgroup is gone.
        """
        give_up = time.monotonic() + max_wait
        while not self._is_over(give_up):
            processes = self.read()
            if processes.main:
                self._meet(processes)
                self._enforce(processes)
                self._open_files()
            elif self._started_at is not None:
                self.main_ended = True
                return
            self._measure()
            ends = open_pidfds(processes.roots)
            select.select(ends, [], [], POLL_SECONDS)
            for end in ends:
                os.close(end)
            self._measure()

    def hold(self, seconds: float) -> None:
        """Wait until collect has reported, the pod is deleted, or the time is over: the pod ends with us, and with it the outputs."""
        give_up = time.monotonic() + seconds
        while not (self.paths.reported.exists() or self._pod_ends) and time.monotonic() < give_up:
            time.sleep(HOLD_POLL_SECONDS)

    def _is_over(self, give_up: float) -> bool:
        """Whether collect has seen main's end, or there is none to wait for."""
        self.main_ended = self.paths.main_ended.exists()
        return self.main_ended or (self._started_at is None and (self._pod_ends or time.monotonic() > give_up))

    def _meet(self, processes: PodProcesses) -> None:
        if self._started_at is None:
            self._started_at = processes.main_started
        if self._meter is None:
            first = min(processes.roots, key=lambda process: process.started)
            meter = self.meter_of(first.pid)
            if meter.works:
                self._meter = meter

    def _enforce(self, processes: PodProcesses) -> None:
        now = time.monotonic()
        if self._stopped_at is not None:
            if now - self._stopped_at >= self.grace:
                send_signal(processes.main.values(), signal.SIGKILL)
            return
        self.timed_out = self._is_late()
        if self.timed_out or self.paths.stop_requested.exists():
            self._stopped_at = now
            sys.stderr.write(
                f"main gets SIGTERM {'at its timeout' if self.timed_out else 'since collect asks for it'}\n"
            )
            send_signal(processes.roots, signal.SIGTERM)

    def _is_late(self) -> bool:
        if self.timeout is None or self._started_at is None:
            return False
        return seconds_since(self._started_at) >= self.timeout

    def _open_files(self) -> None:
        """Checkpoints and curves, which collect reads while main runs."""
        now = time.monotonic()
        if now - self._opened_at >= OPEN_INTERVAL_SECONDS:
            self._opened_at = now
            make_readable(self.paths.checkpoints)
            with suppress(OSError):
                mode = self.paths.curves.lstat().st_mode
                if not mode & 0o040:
                    self.paths.curves.chmod(mode & 0o7777 | 0o040)

    def _measure(self) -> None:
        if self._meter is not None:
            self._meter.read(self.usage)
