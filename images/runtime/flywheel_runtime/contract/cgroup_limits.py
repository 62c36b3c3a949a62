"""How much memory and how many cores this container may use, from its control group (v2, else v1)."""

from __future__ import annotations

import math
import os
from pathlib import Path

GROUPS = Path("/sys/fs/cgroup")


def memory_bytes(groups: Path = GROUPS) -> int:
    """The memory limit in bytes, or the machine's memory where there is no limit."""
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for name in ("memory.max", "memory/memory.limit_in_bytes"):
        text = _read(groups / name)
        if text.isdigit():
            return min(int(text), machine)
    return machine


def cores(groups: Path = GROUPS, without_limit: int | None = None) -> int:
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
