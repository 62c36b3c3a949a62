"""Control groups, v2 else v1: the limits of this container, and what the container of main used.

The files of main are opened once through `/proc/<pid>/root` and kept open: the view is gone with the process, the numbers are
not until the cgroup is removed. v2: memory.events, memory.peak, cpu.stat. v1: memory.oom_control,
memory.max_usage_in_bytes, cpuacct.usage (https://docs.kernel.org/admin-guide/cgroup-v2.html and cgroup-v1/).
"""

import math
import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path("/sys/fs/cgroup")


UNLIMITED_MEMORY_BYTES = 8 << 30  # what a container without a memory limit may count on, since it shares the machine
UNLIMITED_CORES = 4


def memory_limit_bytes(groups: Path = ROOT) -> int:
    """The memory limit in bytes; without a limit 8 GiB, or the machine's memory if that is less."""
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for name in ("memory.max", "memory/memory.limit_in_bytes"):
        text = _read(groups / name)
        if text.isdigit() and int(text) < machine:  # cgroup v1 has a number beyond all memory for no limit
            return int(text)
    return min(machine, UNLIMITED_MEMORY_BYTES)


def cpu_limit(groups: Path = ROOT, without_limit: int | None = None) -> int:
    """The CPU limit in whole cores, rounded up; without a limit `without_limit`, else the cores of the machine."""
    machine = len(os.sched_getaffinity(0))
    quota, _, period = _read(groups / "cpu.max").partition(" ")
    if not period:
        quota, period = _read(groups / "cpu/cpu.cfs_quota_us"), _read(groups / "cpu/cpu.cfs_period_us")
    if quota.isdigit() and period.isdigit():
        return max(1, min(machine, math.ceil(int(quota) / int(period))))
    return machine if without_limit is None else without_limit


def _read(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""


def _field(name: str) -> Callable[[str], int]:
    """The number behind `name` in a file of lines like `oom_kill 1`."""
    return lambda text: int(dict(line.split(maxsplit=1) for line in text.splitlines() if " " in line)[name])


# quantity → files by preference, with how to read each and what one unit is in ours
SOURCES: dict[str, tuple[tuple[str, Callable[[str], int], float], ...]] = {
    "oom_kills": (
        ("memory.events", _field("oom_kill"), 1),
        ("memory/memory.oom_control", _field("oom_kill"), 1),
    ),
    "memory_peak_bytes": (
        ("memory.peak", int, 1),
        ("memory.current", int, 1),
        ("memory/memory.max_usage_in_bytes", int, 1),
    ),
    "cpu_seconds": (
        ("cpu.stat", _field("usage_usec"), 1e-6),
        ("cpuacct/cpuacct.usage", int, 1e-9),
        ("cpu,cpuacct/cpuacct.usage", int, 1e-9),
    ),
}


@dataclass
class Usage:
    """The largest numbers seen so far; None where none was."""

    oom_kills: float | None = None
    memory_peak_bytes: float | None = None
    cpu_seconds: float | None = None

    def as_message(self) -> dict[str, Any]:
        """The `usage` of a termination message."""
        cpu, memory = self.cpu_seconds, self.memory_peak_bytes
        return {
            "cpuSeconds": None if cpu is None else round(cpu, 3),
            "memoryPeakBytes": None if memory is None else int(memory),
        }


class Meter:
    """Open files of one cgroup; `read` takes the largest numbers into a Usage."""

    def __init__(self, folder: Path) -> None:
        self._files: list[tuple[str, int, Callable[[str], int], float]] = []
        for quantity, sources in SOURCES.items():
            for name, parse, unit in sources:
                with suppress(OSError):
                    self._files.append((quantity, os.open(folder / name, os.O_RDONLY | os.O_CLOEXEC), parse, unit))
                    break

    @classmethod
    def of_process(cls, pid: int) -> "Meter":
        """The cgroup as the process's container sees it, whose root is the container's own."""
        return cls(Path(f"/proc/{pid}/root/sys/fs/cgroup"))

    @property
    def works(self) -> bool:
        return bool(self._files)

    def read(self, usage: Usage) -> None:
        for quantity, file, parse, unit in self._files:
            with suppress(OSError, ValueError, KeyError):  # the cgroup is gone; what was read before stays
                value = parse(os.pread(file, 4096, 0).decode()) * unit
                setattr(usage, quantity, max(value, getattr(usage, quantity) or 0))

    def close(self) -> None:
        for _, file, _, _ in self._files:
            os.close(file)
        self._files = []
