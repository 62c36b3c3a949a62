"""A small world in which an Experiment lives from its first trial to its last: Jobs end, statuses are written, operators die.

`crash_after` lets the operator die after that many writes (a child made or deleted, a status): it forgets everything and starts again.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

from flywheel.core.resource.api import DATASET, JOB, POD, Manifest, Reference
from flywheel.core.resource.ownership import dressed, reference
from flywheel.core.resource.plan import Child, Plan
from flywheel.kinds.experiment.children import TRIAL_ANNOTATION, Experiment
from flywheel.kinds.experiment.decide import decide
from flywheel.kinds.experiment.kind import KIND
from flywheel.kinds.experiment.observe import observe
from flywheel.kinds.experiment.schema.status import ExperimentStatus
from flywheel.testing import NOON, FakeCluster, pod, resource, terminated, uid_of
from flywheel.testing.resources import custom, stamp

DIGEST = "sha256:" + "a" * 64
FLIGHTS = custom(
    DATASET,
    "flights",
    {"source": {}, "target": "late"},
    status={
        "conditions": [
            {"type": "Ready", "status": "True", "reason": "Checked", "message": "", "observedGeneration": 1}
        ],
        "versions": [
            {"name": "flights-3f9a1c2e", "digest": DIGEST, "content": DIGEST, "task": "Classification", "classes": 2}
        ],
    },
)

Ends = Callable[[int, int, list[float]], Mapping[str, Any]]
"""How an attempt ends, from its trial, its number and its point: {"metrics": {…}}, {"exit": 1, "reason": …, "message": …}, {"pruned": {"step", "value"}} or {"lost": True}."""


def experiment(spec: Mapping[str, Any] | None = None, **more: Any) -> Experiment:
    """The Experiment `flight-delay` on Dataset `flights`; `spec` adds to the short form."""
    short = {"dataset": "flights", "trainer": {"sklearn": {}}}
    found: Experiment = resource(KIND, "flight-delay", {**short, **(spec or {})}, **more)
    return found


class Died(Exception):
    """The operator was killed."""


class World:
    """One Experiment, its cluster, and how its trials end."""

    def __init__(self, start: Experiment, ends: Ends, crash_after: int | None = None) -> None:
        self.experiment = start
        self.ends = ends
        self.cluster = FakeCluster(FLIGHTS, kinds=(KIND,), now=NOON)
        self.crash_after = crash_after
        self.ends_while_dead = False  # whether all that runs ends before a dead operator starts again
        self.repeat = 1  # of the Job that ends now
        self.writes: list[str] = []

    def look(self) -> Plan:
        """One pass of the engine: decide, make what is missing, delete what left, write the status."""
        plan = decide(self.experiment, observe(self.experiment, self.cluster))
        if plan.children is not None:
            wanted = {reference(self.experiment, child): child for child in plan.children}
            for address, child in wanted.items():
                if isinstance(child, Child) and self.cluster.get(address) is None:
                    self._make(child)
            for each in self.jobs():
                if Reference(JOB, each["metadata"]["namespace"], each["metadata"]["name"]) not in wanted:
                    self._delete(each)
        status = ExperimentStatus.model_validate(plan.status.model_dump(mode="json", by_alias=True, exclude_none=True))
        if status != self.experiment.status:
            self.experiment = replace(self.experiment, status=status)
            self._wrote("status")
        return plan

    def settle(self) -> Plan:
        """Look until nothing is left to write. An operator that died starts again and knows only what the cluster knows."""
        while True:
            before = len(self.writes)
            try:
                plan = self.look()
            except Died:
                for job in self._running() if self.ends_while_dead else ():
                    self.end(job)
                continue
            if len(self.writes) == before:
                return plan

    def run(self, order: Callable[[list[Manifest]], Manifest] = lambda jobs: jobs[0], rounds: int = 500) -> Plan:
        """Let Jobs end one by one, in that order, until the search is over or stalled."""
        for _ in range(rounds):
            plan = self.settle()
            running = self._running()
            if plan.ready or plan.stalled:
                return plan
            if running:
                self.end(order(running))
            else:
                self.cluster.advance(plan.look_again or timedelta(minutes=1))
        raise AssertionError(f"the search does not end: {plan.reason}: {plan.message}")

    def jobs(self) -> tuple[Manifest, ...]:
        """The Jobs that are there."""
        return self.cluster.children(self.experiment.uid, JOB)

    def _running(self) -> list[Manifest]:
        return [job for job in self.jobs() if not job["status"].get("conditions")]

    def end(self, job: Manifest) -> None:
        """Let one Job end as `ends` says."""
        name, labels = job["metadata"]["name"], job["metadata"]["labels"]
        number, _, repeat = labels["flywheel.ml/step"].removeprefix("trial-").partition("-r")
        trial, attempt = int(number), int(labels["flywheel.ml/attempt"])
        self.repeat = int(repeat or 1)
        result = self.ends(trial, attempt, json.loads(job["metadata"]["annotations"][TRIAL_ANNOTATION])["point"])
        code = int(result.get("exit", 0))
        if "pruned" in result:
            code = 143
        model = {"model": {"digest": "sha256:" + f"{trial + 4096 * (self.repeat - 1):064x}", "size": 1, "files": 1}}
        if not _is_kept(job, result.get("metrics", {})):
            model = {}
        told = {"v": 1, "phase": "Finished", "complete": code == 0, "repeated": False, "timedOut": False, "oomKills": 0}
        finished = {**told, "outputs": model, "metrics": result.get("metrics", {}), "facts": {}, "error": None}
        if "pruned" in result:
            why = {"reason": "Pruned", "message": "roc_auc was worse than the median", "retry": False}
            finished |= {"outputs": {}, "metrics": {}, "pruned": result["pruned"], "error": why}
        finished |= {"usage": {"cpuSeconds": 12.3, "memoryPeakBytes": 312000000}}
        said = {key: result[key] for key in ("reason", "message") if key in result}
        ended = pod(
            self.experiment,
            f"{name}-pod",
            job=name,
            main=terminated(code, said),
            init={"collect": terminated(0, finished), "fetch": terminated(0, {"v": 1, "reason": "Fetched"})},
        )
        over = {"conditions": [{"type": "Failed" if code or result.get("lost") else "Complete", "status": "True"}]}
        self.cluster.put({**job, "status": over})
        if not result.get("lost"):
            self.cluster.put(ended)

    def _make(self, child: Child) -> None:
        manifest = dressed(self.experiment, child)
        uid = uid_of(manifest["kind"], "default", manifest["metadata"]["name"])
        metadata = {**manifest["metadata"], "uid": uid, "creationTimestamp": stamp(self.cluster.now)}
        self.cluster.put({**manifest, "metadata": metadata, "status": {}})
        self._wrote(f"make {manifest['kind']} {metadata['name']}")

    def _delete(self, job: Manifest) -> None:
        name = job["metadata"]["name"]
        self.cluster.remove(Reference(JOB, "default", name)).remove(Reference(POD, "default", f"{name}-pod"))
        self._wrote(f"delete {name}")

    def _wrote(self, what: str) -> None:
        self.writes.append(what)
        if len(self.writes) == self.crash_after:
            raise Died


def _is_kept(job: Manifest, metrics: Mapping[str, float]) -> bool:
    """As collect decides (images/README.md, "Keeping the best")."""
    containers = {each["name"]: each for each in job["spec"]["template"]["spec"]["initContainers"]}
    told = {each["name"]: each.get("value", "") for each in containers["collect"]["env"]}
    keep = json.loads(told["FLYWHEEL_COLLECT"]).get("keep")
    if keep is None:
        return True
    value = metrics[keep["metric"]]
    return bool(value >= keep["reach"] if keep["maximize"] else value <= keep["reach"])
