"""The container's limits are read from its control group."""

import os
from pathlib import Path

import pytest

from flywheel_runtime.contract import cgroup


def groups(folder: Path, files: dict[str, str]) -> Path:
    for name, content in files.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(content)
    return folder


@pytest.mark.parametrize("name", ["memory.max", "memory/memory.limit_in_bytes"])
def test_memory_is_the_limit(tmp_path: Path, name: str) -> None:
    assert cgroup.memory_limit_bytes(groups(tmp_path, {name: "268435456\n"})) == 268435456


@pytest.mark.parametrize("content", ["max", "9223372036854771712"])
def test_memory_without_a_limit_is_the_machines(tmp_path: Path, content: str) -> None:
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")

    assert cgroup.memory_limit_bytes(groups(tmp_path, {"memory.max": content})) == machine


@pytest.mark.parametrize(("content", "cores"), [("50000 100000", 1), ("100000 100000", 1), ("max 100000", 3)])
def test_cores_are_the_limit_rounded_up(tmp_path: Path, content: str, cores: int) -> None:
    assert cgroup.cpu_limit(groups(tmp_path, {"cpu.max": content}), without_limit=3) == cores
