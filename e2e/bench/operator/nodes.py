"""Plays controllers and nodes: Jobs end with the messages of tests/contracts, Deployments are ready, and nothing ever runs.

One thread for each watch, a few that write. What a Job's pod would need minutes for is done in milliseconds.
"""

import hashlib
import json
import queue
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from http.client import HTTPException
from typing import Any

from e2e.bench.operator.api import Object, Refused, Server, path, path_of
from e2e.cluster.paths import CHECKOUT
from e2e.cluster.progress import announce
from flywheel.core.resource.api import DEPLOYMENT, JOB, POD, Api
from flywheel.core.resource.names import STEP_LABEL
from flywheel.engine.cache.informer import MANAGED_SELECTOR

HANDS = 6
JOB_NAME = "batch.kubernetes.io/job-name"
FAILING_STEP = "trial-1"
CONTRACTS = CHECKOUT / "tests/contracts"
Seen = Callable[[str, Object], None]


class Nodes:
    """`seen` is called with every Deployment event at once, before anything is done about it."""

    def __init__(self, server: Server, seen: Seen) -> None:
        self._server = server
        self._seen = seen
        self._work: queue.SimpleQueue[Callable[[], object]] = queue.SimpleQueue()
        self._done = json.loads((CONTRACTS / "pod_done.json").read_text())["pod"]
        self._failed = json.loads((CONTRACTS / "pod_exit_1.json").read_text())["pod"]

    def start(self) -> None:
        """Threads that end with the process."""
        for api, act in ((JOB, self._job), (DEPLOYMENT, self._deployment)):
            threading.Thread(target=self._follow, args=(api, act), name=f"watch-{api.plural}", daemon=True).start()
        for number in range(HANDS):
            threading.Thread(target=self._hand, name=f"hand-{number}", daemon=True).start()

    def rest(self) -> None:
        """Until nothing is left to do. A watch is less than a second behind."""
        while not self._work.empty():
            time.sleep(1.0)
        time.sleep(2.0)

    def _follow(self, api: Api, act: Callable[[str, Object], Callable[[], object] | None]) -> None:
        while True:
            # A watch begins with all that is there, so nothing is missed when one ends; what is done already asks for nothing.
            with suppress(OSError, HTTPException, Refused):
                for event, thing in self._server.watch(api, f"&labelSelector={MANAGED_SELECTOR.replace('=', '%3D')}"):
                    work = act(event, thing)
                    if work is not None:
                        self._work.put(work)
            time.sleep(1.0)

    def _hand(self) -> None:
        while True:
            work = self._work.get()
            try:
                work()
            except (OSError, HTTPException) as error:
                announce(f"nodes: {error!r}")
            except Refused as refused:
                # The operator may have deleted or changed it meanwhile.
                if not any(word in str(refused) for word in ("NotFound", "AlreadyExists", "Conflict")):
                    announce(f"nodes: {refused}")

    def _job(self, event: str, job: Object) -> Callable[[], object] | None:
        if event == "DELETED":
            where = path(POD, job["metadata"]["namespace"], _pod_of(job))
            return lambda: self._server.delete_now(where)
        if event == "ADDED" and not (job.get("status") or {}).get("conditions"):
            return lambda: self._end(job)
        return None

    def _end(self, job: Object) -> None:
        step = job["metadata"]["labels"][STEP_LABEL]
        termination = self._failed if step == FAILING_STEP else _finished(self._done, job, step)
        labels = {**job["spec"]["template"]["metadata"]["labels"], JOB_NAME: job["metadata"]["name"]}
        pod = _pod(job, _pod_of(job), labels)
        self._server.create(POD, pod)
        phase = "Failed" if step == FAILING_STEP else "Succeeded"
        self._server.merge(path_of(POD, pod, "status"), {"status": _ended(pod, phase, termination)})
        self._server.merge(path_of(JOB, job, "status"), {"status": _job_status(phase)})

    def _deployment(self, event: str, deployment: Object) -> Callable[[], object] | None:
        self._seen(event, deployment)
        status = deployment.get("status") or {}
        if event == "DELETED" or status.get("observedGeneration") == deployment["metadata"]["generation"]:
            return None
        return lambda: self._roll_out(deployment, new=not status)

    def _roll_out(self, deployment: Object, *, new: bool) -> None:
        if new:
            template = deployment["spec"]["template"]
            pod = _pod(deployment, f"{deployment['metadata']['name']}-server", template["metadata"]["labels"])
            self._server.create(POD, pod)
            self._server.merge(path_of(POD, pod, "status"), {"status": _running(pod)})
        count = deployment["spec"]["replicas"]
        counts = dict.fromkeys(("replicas", "updatedReplicas", "readyReplicas", "availableReplicas"), count)
        status = {"observedGeneration": deployment["metadata"]["generation"], **counts}
        self._server.merge(path_of(DEPLOYMENT, deployment, "status"), {"status": status})


def _pod_of(job: Object) -> str:
    return f"{job['metadata']['name']}-pod"


def _pod(owner: Object, name: str, labels: Object) -> Object:
    metadata = {"name": name, "namespace": owner["metadata"]["namespace"], "labels": labels}
    spec = {**owner["spec"]["template"]["spec"], "nodeName": "node-1"}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


def _finished(done: Object, job: Object, step: str) -> Object:
    """`collect` with the digests, metrics and facts of this step; a digest of its own for each Job."""
    message = json.loads(done["collect"]["message"])
    digest = f"sha256:{hashlib.sha256(job['metadata']['uid'].encode()).hexdigest()}"
    output = "data" if step == "check" else "gates" if step.startswith("gates-") else "model"
    message["outputs"][output] = {"digest": digest, "size": 48211, "files": 6}
    if step == "check":
        splits = {"train": 700, "validation": 150, "test": 150}
        message["facts"] = {"content": digest, "rows": 1000, "splits": splits, "task": "Classification", "classes": 2}
    if output == "gates":
        message["facts"] = {"gates": [{"name": "beats-a-constant", "passed": True, "message": "gain 0.24"}]}
    if step == "verify":
        message["metrics"] = {"roc_auc": 0.74, "p50_ms": 0.31, "p95_ms": 0.42, "size_bytes": 47123}
        message["facts"] |= {"golden": {"rows": 50, "maxDifference": 9e-8}}
    return {**done, "collect": {**done["collect"], "message": json.dumps(message)}}


def _ended(pod: Object, phase: str, termination: Object) -> Object:
    def state(name: str) -> dict[str, Any]:
        said = {key: value for key, value in (termination.get(name) or {"exitCode": 0}).items() if value is not None}
        return {"terminated": {**said, "startedAt": _now(), "finishedAt": _now()}}

    return _status(pod, phase, state, ready=False)


def _running(pod: Object) -> Object:
    def state(name: str) -> dict[str, Any]:
        init = name in {each["name"] for each in pod["spec"].get("initContainers", ())}
        return {"terminated": {"exitCode": 0}} if init else {"running": {"startedAt": _now()}}

    return _status(pod, "Running", state, ready=True)


def _status(pod: Object, phase: str, state: Callable[[str], dict[str, Any]], *, ready: bool) -> Object:
    def statuses(field: str) -> list[dict[str, Any]]:
        known = {"restartCount": 0, "imageID": "", "ready": ready}
        return [
            {"name": each["name"], "image": each["image"], **known, "state": state(each["name"])}
            for each in pod["spec"].get(field, ())
        ]

    condition = {"type": "Ready", "status": str(ready), "lastTransitionTime": _now()}
    return {
        "phase": phase,
        "startTime": _now(),
        "conditions": [condition],
        "initContainerStatuses": statuses("initContainers"),
        "containerStatuses": statuses("containers"),
    }


def _job_status(phase: str) -> Object:
    """The API server insists on both conditions, in their pairs."""
    before, end, count = (
        ("SuccessCriteriaMet", "Complete", "succeeded")
        if phase == "Succeeded"
        else ("FailureTarget", "Failed", "failed")
    )
    conditions = [{"type": each, "status": "True", "lastTransitionTime": _now()} for each in (before, end)]
    completed = {"completionTime": _now()} if end == "Complete" else {}
    return {"startTime": _now(), **completed, count: 1, "conditions": conditions}


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
