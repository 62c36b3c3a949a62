"""The processes of a pod's shared namespace, by container.

Another user's cgroup, user and mounts are readable in /proc, its root and namespaces are not. So containers are told apart by cgroup, and
what a container is, by the user that the kubelet gave its first process. Neither can be changed without privileges, so main can forge neither.
"""

import fcntl
import os
import signal
import struct
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
WATCH_MOUNT = "/flywheel/watch"  # only the container watch has it
MAIN_IDS = (65532, 65532)  # user and group of main and watch
OTHER_IDS = frozenset(
    {(65531, 65531), (65532, 65531)}
)  # of pause, collect and fetch; of the containers between fetch and main

# PIDFD_GET_INFO of linux/pidfd.h: 8 bytes of flags first, the exit status as the last four of these 64.
PIDFD_INFO_BYTES, PIDFD_INFO_EXIT = 64, 1 << 3
PIDFD_GET_INFO = (3 << 30) | (PIDFD_INFO_BYTES << 16) | (0xFF << 8) | 11
REAP_TIMEOUT_SECONDS, REAP_POLL_SECONDS = 1.0, 0.005
SIGNAL_EXIT_BASE = 128  # container runtimes report 128 + the number of the signal that ended a container


class Role(Enum):
    """What a container does in a step pod."""

    MAIN = "main"
    WATCH = "watch"
    OTHER = "other"


@dataclass(frozen=True)
class Process:
    """`started` is in seconds since boot (CLOCK_BOOTTIME). `container` is the text of its cgroup file, the same for all of a container."""

    pid: int
    parent: int
    started: float
    container: str = ""


@dataclass(frozen=True)
class PodProcesses:
    """The living processes of a pod. `unknown`: containers that still start, as the container runtime's own process."""

    main: dict[int, Process]
    watch_runs: bool
    unknown: frozenset[str]
    containers: frozenset[str]

    @property
    def roots(self) -> list[Process]:
        """Main's processes whose parent is not main's: its first one, and what `kubectl exec` started."""
        return [process for process in self.main.values() if process.parent not in self.main]

    @property
    def main_started(self) -> float:
        """When main's first process that still lives was started, in seconds since boot; main must have one."""
        return min(process.started for process in self.main.values())


class ProcessTable:
    """Reads the processes of the pod, and remembers which container has which role."""

    def __init__(self, proc: Path = Path("/proc")) -> None:
        self._proc = proc
        self._roles: dict[str, Role] = {}

    def read(self) -> PodProcesses:
        """All processes that live now."""
        by_container: dict[str, list[Process]] = {}
        for process in living_processes(self._proc):
            by_container.setdefault(process.container, []).append(process)
        for container, processes in by_container.items():
            if container not in self._roles and (role := self._find_role(processes)) is not None:
                self._roles[container] = role
        roles = {container: self._roles.get(container) for container in by_container}
        main = [container for container, role in roles.items() if role is Role.MAIN]
        return PodProcesses(
            main={process.pid: process for container in main for process in by_container[container]},
            watch_runs=Role.WATCH in roles.values(),
            unknown=frozenset(container for container, role in roles.items() if role is None),
            containers=frozenset(roles),
        )

    def _find_role(self, processes: Iterable[Process]) -> Role | None:
        """The role by the first process that has its final user; None while the container runtime's process (root) sets the container up."""
        for process in processes:
            folder = self._proc / str(process.pid)
            with suppress(OSError):
                ids = _ids((folder / "status").read_text(errors="replace"))
                if ids in OTHER_IDS:
                    return Role.OTHER
                if ids == MAIN_IDS:
                    mounts = (line.split(" ", 5)[4] for line in (folder / "mountinfo").read_text().splitlines())
                    return Role.WATCH if WATCH_MOUNT in mounts else Role.MAIN
        return None


def living_processes(proc: Path = Path("/proc")) -> Iterator[Process]:
    """Every process that is not dead already."""
    for entry in proc.iterdir():
        if entry.name.isdigit():
            with suppress(OSError):  # it ended meanwhile
                process = _parse((entry / "stat").read_text(errors="replace"), (entry / "cgroup").read_text())
                if process:
                    yield process


def _parse(stat: str, container: str) -> Process | None:
    """From proc(5)'s stat: pid, comm in parentheses (it may hold anything), state, ppid, …, starttime as field 22."""
    head, _, tail = stat.rpartition(")")
    fields = tail.split()
    if fields[0] in ("Z", "X"):
        return None
    return Process(int(head.partition(" ")[0]), int(fields[1]), int(fields[19]) / TICKS_PER_SECOND, container)


def _ids(status: str) -> tuple[int, int]:
    """The effective user and group in proc(5)'s status."""
    fields = dict(line.split(":", 1) for line in status.splitlines())
    return int(fields["Uid"].split()[1]), int(fields["Gid"].split()[1])


def seconds_since(started: float) -> float:
    """How long ago that was; `started` is in seconds since boot."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) - started


def send_signal(processes: Iterable[Process], number: signal.Signals) -> None:
    """Send a signal to each process that still lives and may be signalled."""
    for process in processes:
        with suppress(ProcessLookupError, PermissionError):
            os.kill(process.pid, number)


def open_pidfds(processes: Iterable[Process]) -> list[int]:
    """Descriptors that become readable when a process ends; none for one that has, or on a kernel without them."""
    found = []
    for process in processes:
        with suppress(OSError):
            found.append(os.pidfd_open(process.pid))
    return found


def read_exit_code(pidfd: int) -> int | None:
    """The exit code of a process that has ended, as container runtimes report it; None on a kernel before Linux 6.15.

    It is known once the process's parent has reaped it, for which the call waits up to a second.
    """
    deadline = time.monotonic() + REAP_TIMEOUT_SECONDS
    while True:
        info = bytearray(struct.pack("Q", PIDFD_INFO_EXIT).ljust(PIDFD_INFO_BYTES, b"\0"))
        try:
            fcntl.ioctl(pidfd, PIDFD_GET_INFO, info)
        except OSError:
            return None
        if struct.unpack_from("Q", info)[0] & PIDFD_INFO_EXIT:
            code = os.waitstatus_to_exitcode(struct.unpack_from("i", info, PIDFD_INFO_BYTES - 4)[0])
            return code if code >= 0 else SIGNAL_EXIT_BASE - code
        if time.monotonic() > deadline:
            return None
        time.sleep(REAP_POLL_SECONDS)
