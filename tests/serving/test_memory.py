"""The memory limit is read from either version of cgroups."""

from pathlib import Path

import pytest

from flywheel_serving.memory import memory_limit, resident_bytes

GIBIBYTE = 2**30


@pytest.mark.parametrize(
    ("files", "wanted"),
    [
        pytest.param({"memory.max": str(GIBIBYTE)}, GIBIBYTE, id="v2"),
        pytest.param({"memory.max": "max"}, 8 * GIBIBYTE, id="v2, no limit"),
        pytest.param({"memory/memory.limit_in_bytes": str(GIBIBYTE)}, GIBIBYTE, id="v1"),
        pytest.param({"memory/memory.limit_in_bytes": str(2**63 - 4096)}, 8 * GIBIBYTE, id="v1, no limit"),
        pytest.param({}, 8 * GIBIBYTE, id="no cgroup"),
        pytest.param({"memory.max": str(16 * GIBIBYTE)}, 8 * GIBIBYTE, id="more than there is"),
    ],
)
def test_the_limit_is_the_cgroups_within_the_machines_memory(
    tmp_path: Path, files: dict[str, str], wanted: int
) -> None:
    (tmp_path / "meminfo").write_text(f"MemTotal:       {8 * GIBIBYTE // 1024} kB\nMemFree:        1000 kB\n")
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(content)

    assert memory_limit(tmp_path, tmp_path) == wanted


def test_this_process_has_some_megabytes() -> None:
    assert 2**20 < resident_bytes() < 2**36
