"""A pod as fetch sees it, and the golden messages."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flywheel_runtime.commands.fetch.main import main
from flywheel_runtime.store.retry import Retry

IMPATIENT = Retry(patience=2)
GOLDEN = Path(__file__).parents[1] / "contracts"


def golden(name: str) -> dict[str, Any]:
    body: dict[str, Any] = json.loads((GOLDEN / f"{name}.json").read_text(encoding="utf-8"))
    return body


@dataclass
class Pod:
    """A pod's environment and root; `fetch` runs the container."""

    root: Path
    env: dict[str, str]

    def fetch(self, *inputs: Mapping[str, Any], limit: int | None = None, **env: str) -> int:
        told = {"limitBytes": limit, "inputs": inputs}
        return main({**self.env, **env, "FLYWHEEL_FETCH": json.dumps(told)}, IMPATIENT)

    @property
    def message(self) -> dict[str, Any]:
        body: dict[str, Any] = json.loads(Path(self.env["FLYWHEEL_TERMINATION_LOG"]).read_bytes())
        return body

    def files(self, name: str) -> dict[str, bytes]:
        folder = self.root / "inputs" / name
        return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}
