"""The memory that this container may use."""

import re
from pathlib import Path

CGROUP, PROC = Path("/sys/fs/cgroup"), Path("/proc")
MEBIBYTE = 1024 * 1024


def memory_limit(cgroup: Path = CGROUP, proc: Path = PROC) -> int:
    """Bytes: the cgroup's limit (v2 `memory.max`, v1 `memory.limit_in_bytes`), or the machine's memory if that is less."""
    machine = read_kibibytes(proc / "meminfo", "MemTotal")
    limits = (_read_number(cgroup / "memory.max"), _read_number(cgroup / "memory" / "memory.limit_in_bytes"))
    return min([machine, *(limit for limit in limits if limit)])


def resident_bytes(proc: Path = PROC) -> int:
    """What this process has in memory."""
    return read_kibibytes(proc / "self" / "status", "VmRSS")


def read_kibibytes(path: Path, name: str) -> int:
    """Bytes, of a line such as `VmRSS:  1024 kB` of a file in /proc."""
    found = re.search(rf"^{name}:\s+(\d+) kB$", path.read_text(), re.MULTILINE)
    if found is None:
        raise ValueError(f"{path} has no line {name!r}")
    return 1024 * int(found[1])


def _read_number(path: Path) -> int:
    """0 if there is no limit."""
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return 0
