"""A process that has imported the real MLflow, in its own environment, and runs each scenario in a child of its own."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from e2e.cluster.paths import CHECKOUT
from e2e.setup import ENVIRONMENT, mlflow
from tests.runtime.mlflow_plugin.mlflow_process import MLflow

SCENARIOS = Path(__file__).with_name("scenarios.py")


@pytest.fixture(scope="module")
def mlflow_process() -> Iterator["subprocess.Popen[str]"]:
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")},
        "PYTHONPATH": str(CHECKOUT / "images" / "runtime"),
        "FLYWHEEL_STEP": "trial-7",
        "FLYWHEEL_NAME": "flight-delay",
    }
    python = ENVIRONMENT / "mlflow" / "bin" / "python"
    if not python.exists():  # `make integration` has made it
        mlflow()
    with subprocess.Popen(
        [python, "-W", "ignore", SCENARIOS], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    ) as process:
        yield process
        assert process.stdin is not None
        process.stdin.close()


@pytest.fixture
def real_mlflow(mlflow_process: "subprocess.Popen[str]", tmp_path: Path) -> MLflow:
    return MLflow(mlflow_process, tmp_path)
