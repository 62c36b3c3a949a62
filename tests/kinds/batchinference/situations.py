"""A BatchInference in its cluster, and how its Jobs end."""

import json
from pathlib import Path
from typing import Any

from flywheel.core.pods.cron_job import TICK
from flywheel.core.resource import names
from flywheel.core.resource.api import JOB, MODEL, Manifest, Reference
from flywheel.kinds.batchinference.children import BatchInference
from flywheel.kinds.batchinference.kind import KIND
from tests.simulation import job, pod, resource, terminated_state
from tests.simulation.resources import custom
from tests.simulation.simulator import Simulator

DIGEST, PLAN = "sha256:" + "a" * 64, "sha256:" + "b" * 64
SPEC = {
    "model": "fraud",
    "input": {"s3": {"uri": "s3://acme/in/"}},
    "output": {"s3": {"uri": "s3://acme/out/"}},
    "parallelism": 2,
}
DAILY = {
    "schedule": {"cron": "0 22 * * *", "timeZone": "America/New_York"},
    "input": {"s3": {"uri": "s3://acme/day=$(run.date)/"}},
    "output": {"s3": {"uri": "s3://acme/out/$(run.time)/"}},
}
SIDECARS = {"fetch": terminated_state(0), "server": terminated_state(0)}
CONTRACTS = Path(__file__).parents[2] / "contracts"


def golden(name: str) -> dict[str, Any]:
    """What main writes (tests/contracts)."""
    message: dict[str, Any] = json.loads((CONTRACTS / f"main_batch_{name}.json").read_text())["message"]
    return message


PLANNED = golden("planned")["facts"]


def model(champion: str | None = "fraud-1") -> Manifest:
    status = {"champion": champion, "championDigest": DIGEST} if champion else {}
    return custom(MODEL, "fraud", {}, status=status)


def failing(reason: str, *, retry: bool, message: str = "what was found") -> Any:
    """How our main ends when it cannot do its work."""
    return terminated_state(1 if retry else 2, {"v": 1, "reason": reason, "message": message, "retry": retry})


class Batch(Simulator):
    """BatchInference `scores` on Model `fraud`, and how its Jobs end."""

    def __init__(self, *manifests: Manifest, **changes: Any) -> None:
        start: BatchInference = resource(KIND, "scores", {**SPEC, **changes})
        super().__init__(KIND, start, *(manifests or (model(),)))

    @property
    def now(self) -> BatchInference:
        """The resource as it is now."""
        found: BatchInference = self.resource
        return found

    @property
    def steps(self) -> list[str]:
        """Step and number of the run's Jobs."""
        found = [each["metadata"]["labels"] for each in self.jobs()]
        steps = [(each[names.STEP_LABEL], each.get(names.ATTEMPT_LABEL)) for each in found]
        return sorted(f"{step}-{number}" for step, number in steps if step != TICK)

    def job(self, step: str, number: int) -> Any:
        """The Job of a step."""
        return self.manifest(Reference(JOB, self.subject.namespace, names.job(self.now, step, number)))

    def end(self, step: str, number: int, *, main: Any = None, **facts: Any) -> None:
        """Let a Job of one pod end: well with these facts, or as `main` says."""
        self.end_job(
            names.job(self.now, step, number),
            failed=main is not None,
            main=main or terminated_state(0, {**golden("finished"), "facts": facts}),
            init=SIDECARS,
        )

    def end_shard(
        self,
        number: int,
        index: int,
        *,
        done: int,
        rows: int = 100,
        errors: int = 1,
        over: bool = False,
        complete: bool = True,
        pod_name: str = "",
    ) -> None:
        """Let one pod of the score Job end well, of which `done` have ended so."""
        made = self.job("score", number)
        name = made["metadata"]["name"]
        status = job(self.now, name, state="Complete" if over else "Running")["status"]
        scored = {**golden("scored"), "complete": complete, "metrics": {"rows": rows, "errors": errors}}
        self.put(
            {**made, "status": {**status, "succeeded": done}},
            pod(
                self.now,
                pod_name or f"{name}-{index}",
                job=name,
                main=terminated_state(0, scored),
                init=SIDECARS,
                labels={"batch.kubernetes.io/job-completion-index": str(index)},
            ),
        )

    def score(self) -> "Batch":
        """A run that goes well, from its first Job to its last."""
        self.reconcile()
        number = self.status.run.number
        self.end("plan", number, **PLANNED)
        self.reconcile()
        self.end_shard(number + 1, 0, done=3, over=True)
        self.reconcile()
        self.end("finish", number + 2, manifest="s3://acme/out/_manifest.json")
        self.reconcile()
        return self
