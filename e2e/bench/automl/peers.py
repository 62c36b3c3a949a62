"""FLAML and AutoGluon, each in a process and a virtual environment of its own, on the files of the splits."""

import json
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from e2e.bench.automl.scores import METRIC_OF_TASK
from e2e.cluster.paths import CHECKOUT
from e2e.cluster.progress import Failure
from e2e.tables import Table

SCRIPTS = CHECKOUT / "e2e/bench/automl"
GRACE = 4  # times its budget and a minute is what a peer may take; AutoGluon predicts and loads models after it


@dataclass(frozen=True)
class Peer:
    """The name in the results, that of its environment in .venv and of its script, and the preset that it searches by, if it has presets."""

    name: str
    environment: str
    preset: str = ""

    def run(self, table: Table, splits: Mapping[str, bytes], seconds: int, folder: Path) -> dict[str, Any]:
        """Search on `splits` for `seconds`, in the new `folder`, and return the content of predictions.json.

        Raises:
            Failure: its process failed or did not end; with the last lines of its log.
        """
        folder.mkdir()
        for name, content in splits.items():
            (folder / name).write_bytes(content)
        task = {"target": table.target, "metric": METRIC_OF_TASK[table.task], "seconds": seconds, "preset": self.preset}
        (folder / "task.json").write_text(json.dumps(task))
        log = folder / "log"
        python, script = CHECKOUT / f".venv/{self.environment}/bin/python", SCRIPTS / f"peer_{self.environment}.py"
        try:
            with log.open("w") as stream:
                command = [python, script, folder]
                subprocess.run(command, stdout=stream, stderr=stream, check=True, timeout=GRACE * seconds + 60)
        except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
            raise Failure(f"{self.name} failed on table {table.name}: {error}", log) from error
        found: dict[str, Any] = json.loads((folder / "predictions.json").read_text())
        return found


def choose_peers(autogluon_preset: str) -> tuple[Peer, ...]:
    """FLAML, and AutoGluon by that preset."""
    return Peer("FLAML", "flaml"), Peer("AutoGluon", "autogluon", autogluon_preset)
