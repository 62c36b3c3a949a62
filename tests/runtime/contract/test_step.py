"""What a step reports of a fault of its own: enough to find it, and no value of the data."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from flywheel_runtime.commands.batch.batch_step import run_batch_step
from flywheel_runtime.contract.step import run_step


def fail(_: Any) -> Any:
    raise ValueError("could not convert string to float: 's3cret'")


def run_batch(work: Callable[[Any], Any]) -> int:
    """A batch step gets its configuration before its work."""
    return run_batch_step(work)


BATCH = {
    "input": {"volume": {"path": "day"}},
    "output": {"s3": {"uri": "s3://bucket/out/"}, "format": "CSV"},
    "model": {"name": "delay", "version": "delay-1", "digest": "sha256:" + "5" * 64},
}


@pytest.mark.parametrize("run", [run_step, run_batch])
def test_a_fault_of_a_step_quotes_no_value_and_the_log_has_it(
    run: Callable[[Any], int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "params.json").write_text(json.dumps(BATCH))
    environment = {"FLYWHEEL_ROOT": str(tmp_path), "FLYWHEEL_TERMINATION_LOG": str(tmp_path / "termination-log")}
    for name, value in environment.items():
        monkeypatch.setenv(name, value)

    code = run(fail)

    message = json.loads((tmp_path / "termination-log").read_text())["message"]
    assert code == 1
    if run is run_step:  # collect sees the file, and no termination message of main
        assert (tmp_path / "outputs" / "failure.json").read_text() == (tmp_path / "termination-log").read_text()
    assert "s3cret" not in message
    assert "stopped on ValueError at test_step.py:" in message
    assert "could not convert string to float: 's3cret'" in capsys.readouterr().err
