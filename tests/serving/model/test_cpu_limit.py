"""The CPU limit is read from either version of cgroups."""

import os
from pathlib import Path

import pytest

from flywheel_serving.model import cpu_limit


@pytest.mark.parametrize(
    ("files", "wanted"),
    [
        pytest.param({"cpu.max": "100000 100000"}, 1, id="v2, one CPU"),
        pytest.param({"cpu.max": "50000 100000"}, 1, id="v2, half a CPU is one thread"),
        pytest.param({"cpu.max": "150000 100000"}, 2, id="v2, one and a half are two threads"),
        pytest.param({"cpu.max": "max 100000"}, 64, id="v2, no limit"),
        pytest.param({"cpu/cpu.cfs_quota_us": "200000", "cpu/cpu.cfs_period_us": "100000"}, 2, id="v1, two CPUs"),
        pytest.param({"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, 64, id="v1, no limit"),
        pytest.param({}, 64, id="no cgroup"),
        pytest.param({"cpu.max": "9900000 100000"}, 64, id="more than there are"),
    ],
)
def test_the_limit_is_the_quota_within_the_affinity_mask(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, files: dict[str, str], wanted: int
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(64)))
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(content)

    assert cpu_limit.cpu_limit(tmp_path) == wanted
