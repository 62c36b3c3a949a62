"""An InferenceService in its cluster, look by look as the engine would go, and how its servers and judges fare."""

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

from flywheel.core.resource.api import DEPLOYMENT, JOB, MODEL, MODEL_VERSION, POD, SERVICE, Manifest, Reference
from flywheel.core.resource.conditions import updated_conditions
from flywheel.core.resource.plan import Child, ExistingChild, Plan
from flywheel.engine.apply.status import to_json
from flywheel.engine.apply.template_pinning import with_hashes
from flywheel.kinds.inferenceservice import slots
from flywheel.kinds.inferenceservice.decide import decide
from flywheel.kinds.inferenceservice.kind import KIND
from flywheel.kinds.inferenceservice.observe import observe
from flywheel.kinds.inferenceservice.schema import InferenceService
from flywheel.testing import NOON, FakeCluster, job, pod, resource, running, terminated
from flywheel.testing.resources import custom

CANARY: dict[str, Any] = {
    "canary": {"steps": [{"percent": 5, "duration": "10s"}, {"percent": 50, "duration": "10s"}], "sticky": {"header": "X-User-Id"}}
}  # fmt: skip
SHADOW: dict[str, Any] = {"shadow": {"percent": 20, "duration": "10s"}}
NUMBERS = {"requests": 1204.0, "errorRate": 0.0412345}
BAD = "had 4.12 % errors (limit 1 %; 50 failed) in 1,204 requests at 5 %"


def digest(version: str) -> str:
    """The artifact of a version."""
    return "sha256:" + version[-1] * 64


def service(rollout: Mapping[str, Any] | None = CANARY, **spec: Any) -> InferenceService:
    """InferenceService `delay` with two servers, which follows Model `delay`."""
    told = {"rollout": dict(rollout)} if rollout is not None else {}
    found: InferenceService = resource(
        KIND, "delay", {"model": "delay", "auth": {"none": {}}, "replicas": 2, **told, **spec}
    )
    return found


class World:
    """`dies`: by the number of a look, after how many children the operator dies in it; in any case before it writes the status."""

    def __init__(self, resource: InferenceService | None = None, dies: Mapping[int, int] | None = None) -> None:
        self.service = resource or service()
        self.cluster = FakeCluster(kinds=(KIND,), now=NOON)
        self.broken: set[str] = set()  # versions whose servers never answer
        self.plan: Plan
        self.looks = 0
        self.dies = dies or {}
        self.events: list[str] = []
        self.offers("delay-1")

    def offers(self, version: str | None, **status: Any) -> None:
        """The Model has this champion."""
        told = {"champion": version, "championDigest": digest(version)} if version else {}
        self.cluster.put(custom(MODEL, "delay", {}, status=told))
        if version:
            self.cluster.put(
                custom(MODEL_VERSION, version, {"model": "delay"}, status={"digest": digest(version), **status})
            )

    def look(self, times: int = 1) -> Plan:
        """Observe, decide, and do it; then the servers come up and the kubelet and Deployment's controller have done their work."""
        for _ in range(times):
            self.looks += 1
            self.plan = decide(self.service, observe(self.service, self.cluster))
            if self.looks in self.dies:
                self._die(self.dies[self.looks])
            self.cluster.apply_plan(self.service, self.plan)
            self._come_up()
            if self.looks not in self.dies:
                self._write()
                self.events += [event.reason for event in self.plan.events]
        return self.plan

    def passes(self, length: timedelta) -> None:
        """Time."""
        self.cluster.advance(length)

    def change(self, **fields: Any) -> None:
        """Let the resource become another, in its own fields."""
        self.service = replace(self.service, **fields)

    def judge_says(
        self, verdict: str | None, message: str = "had 0 % errors", numbers: Mapping[str, float] = NUMBERS
    ) -> None:
        """The judge Job that runs ends with that verdict; None: it is killed."""
        name = self.job
        facts = {"verdict": verdict, "message": message, "numbers": dict(numbers)}
        told = {"v": 1, "phase": "Finished", "complete": True, "outputs": {}, "metrics": {}, "facts": facts}
        init = {"collect": terminated(0, told), "fetch": terminated(0)} if verdict else {}
        main = terminated(0) if verdict else terminated(137)
        ended = job(self.service, name, state="Complete" if verdict else "Failed")
        self.cluster.put(ended, pod(self.service, f"{name}-x", job=name, main=main, init=init))

    @property
    def job(self) -> str:
        """The one judge Job there is."""
        [found] = [each["metadata"]["name"] for each in self.cluster.children(self.service.uid, JOB)]
        return str(found)

    @property
    def front(self) -> str:
        """The version to which the front Service leads."""
        where = Reference(SERVICE, "default", "delay")
        slot = slots.selected_slot(self.cluster.get(where) or {})
        return self.stands[slots.deployment_name(self.service, slot)]

    @property
    def stands(self) -> dict[str, str]:
        """The version of every Deployment."""
        return {
            each["metadata"]["name"]: each["metadata"]["annotations"]["flywheel.ml/version"]
            for each in self.cluster.children(self.service.uid, DEPLOYMENT)
        }

    def counts(self) -> dict[str, int]:
        """How many servers every Deployment is told to have."""
        found = self.cluster.children(self.service.uid, DEPLOYMENT)
        return {each["metadata"]["name"]: each["spec"]["replicas"] for each in found}

    def child(self, kind: str, name: str) -> Manifest:
        """A child of the last plan."""
        [found] = [
            each.manifest
            for each in self.plan.children or ()
            if isinstance(each, Child) and (each.api.kind, each.name) == (kind, name)
        ]
        return found

    def _die(self, writes: int) -> None:
        """Only so many children are applied, and whatever else there is stays."""
        assert self.plan.children is not None
        there = [
            ExistingChild(api, each["metadata"]["name"])
            for api in KIND.owns
            for each in self.cluster.children(self.service.uid, api)
        ]
        applied = self.plan.children[:writes]
        done = {(each.api, each.name) for each in applied}
        left = tuple(each for each in there if (each.api, each.name) not in done)
        self.plan = replace(self.plan, children=(*applied, *left), patches=())

    def _come_up(self) -> None:
        for child in self.plan.children or ():
            if isinstance(child, Child) and child.api == DEPLOYMENT:
                self._comes_up(child)
        for touch in self.plan.patches:
            found = self.cluster.get(Reference(POD, "default", touch.name)) or {}
            self.cluster.put({**found, "metadata": {**found["metadata"], "annotations": dict(touch.annotations)}})

    def _comes_up(self, child: Child) -> None:
        live: Any = self.cluster.get(Reference(DEPLOYMENT, "default", child.name))
        version, count = live["metadata"]["annotations"]["flywheel.ml/version"], live["spec"]["replicas"]
        ready = 0 if version in self.broken else count
        status = {"observedGeneration": 1, "replicas": count, "updatedReplicas": count, "readyReplicas": ready}
        proven = {"type": "Progressing", "status": "True", "reason": "NewReplicaSetAvailable"}
        live = with_hashes({**live, "metadata": {**live["metadata"], "generation": 1}}, child)
        self.cluster.put({**live, "status": {**status, "conditions": [proven] if ready else []}})
        for number in range(count):
            name = f"{child.name}-{version}-{number}"
            if self.cluster.get(Reference(POD, "default", name)) is None:
                server = pod(self.service, name, containers={"server": running()})
                role = live["spec"]["selector"]["matchLabels"]["flywheel.ml/role"]
                labels = {**server["metadata"]["labels"], "flywheel.ml/role": role}
                self.cluster.put({**server, "metadata": {**server["metadata"], "labels": labels}})

    def _write(self) -> None:
        told = updated_conditions(
            self.plan, self.service.status.conditions, self.service.generation, self.cluster.now, bounded=False
        )
        status: Any = self.plan.status.model_copy(update={"conditions": told})
        body = to_json(status)
        assert "{}" not in json.dumps(body), "server-side apply makes a map that loses its keys null, and refuses it"
        self.change(status=type(status).model_validate(body))
