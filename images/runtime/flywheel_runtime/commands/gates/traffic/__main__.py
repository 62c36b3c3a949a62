"""`python3 -m flywheel_runtime.commands.gates.traffic ROOT FOLDER`: measures the gates on traffic, and writes each result into FOLDER."""

import json
import sys
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from flywheel_runtime.commands.gates.config import Gate, GatesConfig
from flywheel_runtime.commands.gates.rules import GateResult, unmeasurable
from flywheel_runtime.commands.gates.traffic.labelled_gate import labelled_gate
from flywheel_runtime.commands.gates.traffic.measurement import traffic_gates, write_result
from flywheel_runtime.commands.gates.traffic.replay import Models
from flywheel_runtime.commands.gates.traffic.replay_gate import replay_gate
from flywheel_runtime.commands.gates.traffic.request_log import Champion
from flywheel_runtime.commands.gates.traffic.service_logs import ServiceLogs
from flywheel_runtime.contract.errors import FlywheelError, Unmeasurable, describe_fault
from flywheel_runtime.contract.step import Step, write_finite_json
from flywheel_runtime.datasets.sql import connect, scratch_folder

MEMORY_FRACTION = 0.25  # of the container's memory, for the database; the rest is for both models and their rows


def main(arguments: list[str]) -> int:
    """Results are written as they come, so that one gate does not lose those before it."""
    root, folder = map(Path, arguments)
    step = Step(root, json.loads((root / "params.json").read_bytes()))
    config = GatesConfig.parse(step.params)
    assert config.champion is not None, "without a champion nothing is measured"
    with scratch_folder() as scratch, connect(scratch, memory_fraction=MEMORY_FRACTION, threads=1) as connection:
        logs = ServiceLogs(connection, root / "inputs", config.traffic, _shows_values(step.input("data")))
        version = Champion(config.champion.version, config.champion.digest)
        try:
            models = Models.read(step.input("champion"), step.input("model"), version)
        except Unmeasurable as error:
            for gate in traffic_gates(config):
                write_result(folder, unmeasurable(gate, error))
            return 0
        for gate in traffic_gates(config):
            write_result(folder, measure(gate, models, logs, step, config))
    return 0


def measure(gate: Gate, models: Models, logs: ServiceLogs, step: Step, config: GatesConfig) -> GateResult:
    """The result of one gate; what its document has is in the output `gates`."""
    try:
        if gate.replay is not None:
            passed, measured, message, numbers, document = replay_gate(gate.replay, models, logs)
            path = f"replay-{gate.name}.json"
            _write_document(step, path, gate, config, document)
            return GateResult(gate.name, passed, message, {**numbers, "document": path}, measured)
        assert gate.labelled is not None, "one of two"
        return GateResult(gate.name, *labelled_gate(gate.name, gate.labelled, models, logs))
    except FlywheelError as error:
        return unmeasurable(gate, error)
    except Exception as error:  # noqa: BLE001 the other gates are measured, and this one says what happened
        traceback.print_exc()
        return unmeasurable(gate, Unmeasurable(f"a fault of the gate ({describe_fault(error)}); its log has more"))


def _write_document(step: Step, path: str, gate: Gate, config: GatesConfig, document: Mapping[str, Any]) -> None:
    champion = config.champion.model_dump(include={"version", "digest"}) if config.champion else None
    head = {"v": 1, "gate": gate.name, "digest": config.digest, "champion": champion}
    write_finite_json(step.output("gates") / path, {**head, **document})


def _shows_values(data: Path) -> bool:
    """Whether a status may quote values of the rows (`showValues` of the Dataset that trained the version)."""
    try:
        return json.loads((data / "schema.json").read_bytes()).get("showValues") is True
    except (OSError, ValueError, AttributeError):
        return False


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
