"""Watching main until it has ended, and stopping it when its time is over."""

import json
import os
import select
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import FrameType

from flywheel_runtime.commands.collect.processes import Process, is_surely_main, living, of_main, roots, send
from flywheel_runtime.commands.collect.prune.pruner import Pruner
from flywheel_runtime.contract.cgroup import Meter, Usage

LOOK = 0.25  # seconds between two looks
LOOK_OUT = 0.005  # while main is expected, so that short ones are seen
EXPECTED = 5.0  # seconds after which its image seems to be pulled, and it is no more looked out for


@dataclass
class Stop:
    """That main has ended: the kubelet's SIGTERM says so, or main's processes, which are gone up to two seconds earlier.

    Readable, so that the signal can be waited for beside other things.
    """

    at: float | None = None  # time.monotonic
    _ends: tuple[int, int] = field(default_factory=os.pipe, repr=False)

    def listen(self) -> None:
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

    def fileno(self) -> int:
        return self._ends[0]


@dataclass
class Watch:
    """`fetched` is fetch's file of process ids; `belongs` says which of all processes are main's, given those ids."""

    timeout: float | None  # seconds from main's start
    grace: float  # seconds between SIGTERM and SIGKILL
    fetched: Path
    pruner: Pruner | None = None  # says whether main should end though its time is not over
    everyone: Callable[[], dict[int, Process]] = living
    belongs: Callable[[dict[int, Process], list[int]], dict[int, Process]] = of_main
    surely: Callable[[Process], bool] = is_surely_main
    meter_of: Callable[[int], Meter] = Meter.of_process

    usage: Usage = field(default_factory=Usage)
    started_at: datetime | None = None
    timed_out: bool = False
    pruned: bool = False
    main_may_run: bool = False  # fetch has succeeded
    _others: list[int] | None = None
    _lives: bool = False
    _seen: bool = False  # surely main's: when it is gone, main has ended
    _expected_at: float | None = None  # time.monotonic
    _passed: bool = False  # what was seen so far is gone, and was not surely main's
    _born: float | None = None  # CLOCK_BOOTTIME
    _asked_at: float | None = None  # time.monotonic, when SIGTERM was sent
    _meter: Meter | None = None

    def run(self, stop: Stop) -> None:
        """Until `stop`, which it says itself when main was seen and is gone. The end of a process wakes it, so that
        the last numbers are read before its cgroup is gone."""
        while stop.at is None:
            ends = self._look()
            if self._seen and not self._lives:
                stop.now()
                break
            pause = LOOK_OUT if self._expects_main(time.monotonic()) else LOOK
            with suppress(InterruptedError):
                select.select([stop.fileno(), *ends], [], [], pause)
            for end in ends:
                os.close(end)
            self._measure()
        self._look_for_fetched()

    def _expects_main(self, now: float) -> bool:
        if self.main_may_run and self._expected_at is None:
            self._expected_at = now
        return self._expected_at is not None and not self._seen and now - self._expected_at < EXPECTED

    def _look(self) -> list[int]:
        """One look: measure, stop what is late; descriptors that become readable when main's roots end."""
        self._measure()
        if not self._look_for_fetched():
            return []
        main = self.belongs(self.everyone(), self._others or [])
        self._lives = bool(main)
        if main:
            self._greet(main)
            self._enforce(main)
        elif not self._seen:
            self._passed = True
        ends = []
        for process in roots(main):
            with suppress(OSError):  # ended, or a kernel without pidfds: the next look must do
                ends.append(os.pidfd_open(process.pid))
        return ends

    def _look_for_fetched(self) -> bool:
        if not self.main_may_run:
            with suppress(OSError, ValueError):
                self._others = [int(pid) for pid in json.loads(self.fetched.read_text(encoding="utf-8"))]
                self.main_may_run = True
        return self.main_may_run

    def _greet(self, main: dict[int, Process]) -> None:
        if self._passed:  # what was seen before was a probe of our own container, on its way in
            self._born, self._meter, self._passed = None, None, False
        self._seen = self._seen or any(self.surely(process) for process in roots(main))
        if self._born is None:
            # The process's own start: after a restart of collect the time goes on, it does not begin again.
            self._born = min(process.started for process in main.values())
            age = time.clock_gettime(time.CLOCK_BOOTTIME) - self._born
            self.started_at = datetime.now(UTC) - timedelta(seconds=max(0.0, age))
        if self._meter is None:
            first = min(roots(main), key=lambda process: process.started)
            meter = self.meter_of(first.pid)
            if meter.works:
                self._meter = meter
                self._measure()

    def _enforce(self, main: dict[int, Process]) -> None:
        now = time.monotonic()
        if self._asked_at is not None:
            if now - self._asked_at >= self.grace:
                send(main.values(), signal.SIGKILL)
            return
        self.timed_out = self._is_late()
        self.pruned = not self.timed_out and self.pruner is not None and self.pruner.verdict is not None
        if self.timed_out or self.pruned:
            self._asked_at = now
            send(roots(main), signal.SIGTERM)

    def _is_late(self) -> bool:
        if self.timeout is None or self._born is None:
            return False
        return time.clock_gettime(time.CLOCK_BOOTTIME) - self._born >= self.timeout

    def _measure(self) -> None:
        if self._meter is not None:
            self._meter.read(self.usage)
