"""Where the contract puts files, and which pod this is."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Places:
    """The paths of a step pod, all below one root."""

    root: Path
    termination_log: Path

    @classmethod
    def of(cls, env: Mapping[str, str] = os.environ) -> "Places":
        return cls(
            root=Path(env.get("FLYWHEEL_ROOT") or "/flywheel"),
            termination_log=Path(env.get("FLYWHEEL_TERMINATION_LOG") or "/dev/termination-log"),
        )

    @property
    def params(self) -> Path:
        return self.root / "params.json"

    @property
    def inputs(self) -> Path:
        return self.root / "inputs"

    @property
    def outputs(self) -> Path:
        return self.root / "outputs"

    @property
    def volumes(self) -> Path:
        return self.root / "volumes"

    @property
    def metrics(self) -> Path:
        return self.outputs / "metrics.json"

    @property
    def curves(self) -> Path:
        return self.outputs / "metrics.jsonl"

    @property
    def facts(self) -> Path:
        return self.outputs / "facts.json"

    @property
    def collecting(self) -> Path:
        """Made by collect when it is undumpable and ready; its startup probe waits for it."""
        return self.root / "run" / "collecting"

    @property
    def repeated(self) -> Path:
        """Made by collect before `collecting`: this attempt was done before, so fetch ends with 3."""
        return self.root / "run" / "repeated"

    @property
    def refused(self) -> Path:
        """Made by collect before `collecting`: why the store cannot take results, as JSON, so fetch ends."""
        return self.root / "run" / "refused"

    @property
    def fetched(self) -> Path:
        """Written last by fetch: the ids of the processes that lived then, none of which is main's."""
        return self.root / "run" / "fetched"


@dataclass(frozen=True)
class Attempt:
    """The (uid, step, attempt) that keys a result, and the namespace whose folder holds it."""

    namespace: str
    uid: str
    step: str
    attempt: str

    @classmethod
    def of(cls, env: Mapping[str, str] = os.environ) -> "Attempt":
        return cls(
            env["FLYWHEEL_NAMESPACE"], env["FLYWHEEL_UID"], env["FLYWHEEL_STEP"], env.get("FLYWHEEL_ATTEMPT") or "1"
        )

    @property
    def result_key(self) -> str:
        return f"results/{self.uid}/{self.step}/{self.attempt}.json"
