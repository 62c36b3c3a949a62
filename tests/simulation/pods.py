"""Builders of pods in the states that a cluster puts them into."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from flywheel.core.resource import names
from flywheel.core.resource.kind import AnyResource
from tests.simulation.resources import NOON, stamp, uid_of

Json = Mapping[str, Any]


@dataclass(frozen=True)
class State:
    """One container's state, as in containerStatuses."""

    state: Mapping[str, Any]
    ready: bool = False
    restarts: int = 0
    last: Mapping[str, Any] | None = None


def running_state(*, ready: bool = True, restarts: int = 0, last: State | None = None) -> State:
    """It runs; `last` is how it ended before."""
    return State({"running": {"startedAt": stamp(NOON)}}, ready, restarts, last.state if last else None)


def waiting_state(
    reason: str = "PodInitializing", message: str = "", *, restarts: int = 0, last: State | None = None
) -> State:
    """It does not run yet (ImagePullBackOff, CreateContainerConfigError, …) or not again (CrashLoopBackOff)."""
    state = {"reason": reason, **({"message": message} if message else {})}
    return State({"waiting": state}, False, restarts, last.state if last else None)


def terminated_state(exit_code: int = 0, message: str | Json = "", *, reason: str | None = None) -> State:
    """It ended. A message that is an object is written as JSON, as our containers do."""
    text = message if isinstance(message, str) else json.dumps(message)
    state = {
        "exitCode": exit_code,
        "reason": reason or ("Completed" if exit_code == 0 else "Error"),
        "startedAt": stamp(NOON),
        "finishedAt": stamp(NOON),
        **({"message": text} if text else {}),
    }
    return State({"terminated": state})


def oom_killed_state() -> State:
    """The kernel ended it at its memory limit."""
    return terminated_state(137, reason="OOMKilled")


def _status(name: str, state: State) -> dict[str, Any]:
    return {
        "name": name,
        "state": state.state,
        "ready": state.ready,
        "restartCount": state.restarts,
        "lastState": state.last or {},
        "image": "flywheel.local/any:1",
        "imageID": "flywheel.local/any@sha256:" + "0" * 64,
    }


def pod(
    owner: AnyResource,
    name: str,
    *,
    job: str | None = None,
    main: State | None = None,
    containers: Mapping[str, State] | None = None,
    init: Mapping[str, State] | None = None,
    phase: str | None = None,
    reason: str | None = None,
    message: str | None = None,
    conditions: tuple[Json, ...] = (),
    node: str | None = "node-1",
    labels: Mapping[str, str] | None = None,
    limits: Mapping[str, str] | None = None,
    created: datetime = NOON,
) -> dict[str, Any]:
    """A pod of the owner. `main` is the container of that name; `init` holds `collect` and `fetch`. The phase follows from the states."""
    states = {**({"main": main} if main else {}), **(containers or {})} or {"main": running_state()}
    extra = {"batch.kubernetes.io/job-name": job} if job else {}
    status: dict[str, Any] = {
        "phase": phase or _phase(states),
        "startTime": stamp(created),
        "conditions": list(conditions),
        "containerStatuses": [_status(key, state) for key, state in states.items()],
        "initContainerStatuses": [_status(key, state) for key, state in (init or {}).items()],
        **{key: value for key, value in (("reason", reason), ("message", message)) if value is not None},
    }
    metadata = {
        "name": name,
        "namespace": owner.namespace,
        "uid": uid_of("Pod", owner.namespace, name),
        "resourceVersion": "1",
        "creationTimestamp": stamp(created),
        "labels": {**names.labels(owner), **extra, **(labels or {})},
        "ownerReferences": [_controller(owner, job, labels or {})],
    }
    spec = _spec(states, init or {}, node, limits or {})
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec, "status": status}


def _controller(owner: AnyResource, job: str | None, labels: Mapping[str, str]) -> dict[str, Any]:
    """The Job of that name as its first pod sees it; without one, a ReplicaSet of the owner's Deployment, of which there may be two."""
    deployment = names.child(owner, "slot-b" if labels.get("flywheel.ml/role") == "server-b" else "")
    kind, name = ("Job", job) if job else ("ReplicaSet", f"{deployment}-5d4f8c7b9")
    uid = uid_of(kind, owner.namespace, name)
    return {"apiVersion": "batch/v1" if job else "apps/v1", "kind": kind, "name": name, "uid": uid, "controller": True}


def _spec(
    containers: Iterable[str], init: Iterable[str], node: str | None, limits: Mapping[str, str]
) -> dict[str, Any]:
    image = "flywheel.local/any:1"
    return {
        "containers": [{"name": each, "image": image, "resources": {"limits": dict(limits)}} for each in containers],
        "initContainers": [{"name": each, "image": image} for each in init],
        **({"nodeName": node} if node else {}),
    }


def unschedulable_pod(owner: AnyResource, name: str, message: str, **more: Any) -> dict[str, Any]:
    """A pod that the scheduler could not place, with its message: `0/1 nodes are available: 1 Insufficient nvidia.com/gpu.`"""
    condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message}
    manifest = pod(owner, name, phase="Pending", node=None, conditions=(condition,), **more)
    manifest["status"] |= {"containerStatuses": [], "initContainerStatuses": []}
    return manifest


def evicted_pod(
    owner: AnyResource, name: str, message: str = "The node was low on resource: memory.", **more: Any
) -> dict[str, Any]:
    """A pod that the kubelet removed for its node's sake."""
    return pod(owner, name, phase="Failed", reason="Evicted", message=message, **more)


def _phase(states: Mapping[str, State]) -> str:
    ends = [state.state.get("terminated") for state in states.values()]
    if all(ends):
        return "Succeeded" if all(end and end["exitCode"] == 0 for end in ends) else "Failed"
    return "Pending" if all("waiting" in state.state for state in states.values()) else "Running"
