"""A process that has imported the real MLflow, in its own environment, and runs each scenario in a child of its own."""

import json
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from e2e.cluster.paths import CHECKOUT
from e2e.setup import ENVIRONMENT, mlflow

SCENARIOS = Path(__file__).with_name("scenarios.py")


@dataclass(frozen=True)
class Scenario:
    """What a scenario left in the folder of its step."""

    outputs: Path
    exit_code: int
    log: str

    def read(self, name: str) -> Any:
        return json.loads((self.outputs / name).read_text())

    @property
    def points(self) -> list[tuple[str, int, float | None]]:
        """The lines of metrics.jsonl."""
        lines = map(json.loads, (self.outputs / "metrics.jsonl").read_text().splitlines())
        return [(line["name"], line["step"], line["value"]) for line in lines]

    @property
    def artifacts(self) -> list[str]:
        folder = self.outputs / "artifacts"
        return sorted(str(each.relative_to(folder)) for each in folder.rglob("*") if each.is_file())


@dataclass
class MLflow:
    """The process."""

    process: "subprocess.Popen[str]"
    folder: Path

    def run(self, name: str, folder: Path | None = None) -> Scenario:
        """Run one scenario, as main of a step would; AssertionError with its log if it did not end well."""
        done = self.try_to_run(name, folder)
        assert done.exit_code == 0, done.log
        return done

    def try_to_run(self, name: str, folder: Path | None = None) -> Scenario:
        root = folder or self.folder
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{name} {root}\n")
        self.process.stdin.flush()
        code = int(self.process.stdout.readline())
        return Scenario(root / "outputs", code, (root / "log").read_text())


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
