"""A BatchInference in its cluster, and how its Jobs end."""

import json
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from flywheel.core.pods.schedule import SCHEDULED_ANNOTATION, TICK
from flywheel.core.resource import names
from flywheel.core.resource.api import JOB, MODEL, Manifest, Reference
from flywheel.core.resource.conditions import updated_conditions
from flywheel.core.resource.plan import Plan
from flywheel.kinds.batchinference.children import BatchInference
from flywheel.kinds.batchinference.decide import decide
from flywheel.kinds.batchinference.kind import KIND
from flywheel.kinds.batchinference.observe import observe
from flywheel.testing import FakeCluster, job, pod, resource, terminated
from flywheel.testing.resources import custom, stamp

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
CONTRACTS = Path(__file__).parents[2] / "contracts"


def golden(name: str) -> dict[str, Any]:
    """What main writes (tests/contracts)."""
    told: dict[str, Any] = json.loads((CONTRACTS / f"main_batch_{name}.json").read_text())["message"]
    return told


PLANNED = golden("planned")["facts"]


def model(champion: str | None = "fraud-1") -> Manifest:
    status = {"champion": champion, "championDigest": DIGEST} if champion else {}
    return custom(MODEL, "fraud", {}, status=status)


def failing(reason: str, *, retry: bool, message: str = "what was found") -> Any:
    """How our main ends when it cannot do its work."""
    return terminated(1 if retry else 2, {"v": 1, "reason": reason, "message": message, "retry": retry})


class World:
    """Step by step as the engine would go."""

    def __init__(self, *manifests: Manifest, **changes: Any) -> None:
        self.batch: BatchInference = resource(KIND, "scores", {**SPEC, **changes})
        self.cluster = FakeCluster(*(manifests or (model(),)), kinds=(KIND,))
        self.plan = Plan(ready=None, reason="", message="", status=self.batch.status)

    def look(self, *, status_is_lost: bool = False) -> Plan:
        """Observe, decide, and do it; the status may be lost on its way, as in a crash."""
        self.plan = decide(self.batch, observe(self.batch, self.cluster))
        self.cluster.apply_plan(self.batch, self.plan)
        told = updated_conditions(
            self.plan, self.batch.status.conditions, self.batch.generation, self.cluster.now, bounded=True
        )
        if not status_is_lost:
            self.change(status=self.plan.status.model_copy(update={"conditions": told}))
        return self.plan

    def change(self, **fields: Any) -> None:
        """Let the resource become another, in its own fields."""
        self.batch = type(self.batch)(**{**self.batch.__dict__, **fields})

    def respec(self, **changes: Any) -> None:
        """Let the user change the spec."""
        spec = {**self.batch.spec.model_dump(mode="json", by_alias=True, exclude_defaults=True), **changes}
        self.change(spec=KIND.spec.model_validate(spec), generation=self.batch.generation + 1)

    def passes(self, **time: float) -> None:
        """Let time pass."""
        self.cluster.advance(timedelta(**time))

    @property
    def jobs(self) -> list[str]:
        """Step and number of the run's Jobs."""
        found = [each["metadata"]["labels"] for each in self.cluster.children(self.batch.uid, JOB)]
        steps = [(each[names.STEP_LABEL], each.get(names.ATTEMPT_LABEL)) for each in found]
        return sorted(f"{step}-{number}" for step, number in steps if step != TICK)

    def job(self, step: str, number: int) -> Manifest:
        found = self.cluster.get(Reference(JOB, self.batch.namespace, names.job(self.batch, step, number)))
        assert found is not None, self.jobs
        return found

    def ends(self, step: str, number: int, *, main: Any = None, state: Any = "Complete", **facts: Any) -> None:
        """Let a Job of one pod end: well with these facts, or as `main` says."""
        made = self.job(step, number)
        told = {**golden("finished"), "facts": facts}
        name = made["metadata"]["name"]
        self.cluster.put(
            self._over(made, state if main is None else "Failed"),
            pod(
                self.batch,
                f"{name}-x",
                job=name,
                main=main or terminated(0, told),
                init={"fetch": terminated(0), "server": terminated(0)},
            ),
        )

    def shard_ends(
        self,
        number: int,
        index: int,
        *,
        done: int,
        rows: int = 100,
        errors: int = 1,
        over: bool = False,
        pod_name: str = "",
    ) -> None:
        """Let one pod of the score Job end well."""
        made = self.job("score", number)
        name = made["metadata"]["name"]
        told = {**golden("scored"), "metrics": {"rows": rows, "errors": errors}}
        self.cluster.put(
            {**self._over(made, "Complete" if over else "Running"), "status": {
                **self._over(made, "Complete" if over else "Running")["status"], "succeeded": done}},
            pod(
                self.batch,
                pod_name or f"{name}-{index}",
                job=name,
                main=terminated(0, told),
                init={"fetch": terminated(0), "server": terminated(0)},
                labels={"batch.kubernetes.io/job-completion-index": str(index)},
            ),
        )  # fmt: skip

    def _over(self, made: Manifest, state: Any) -> Manifest:
        ended = job(self.batch, made["metadata"]["name"], state=state)
        return {**made, "status": ended["status"]}

    def ticks(self, name: str, scheduled: datetime | None = None) -> None:
        """Let the clock tick."""
        noted = {SCHEDULED_ANNOTATION: scheduled.isoformat()} if scheduled else {}
        tick = job(
            self.batch,
            name,
            state="Pending",
            labels={names.STEP_LABEL: TICK},
            annotations=noted,
            created=self.cluster.now,
        )
        # It belongs to the CronJob, which nobody prunes.
        metadata = {**tick["metadata"], "ownerReferences": [], "creationTimestamp": stamp(self.cluster.now)}
        self.cluster.put({**tick, "metadata": metadata})

    def scored(self) -> "World":
        """A run that went well."""
        self.look()
        first = self.batch.status.run
        assert first is not None
        number = first.number
        self.ends("plan", number, **PLANNED)
        self.look()
        self.shard_ends(number + 1, 0, done=3, over=True)
        self.look()
        self.ends("finish", number + 2, manifest="s3://acme/out/_manifest.json")
        self.look()
        return self
