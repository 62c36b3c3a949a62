"""A small world in which TrainingRuns live from their first step to their last: Jobs end, statuses are written, operators die.

`crash_after` lets the operator die after that many writes (a child made or deleted, a status): it forgets everything and starts again.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

from flywheel.core.resource import names
from flywheel.core.resource.api import CONTROLLER_REVISION, JOB, POD, TRAINING_PIPELINE, Manifest, Reference
from flywheel.core.resource.ownership import dressed, reference
from flywheel.core.resource.plan import Child, Plan
from flywheel.kinds.trainingpipeline.schema.revision import content, digest, revision_name
from flywheel.kinds.trainingpipeline.schema.template import Template
from flywheel.kinds.trainingrun.decide import decide
from flywheel.kinds.trainingrun.kind import KIND
from flywheel.kinds.trainingrun.observe import observe
from flywheel.kinds.trainingrun.schema import TrainingRun, TrainingRunStatus
from flywheel.testing import NOON, FakeCluster, pod, resource, terminated, uid_of
from flywheel.testing.resources import custom, stamp

Ends = Callable[[str, int], Mapping[str, Any]]
"""How an attempt ends, from its step and its number: {} for well, {"exit": 1}, {"exit": 137, "oom": True}, {"lost": True}, {"missing": True}."""

RIGHT: Ends = lambda _step, _attempt: {}  # noqa: E731  one line says it best
IMAGE = "registry.example/work@sha256:" + "a" * 64


def container(name: str, *needs: str, **more: Any) -> dict[str, Any]:
    """A step in a container that takes the output of each step in `needs`."""
    inputs = [{"name": each, "from": each} for each in needs]
    return {"name": name, "container": {"image": IMAGE, "args": [name], "inputs": inputs, "outputs": ["data"]}, **more}


def run(name: str = "one", **spec: Any) -> TrainingRun:
    """A TrainingRun of pipeline `loop`."""
    made: TrainingRun = resource(KIND, name, {"pipeline": "loop", **spec})
    return made


class Died(Exception):
    """The operator was killed."""


class World:
    """One pipeline with its revision, and runs of it, one at a time."""

    def __init__(self, template: Mapping[str, Any], ends: Ends = RIGHT, crash_after: int | None = None) -> None:
        self.ends = ends
        self.crash_after = crash_after
        self.cluster = FakeCluster(kinds=(KIND,), now=NOON)
        self.writes: list[str] = []
        self.made: list[str] = []
        self._revise(template)

    def _revise(self, template: Mapping[str, Any]) -> None:
        parsed = Template.model_validate(template)
        name = digest(parsed)
        status = {"revision": name}
        revision = {
            "apiVersion": CONTROLLER_REVISION.api_version,
            "kind": CONTROLLER_REVISION.kind,
            "metadata": {"name": revision_name("loop", name), "namespace": "default"},
            "data": {"template": content(parsed)},
        }
        self.cluster.put(custom(TRAINING_PIPELINE, "loop", template, status=status), revision)

    def look(self, at: TrainingRun) -> tuple[TrainingRun, Plan]:
        """One pass of the engine: decide, make what is missing, delete what left, write the status."""
        plan = decide(at, observe(at, self.cluster))
        if plan.children is not None:
            wanted = {reference(at, child): child for child in plan.children}
            for address, child in wanted.items():
                if isinstance(child, Child) and self.cluster.get(address) is None:
                    self._make(at, child)
            for each in self.cluster.children(at.uid, JOB):
                if Reference(JOB, "default", each["metadata"]["name"]) not in wanted:
                    self._delete(each)
        status = TrainingRunStatus.model_validate(plan.status.model_dump(mode="json", by_alias=True, exclude_none=True))
        if status != at.status:
            at = replace(at, status=status)
            self.cluster.put(at)
            self._wrote("status")
        return at, plan

    def settle(self, at: TrainingRun) -> tuple[TrainingRun, Plan]:
        """Look until nothing is left to write. An operator that died starts again and knows only what the cluster knows."""
        while True:
            before = len(self.writes)
            try:
                at, plan = self.look(at)
            except Died:
                stored = self.cluster.get(at.reference)
                at = replace(at, status=TrainingRunStatus.model_validate((stored or {}).get("status") or {}))
                continue
            if len(self.writes) == before:
                return at, plan

    def finish(
        self, at: TrainingRun, order: Callable[[list[Manifest]], Manifest] = lambda jobs: jobs[0], rounds: int = 400
    ) -> TrainingRun:
        """Let Jobs end one by one, in that order, until the run is over."""
        for _ in range(rounds):
            at, plan = self.settle(at)
            running = self.running(at)
            if at.status.result is not None:
                return at
            if running:
                self.end(at, order(running))
            else:
                self.cluster.advance(plan.look_again or timedelta(minutes=1))
        raise AssertionError(f"the run does not end: {plan.reason}: {plan.message}")

    def running(self, at: TrainingRun) -> list[Manifest]:
        """The Jobs that have not ended."""
        return [job for job in self.cluster.children(at.uid, JOB) if not job["status"].get("conditions")]

    def end(self, at: TrainingRun, job: Manifest) -> None:
        """Let one Job end as `ends` says."""
        labels = job["metadata"]["labels"]
        step, attempt = labels[names.STEP_LABEL], int(labels[names.ATTEMPT_LABEL])
        result = self.ends(step, attempt)
        over = {"conditions": [{"type": "Failed" if result.get("exit") else "Complete", "status": "True"}]}
        self.cluster.put({**job, "status": over})
        if not result.get("lost"):
            self.cluster.put(_pod(at, job, step, result))

    def _make(self, at: TrainingRun, child: Child) -> None:
        manifest = dressed(at, child)
        name = manifest["metadata"]["name"]
        metadata = {"uid": uid_of(manifest["kind"], "default", name), "creationTimestamp": stamp(self.cluster.now)}
        self.cluster.put({**manifest, "metadata": {**manifest["metadata"], **metadata}, "status": {}})
        self.made.append(name)
        self._wrote(f"make {name}")

    def _delete(self, job: Manifest) -> None:
        name = job["metadata"]["name"]
        self.cluster.remove(Reference(JOB, "default", name)).remove(Reference(POD, "default", f"{name}-pod"))
        self._wrote(f"delete {name}")

    def _wrote(self, what: str) -> None:
        self.writes.append(what)
        if len(self.writes) == self.crash_after:
            raise Died


def _pod(at: TrainingRun, job: Manifest, step: str, result: Mapping[str, Any]) -> Manifest:
    name, code = job["metadata"]["name"], int(result.get("exit", 0))
    digest_ = "sha256:" + names.digest(f"{step} {result.get('bytes', '')}")
    told = {"v": 1, "phase": "Finished", "complete": code == 0, "repeated": False, "timedOut": False}
    told |= {"oomKills": int(bool(result.get("oom"))), "outputs": {"data": {"digest": digest_, "size": 1, "files": 1}}}
    told |= {"metrics": result.get("metrics", {}), "facts": {}, "error": None}
    fetch = terminated(0, {"v": 1, "reason": "Fetched"})
    if result.get("missing"):
        fetch = terminated(1, {"v": 1, "reason": "ArtifactMissing", "message": "artifact is gone", "retry": True})
    main = terminated(code, "", reason="OOMKilled" if result.get("oom") else None)
    init = {"collect": terminated(0, told), "fetch": fetch}
    return pod(
        at,
        f"{name}-pod",
        job=name,
        main=None if result.get("missing") else main,
        init=init,
        phase="Failed" if code else "Succeeded",
    )
