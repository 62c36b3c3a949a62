"""The schema of gates beside the runtime, which measures them."""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import flywheel_runtime
from flywheel.kinds.model.schema.gates import AnomalyKind, DataGate
from flywheel_runtime.commands.gates.config import ADVICE

# These end the check, so that no version has them.
ERRORS = {"TimeUnparsable"}


def anomaly_kinds() -> Iterator[str]:
    """The first argument of each `Anomaly(…)` in the runtime."""
    for path in Path(str(flywheel_runtime.__file__)).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Anomaly":
                assert isinstance(node.args[0], ast.Constant)
                yield str(node.args[0].value)


def test_a_data_gate_can_ignore_each_anomaly_that_a_version_may_have() -> None:
    kinds = set(anomaly_kinds()) - ERRORS - {ADVICE}

    assert set(get_args(AnomalyKind)) == kinds
    assert DataGate.model_validate({"ignore": sorted(kinds)}).ignore == tuple(sorted(kinds))
