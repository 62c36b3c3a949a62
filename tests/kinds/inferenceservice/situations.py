"""InferenceService `delay`, the versions that it follows, how its servers and judges fare, and situations of its rollouts."""

import json
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from flywheel.core.resource.api import DEPLOYMENT, MODEL, MODEL_VERSION, POD, SERVICE, Manifest, Reference
from flywheel.core.resource.plan import Child, Plan
from flywheel.kinds.inferenceservice import slots
from flywheel.kinds.inferenceservice.kind import KIND
from flywheel.kinds.inferenceservice.schema import InferenceService
from tests.simulation import pod, resource, running_state, terminated_state, waiting_state
from tests.simulation.resources import custom
from tests.simulation.simulator import Simulator

CANARY: dict[str, Any] = {
    "canary": {"steps": [{"percent": 5, "duration": "10s"}, {"percent": 50, "duration": "10s"}], "sticky": {"header": "X-User-Id"}}
}  # fmt: skip
SHADOW: dict[str, Any] = {"shadow": {"percent": 20, "duration": "10s"}}
AB_TEST: dict[str, Any] = {
    "abTest": {"metric": "accuracy", "minEffect": "0.02", "maxDuration": "10m", "labelDelay": "1m", "interval": "4m", "sticky": {"header": "X-User-Id"}}
}  # fmt: skip
LOGGED: dict[str, Any] = {"logging": {"sample": "100%"}}
NUMBERS = {"requests": 1204.0, "errorRate": 0.0412345}
BAD = "had 4.12 % errors (limit 1 %; 50 failed) in 1,204 requests at 5 %"
JUST_OVER, SETTLED = timedelta(minutes=10, seconds=1), timedelta(seconds=11)


def digest(version: str) -> str:
    """The artifact of a version."""
    return "sha256:" + version[-1] * 64


def service(rollout: Mapping[str, Any] | None = CANARY, **spec: Any) -> InferenceService:
    """InferenceService `delay` with two servers, which follows Model `delay`."""
    chosen = {"rollout": dict(rollout)} if rollout is not None else {}
    found: InferenceService = resource(
        KIND, "delay", {"model": "delay", "auth": {"none": {}}, "replicas": 2, **chosen, **spec}
    )
    return found


class Serving(Simulator):
    """One InferenceService, whose servers come up after each pass of the operator.

    `dies`: by the number of a pass, before which of its writes the operator dies; in any case before it writes the status.
    """

    def __init__(self, start: InferenceService | None = None, dies: Mapping[int, int] | None = None) -> None:
        super().__init__(KIND, start or service())
        self.broken: set[str] = set()  # versions whose servers never answer
        self.passes = 0
        self.dies = dies or {}
        self.offer("delay-1")

    def offer(self, version: str | None, **status: Any) -> None:
        """Let the Model have this champion."""
        champion = {"champion": version, "championDigest": digest(version)} if version else {}
        self.put(custom(MODEL, "delay", {}, status=champion))
        if version:
            verified = {"digest": digest(version), **status}
            self.put(custom(MODEL_VERSION, version, {"model": "delay"}, status=verified))

    def work(self, times: int = 1) -> Plan:
        """Reconcile, and let the controllers of Kubernetes do their work, so often."""
        for _ in range(times):
            self.passes += 1
            if self.passes in self.dies:
                last = len(self.writes) + self.dies[self.passes]
                self.crash_before = lambda write, last=last: len(self.writes) >= last or write.startswith("status ")
            plan = self.reconcile()
            self.crash_before = None
            self._run_deployments()
        return plan

    def judge(
        self, verdict: str | None, message: str = "had 0 % errors", numbers: Mapping[str, float] = NUMBERS
    ) -> None:
        """Let the judge Job that runs end with that verdict; None: it is killed."""
        facts = {"verdict": verdict, "message": message, "numbers": dict(numbers)}
        collected = {"v": 1, "phase": "Finished", "complete": True, "outputs": {}, "metrics": {}, "facts": facts}
        init = {"collect": terminated_state(0, collected), "fetch": terminated_state(0)} if verdict else {}
        self.end_job(
            self.job, failed=verdict is None, main=terminated_state(0) if verdict else terminated_state(137), init=init
        )

    def judge_fails(self, message: str) -> None:
        """Let the judge Job that runs end by an InternalError of fetch."""
        failure = {"v": 1, "reason": "InternalError", "message": message, "retry": True}
        init = {"fetch": terminated_state(1, failure)}
        self.end_job(self.job, failed=True, main=waiting_state(), init=init, phase="Failed")

    @property
    def job(self) -> str:
        """The one judge Job there is."""
        [found] = self.job_names()
        return found

    @property
    def front(self) -> str:
        """The version to which the front Service leads."""
        slot = slots.selected_slot(self.manifest(Reference(SERVICE, "default", "delay")))
        return self.stands[slots.deployment_name(self.resource, slot)]

    @property
    def stands(self) -> dict[str, str]:
        """The version of every Deployment."""
        return {each["metadata"]["name"]: _version(each) for each in self._deployments()}

    def counts(self) -> dict[str, int]:
        """How many servers every Deployment is told to have."""
        return {each["metadata"]["name"]: each["spec"]["replicas"] for each in self._deployments()}

    def child(self, kind: str, name: str) -> Manifest:
        """A child of the last plan."""
        [found] = [
            each.manifest
            for each in self.plan.children or ()
            if isinstance(each, Child) and (each.api.kind, each.name) == (kind, name)
        ]
        return found

    def _deployments(self) -> tuple[Manifest, ...]:
        return self.cluster.children(self.resource.uid, DEPLOYMENT)

    def _run_deployments(self) -> None:
        """Do what the Deployment controller and the kubelet do."""
        wanted: set[str] = set()
        for live in self._deployments():
            count, version = live["spec"]["replicas"], _version(live)
            ready = 0 if version in self.broken else count
            proven = {"type": "Progressing", "status": "True", "reason": "NewReplicaSetAvailable"}
            counts = {"replicas": count, "updatedReplicas": count, "readyReplicas": ready}
            status = {"observedGeneration": live["metadata"]["generation"], **counts}
            self.put({**live, "status": {**status, "conditions": [proven] if ready else []}})
            names = {f"{live['metadata']['name']}-{version}-{number}" for number in range(count)}
            wanted |= names
            for name in sorted(names):
                if self.cluster.get(Reference(POD, "default", name)) is None:
                    role = {"flywheel.ml/role": live["spec"]["selector"]["matchLabels"]["flywheel.ml/role"]}
                    self.put(
                        pod(self.resource, name, containers={"server": running_state()}, labels={**role, SERVER: ""})
                    )
        for each in self.cluster.children(self.resource.uid, POD):
            if SERVER in each["metadata"]["labels"] and each["metadata"]["name"] not in wanted:
                self.cluster.remove(Reference(POD, "default", each["metadata"]["name"]))


SERVER = "test/of-a-deployment"  # the label of pods that the controller of this module makes


def _version(deployment: Manifest) -> str:
    return str(deployment["metadata"]["annotations"]["flywheel.ml/version"])


def serving(rollout: dict[str, Any] | None = CANARY, dies: Mapping[int, int] | None = None, **spec: Any) -> Serving:
    """delay-1 answers."""
    simulator = Serving(service(rollout, **spec), dies)
    simulator.work(2)
    return simulator


def challenged(rollout: dict[str, Any] | None = CANARY, **spec: Any) -> Serving:
    """delay-2 is offered, its servers answer, and the judge of step 1 runs."""
    simulator = serving(rollout, **spec)
    simulator.offer("delay-2")
    simulator.work(3)
    return simulator


def promoted(bake_time: str | None = None) -> Serving:
    """delay-2 has passed every step, and delay-1 is kept warm; `bake_time` is that of the Model."""
    simulator = challenged()
    if bake_time is not None:
        model = simulator.manifest(Reference(MODEL, "default", "delay"))
        simulator.put(
            {**model, "spec": {"rollback": {"when": ["NotFinite"], "monitors": ["watch"], "bakeTime": bake_time}}}
        )
    for _ in range(2):
        simulator.judge("Pass")
        simulator.work(4)
    return simulator


def rolled_back() -> Serving:
    """delay-2 failed its first step."""
    simulator = challenged()
    simulator.judge("Breach", BAD)
    simulator.work(2)
    return simulator


def route(simulator: Serving, slot: str = "route") -> Any:
    """What servers are told."""
    return json.loads(simulator.child("ConfigMap", f"delay-{slot}")["data"]["route.json"])


def phase(simulator: Serving) -> str | None:
    status = simulator.status.rollout
    return status.phase if status else None
