"""Where the contract puts files, and which pod this is."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path


@dataclass(frozen=True)
class Paths:
    """The paths of a step pod, all below one root."""

    root: Path
    termination_log: Path

    @classmethod
    def from_env(cls, env: Mapping[str, str] = os.environ) -> "Paths":
        return cls(
            root=Path(env.get("FLYWHEEL_ROOT") or "/flywheel"),
            termination_log=Path(env.get("FLYWHEEL_TERMINATION_LOG") or "/dev/termination-log"),
        )

    @property
    def params(self) -> Path:
        return self.root / "params.json"

    @property
    def source(self) -> Path:
        """The source of main, where the spec contains it."""
        return self.root / "source" / "train.py"

    @property
    def inputs(self) -> Path:
        return self.root / "inputs"

    @property
    def outputs(self) -> Path:
        return self.root / "outputs"

    @property
    def checkpoints(self) -> Path:
        """Main writes a folder for each checkpoint here."""
        return self.root / "checkpoints"

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
        """Made by collect when it is undumpable and ready; its postStart hook waits for it."""
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
    def reported(self) -> Path:
        """The last message of collect: were collect started once more after it has ended, it would say the same."""
        return self.root / "run" / "reported"

    @property
    def fetched(self) -> Path:
        """Made last by fetch, or by collect in a pod without fetch: main may start."""
        return self.root / "run" / "fetched"

    @property
    def fetch_failure(self) -> Path:
        """Written by fetch when it fails for good: its termination message, which collect cannot see."""
        return self.root / "run" / "fetch-failure"

    @property
    def main_failure(self) -> Path:
        """Written by a main of ours when it fails: its termination message, which collect cannot see."""
        return self.outputs / "failure.json"

    @property
    def stop_requested(self) -> Path:
        """Made by collect: watch is to stop main."""
        return self.root / "run" / "stop-requested"

    @property
    def main_ended(self) -> Path:
        """Made by collect when main has ended; then it gets what was observed of main, for a collect that starts once more."""
        return self.root / "run" / "main-ended"

    @property
    def log(self) -> Path:
        """Made by collect: the log of main, compressed, until it is uploaded."""
        return self.root / "run" / "main.log.gz"

    @property
    def watch(self) -> Path:
        """The only folder that watch writes to."""
        return self.root / "watch"

    @property
    def watch_report(self) -> Path:
        """The report of watch, written when main has ended and its files are readable to collect."""
        return self.watch / "report"


@dataclass(frozen=True)
class Attempt:
    """The (uid, step, attempt, Job) that keys a result, and the namespace whose folder holds it.

    Of a step in several pods, `index` is this pod's, and `part` the number of its rank or item, which keys its own result.
    `job` is the uid of the pod's Job: nobody knows it before the Job exists. It is None in a pod of a release that had no Job in its keys.
    `upgraded_at` is when this installation left such releases, if the resource is older.
    """

    namespace: str
    uid: str
    step: str
    attempt: str
    index: int | None = None
    part: int | None = None
    job: str | None = None
    upgraded_at: datetime | None = None

    @classmethod
    def from_env(cls, env: Mapping[str, str] = os.environ) -> "Attempt":
        index = int(env["FLYWHEEL_INDEX"]) if env.get("FLYWHEEL_INDEX") else None
        items = json.loads(env.get("FLYWHEEL_ITEMS") or "null")
        upgraded_at = env.get("FLYWHEEL_UPGRADED_AT")
        return cls(
            namespace=env["FLYWHEEL_NAMESPACE"],
            uid=env["FLYWHEEL_UID"],
            step=env["FLYWHEEL_STEP"],
            attempt=env.get("FLYWHEEL_ATTEMPT") or "1",
            index=index,
            part=items[index] if items is not None and index is not None else index,
            job=env.get("FLYWHEEL_JOB") or None,
            upgraded_at=datetime.fromisoformat(upgraded_at) if upgraded_at else None,
        )

    @property
    def result_key(self) -> str:
        """Where this attempt's result is: below the uid of its Job, so that it cannot be put there before the Job exists."""
        return self._result_key(f"/{self.job}" if self.job else "")

    @property
    def earlier_result_key(self) -> str:
        """Where earlier releases put the result of this attempt."""
        return self._result_key("")

    def _result_key(self, of_job: str) -> str:
        of_part = "" if self.part is None else f"/{self.part}"
        return f"results/{self.uid}/{self.step}/{self.attempt}{of_job}{of_part}.json"

    @property
    def checkpoint_key(self) -> str:
        """The same for every attempt, and for every rank of a group: what one leaves, all of the next begin with."""
        return f"checkpoints/{self.uid}/{self.step}.json"
