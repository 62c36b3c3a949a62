"""The gates on traffic, measured in a process of their own: a model that ends it, or does not come back, is a finding and no lost Job."""

import json
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from flywheel_runtime.commands.gates.config import Gate, GatesConfig
from flywheel_runtime.commands.gates.rules import GateResult
from flywheel_runtime.contract.step import Step, log_line

COMMAND = (sys.executable, "-m", "flywheel_runtime.commands.gates.traffic")
MAX_SECONDS = 20 * 60  # of 30 minutes that the step has
NO_CHAMPION = "there is no champion to compare the first version with"


def measure_traffic_gates(step: Step, config: GatesConfig) -> dict[str, GateResult]:
    """The result of each gate on traffic, by its name; empty where there is none."""
    gates = list(traffic_gates(config))
    if not gates:
        return {}
    if config.champion is None:
        return {gate.name: GateResult(gate.name, True, NO_CHAMPION, {}) for gate in gates}
    with tempfile.TemporaryDirectory() as folder:
        problem = _run(step, Path(folder))
        return {gate.name: _read_result(gate, Path(folder), problem) for gate in gates}


def write_result(folder: Path, result: GateResult) -> None:
    """Write a result for the process that waits; called by the one that measures."""
    document = {
        "passed": result.passed,
        "measured": result.measured,
        "message": result.message,
        "numbers": dict(result.numbers),
    }
    (folder / f"{result.name}.json").write_text(json.dumps(document))


def _run(step: Step, folder: Path, command: Sequence[str] = COMMAND, seconds: float = MAX_SECONDS) -> str:
    """Run the process; the sentence about its end, where it did not end well."""
    try:
        code = subprocess.run([*command, str(step.root), str(folder)], check=False, timeout=seconds).returncode
    except subprocess.TimeoutExpired:
        return f"the logged requests were not answered within {seconds / 60:g} minutes; lower maxRows or window"
    if code >= 0:
        return f"the process that answers the logged requests ended with {code}; its log has more"
    name = signal.Signals(-code).name
    if name == "SIGKILL":
        return "the process that answers the logged requests was killed, most likely for its memory; raise spec.resources.limits.memory of the ModelVersion, or lower maxRows"
    return f"a model ended the process that answers the logged requests with {name}; export it again, or with another opset"


def _read_result(gate: Gate, folder: Path, problem: str) -> GateResult:
    try:
        found: dict[str, Any] = json.loads((folder / f"{gate.name}.json").read_bytes())
    except (OSError, ValueError):
        log_line(f"gate '{gate.name}': {problem}")
        return GateResult(gate.name, gate.optional, f"cannot be measured: {problem}", {}, measured=False)
    return GateResult(gate.name, **found)


def traffic_gates(config: GatesConfig) -> Iterable[Gate]:
    """The gates on traffic."""
    return (gate for gate in config.gates if gate.on_traffic)
