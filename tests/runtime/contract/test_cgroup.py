"""The container's limits are read from its control group."""

import os
from pathlib import Path

import pytest

from flywheel_runtime.contract import cgroup
from flywheel_runtime.contract.cgroup import Meter, Usage


def groups(folder: Path, files: dict[str, str]) -> Path:
    for name, content in files.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(content)
    return folder


@pytest.mark.parametrize("name", ["memory.max", "memory/memory.limit_in_bytes"])
def test_memory_is_the_limit(tmp_path: Path, name: str) -> None:
    assert cgroup.memory_limit_bytes(groups(tmp_path, {name: "268435456\n"})) == 268435456


@pytest.mark.parametrize("content", ["max", "9223372036854771712"])
def test_memory_without_a_limit_is_capped(tmp_path: Path, content: str, monkeypatch: pytest.MonkeyPatch) -> None:
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    files = groups(tmp_path, {"memory.max": content})

    assert cgroup.memory_limit_bytes(files) == min(machine, cgroup.UNLIMITED_MEMORY_BYTES)
    monkeypatch.setattr(cgroup, "UNLIMITED_MEMORY_BYTES", 1000)
    assert cgroup.memory_limit_bytes(files) == 1000


@pytest.mark.parametrize(("content", "cores"), [("50000 100000", 1), ("100000 100000", 1), ("max 100000", 3)])
def test_cores_are_the_limit_rounded_up(tmp_path: Path, content: str, cores: int) -> None:
    assert cgroup.cpu_limit(groups(tmp_path, {"cpu.max": content}), without_limit=3) == cores


V2 = {
    "memory.events": "low 0\nhigh 0\nmax 12\noom 1\noom_kill 1\n",
    "memory.peak": "312000000\n",
    "cpu.stat": "usage_usec 12300000\nuser_usec 12000000\n",
}
V1 = {
    "memory/memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 1\n",
    "memory/memory.max_usage_in_bytes": "312000000\n",
    "cpuacct/cpuacct.usage": "12300000000\n",
}


@pytest.mark.parametrize("files", [pytest.param(V2, id="cgroup v2"), pytest.param(V1, id="cgroup v1")])
def test_use_and_kills_are_read(files: dict[str, str], tmp_path: Path) -> None:
    meter, usage = Meter(groups(tmp_path, files)), Usage()

    meter.read(usage)
    meter.close()

    assert usage.oom_kills == 1
    assert usage.as_message() == {"cpuSeconds": 12.3, "memoryPeakBytes": 312000000}


def test_the_largest_numbers_stay() -> None:
    usage = Usage(oom_kills=2, memory_peak_bytes=9e12, cpu_seconds=9e9)

    Meter(Path("/nowhere")).read(usage)

    assert usage.as_message() == {"cpuSeconds": 9e9, "memoryPeakBytes": 9_000_000_000_000}
