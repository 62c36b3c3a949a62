"""The processes of the pod's shared namespace, and which of them are main's."""

import os
import signal
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

PAUSE = 1  # holds the namespace; orphans become its children
TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Process:
    """`started` is in seconds since boot (CLOCK_BOOTTIME)."""

    pid: int
    parent: int
    started: float


Listing = Callable[[], dict[int, Process]]


def living(proc: Path = Path("/proc")) -> dict[int, Process]:
    """Every process that is not dead already, by pid."""
    found = {}
    for entry in proc.iterdir():
        if entry.name.isdigit():
            with suppress(OSError):  # gone between the two looks
                process = _parse((entry / "stat").read_text(errors="replace"))
                if process:
                    found[process.pid] = process
    return found


def _parse(stat: str) -> Process | None:
    """From proc(5)'s stat: pid, comm in parentheses (it may hold anything), state, ppid, …, starttime as field 22."""
    head, _, tail = stat.rpartition(")")
    fields = tail.split()
    if fields[0] in ("Z", "X"):
        return None
    return Process(int(head.partition(" ")[0]), int(fields[1]), int(fields[19]) / TICKS)


def of_main(everyone: dict[int, Process], others: Iterable[int], proc: Path = Path("/proc")) -> dict[int, Process]:
    """All but the pause process, whatever lived while fetch ran, the descendants of those, and our container with what is executed in it."""
    not_main = {*others, os.getpid(), *_of_our_container(everyone, proc)} - {PAUSE}

    def belongs(process: Process) -> bool:
        seen: Process | None = process
        while seen is not None and seen.pid != PAUSE:
            if seen.pid in not_main:
                return False
            seen = everyone.get(seen.parent)
        return process.pid != PAUSE

    return {pid: process for pid, process in everyone.items() if belongs(process)}


def _of_our_container(everyone: dict[int, Process], proc: Path) -> set[int]:
    """Those that have no parent but came into our container, as probes and `kubectl exec` do."""
    orphans = (pid for pid, process in everyone.items() if process.parent == PAUSE or process.parent not in everyone)
    ours = container(os.getpid(), proc)
    return {pid for pid in orphans if ours is not None and container(pid, proc) == ours}


def container(pid: int, proc: Path = Path("/proc")) -> str | None:
    """The mount namespace, of which each container has one. None: gone, on its way into a container, or closed to us."""
    try:
        return str((proc / str(pid) / "ns" / "mnt").readlink())
    except OSError:
        return None


def is_surely_main(process: Process, proc: Path = Path("/proc")) -> bool:
    """Of one of main's roots: whether it is in another container, and not on its way into ours."""
    return container(process.pid, proc) not in (None, container(os.getpid(), proc))


def roots(main: dict[int, Process]) -> list[Process]:
    """Those whose parent is not main's: the container's first process, and what `kubectl exec` started."""
    return [process for process in main.values() if process.parent not in main]


def send(processes: Iterable[Process], number: signal.Signals) -> None:
    for process in processes:
        with suppress(ProcessLookupError, PermissionError):
            os.kill(process.pid, number)
