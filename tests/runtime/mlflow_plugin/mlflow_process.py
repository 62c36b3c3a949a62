"""A process that runs scenarios with the real MLflow, and what each leaves in the folder of its step."""

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any


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
