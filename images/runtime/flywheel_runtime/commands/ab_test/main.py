"""`python3 -m flywheel_runtime ab-test`: one look at an A/B test (images/README.md, "ab-test")."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import duckdb

from flywheel_runtime.commands.ab_test.config import ABTestConfig
from flywheel_runtime.commands.ab_test.look_verdict import Verdict, decide
from flywheel_runtime.commands.ab_test.units import TestOutcomes, create_units, outcome_bounds, read_outcomes
from flywheel_runtime.contract.step import Step, log_line, read_json_object, step_command
from flywheel_runtime.datasets.sql import connect, scratch_folder, translate_resource_errors
from flywheel_runtime.models.output_names import LABEL, PREDICTION, PROBABILITIES, find_output
from flywheel_runtime.monitoring.labels.admission import LabelPolicy, admit_labels
from flywheel_runtime.monitoring.labels.label_matching import Delay
from flywheel_runtime.monitoring.labels.sources import OutputNames, read_logged_rows, read_posted_labels

MEMORY_FRACTION = 0.25  # of the container's memory, for the database
ARM_COLUMNS = ("test", "unit", "arm")
ROLES = ("champion", "challenger")


@step_command
def main(step: Step) -> None:
    """Read all rows and labels of the test, and write the verdict; exits with 0, whatever it is."""
    config = ABTestConfig.parse(step.params)
    # A model that was brought may have none.
    signatures = {role: read_json_object(step.input(role) / "signature.json") for role in ROLES}
    classes = {
        getattr(config, role).version: tuple(map(str, signature.get("classes") or ()))
        for role, signature in signatures.items()
    }
    with translate_resource_errors():
        found = _read(step, config, signatures, classes)
    _finish(step, decide(config, found, outcome_bounds(config, classes)))


def _read(
    step: Step,
    config: ABTestConfig,
    signatures: Mapping[str, Mapping[str, Any]],
    classes: Mapping[str, tuple[str, ...]],
) -> TestOutcomes:
    digests = {each.version: each.digest for each in (config.champion, config.challenger)}
    names = _output_names(signatures)
    with scratch_folder() as folder, connect(folder, memory_fraction=MEMORY_FRACTION) as connection:
        read_logged_rows(
            connection, _files(step, "rows"), names, unreadable=_leave_out, digests=digests, text_columns=ARM_COLUMNS
        )
        read_posted_labels(connection, _files(step, "labels"), _leave_out)
        start, end = int(config.since.timestamp()), int(config.until.timestamp())
        policy = LabelPolicy(delay=Delay(max_seconds=config.label_delay_seconds))
        connection.execute("DELETE FROM logged WHERE test IS DISTINCT FROM $1", [config.test])
        admitted = admit_labels(connection, policy, [start], max(1, end - start))
        create_units(connection, config)
        return read_outcomes(connection, config, classes, admitted.refused)


def _output_names(signatures: Mapping[str, Mapping[str, Any]]) -> OutputNames:
    """The outputs' names of both versions: a feature that has the name of a role moves it."""
    names = [[str(output["name"]) for output in each.get("outputs") or ()] for each in signatures.values()]

    def of_role(role: str) -> tuple[str, ...]:
        return (*(name for each in names if (name := find_output(each, role))), role)

    return OutputNames(of_role(LABEL), of_role(PROBABILITIES), of_role(PREDICTION))


def _files(step: Step, name: str) -> list[Path]:
    return sorted(step.input(name).rglob("*.parquet")) if step.input(name).is_dir() else []


def _leave_out(file: Path, error: duckdb.Error) -> None:
    log_line(f"{file.name} cannot be read and is left out: {' '.join(str(error).split())}")


def _finish(step: Step, found: Verdict) -> None:
    log_line(f"{found.classification}: the challenger {found.message}")
    numbers = dict(found.numbers)
    step.finish(numbers, {"verdict": found.classification, "message": found.message, "numbers": numbers})
