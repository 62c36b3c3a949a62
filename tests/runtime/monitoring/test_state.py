"""The state between runs: only finite numbers are written, and what an earlier release wrote otherwise is not believed."""

import json
from dataclasses import replace
from math import inf, nan
from pathlib import Path
from typing import Any

import pytest

from flywheel_runtime.monitoring.findings import Finding
from flywheel_runtime.monitoring.state import MonitorState, read_state

FINDING = Finding("performance", "mae", "v1", "drop", 1.0, 0.5, 0, 3_600, 6.5, 1.0)


def refuse_constant(text: str) -> Any:
    raise AssertionError(f"{text} is no JSON")


@pytest.mark.parametrize("broken", [nan, inf, -inf])
def test_a_number_that_is_not_finite_is_never_written_and_not_read_back(broken: float, tmp_path: Path) -> None:
    state = MonitorState(0, 7_200)
    state.streams["v1/performance/mae/0.5/1"] = {"v": 1, "logEvidence": [broken, 0.5]}
    state.findings = {"good": FINDING, "broken": replace(FINDING, effect=broken)}
    state.closed = [replace(FINDING, evidence=broken), FINDING]
    state.trend = [{"start": 3_600, "psi": {"x": broken}}, {"start": 7_200, "psi": {"x": 0.1}}]

    state.write(tmp_path)

    written = json.loads((tmp_path / "state.json").read_text(), parse_constant=refuse_constant)
    assert written["streams"]["v1/performance/mae/0.5/1"]["logEvidence"] == [None, 0.5]
    read = read_state(tmp_path)
    assert read is not None
    assert (read.findings, read.closed, read.trend) == ({"good": FINDING}, [FINDING], state.trend[1:])


def test_findings_of_an_earlier_release_that_are_not_finite_are_left_out(tmp_path: Path) -> None:
    state = MonitorState(0, 7_200, findings={"v1": FINDING}, trend=[{"start": 3_600, "psi": {"x": 0.5}}])
    state.write(tmp_path)
    path = tmp_path / "state.json"
    path.write_text(path.read_text().replace('"effect":1.0', '"effect":Infinity').replace('"x":0.5', '"x":NaN'))

    read = read_state(tmp_path)

    assert read is not None
    assert (read.findings, read.trend) == ({}, [])
