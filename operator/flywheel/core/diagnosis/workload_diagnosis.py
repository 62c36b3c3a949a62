"""Why a Job or a Deployment that should run does not, found in all of its pods, all their containers, and Kubernetes' events.

A diagnosis is not yet a failure: a missing Secret may be created in the next second. The condition shows it while it lasts.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from flywheel.core.diagnosis.pod_status import container_statuses, last_line, parse_json_object, to_sentence
from flywheel.core.resource.api import Manifest
from flywheel.core.resource.conditions import find_condition, is_true
from flywheel.core.resource.kind import Cluster

EventLookup = Callable[[str], Sequence[Manifest]]  # the events of one object, by uid

CRASH_WINDOW_SECONDS = 120  # after its start, a container that has failed before still counts as crashing
START_GRACE_SECONDS = 20  # a scheduled pod starts its first container within this
POD_CREATION_GRACE_SECONDS = 3  # a Job has its first pod within this


@dataclass(frozen=True)
class Diagnosis:
    """What prevents a workload from running: one CamelCase word, and one sentence with a next step."""

    reason: str
    message: str


_MISSING_OBJECT = re.compile(r'(secret|configmap) "([^"]+)" not found')
_WAITING_REASONS = {
    "ErrImagePull": "ImagePullFailed",
    "ImagePullBackOff": "ImagePullFailed",
    "ErrImageNeverPull": "ImagePullFailed",
    "InvalidImageName": "ImageNameInvalid",
    "RunContainerError": "CannotStart",
    "CreateContainerError": "CannotStart",
    "CrashLoopBackOff": "CrashLoop",
}


def diagnose_workload(workload: Manifest, pods: Sequence[Manifest], cluster: Cluster) -> Diagnosis | None:
    """Returns the first thing that prevents a workload of the cluster from running, or None."""
    namespace = str(workload["metadata"]["namespace"])
    return diagnose(workload, pods, lambda uid: cluster.events(namespace, uid), cluster.now)


def diagnose(workload: Manifest, pods: Sequence[Manifest], events: EventLookup, now: datetime) -> Diagnosis | None:
    """Returns the first thing that prevents the workload from running, or None. Events are looked up only where the objects do not say."""
    for pod in sorted(pods, key=lambda pod: str(pod["metadata"]["name"])):
        diagnosis = _unschedulable(pod) or next(_of_containers(pod, now), None) or _stuck_before_start(pod, events, now)
        if diagnosis is not None:
            return diagnosis
    return _replicas_refused(workload) or (None if pods else _pods_refused(workload, events, now))


def _unschedulable(pod: Manifest) -> Diagnosis | None:
    condition = find_condition(pod, "PodScheduled")
    if condition.get("status") != "False" or condition.get("reason") != "Unschedulable":
        return None
    since = str(condition.get("lastTransitionTime", ""))[11:16]
    return Diagnosis(
        "Unschedulable",
        f"Pod '{pod['metadata']['name']}' fits on no node: {condition.get('message', 'no reason given')} It asks for {_requests(pod)}; waiting since {since} UTC. Lower what is asked or add a node.",
    )


def _requests(pod: Manifest) -> str:
    found: list[str] = []
    for container in pod.get("spec", {}).get("containers", []):
        if container["name"] == "watch":
            continue  # ours, and too small to matter
        resources = container.get("resources", {})
        requested = {**resources.get("limits", {}), **resources.get("requests", {})}
        found += [f"{value} {name}" for name, value in sorted(requested.items())]
    return ", ".join(found) or "nothing in particular"


def _of_containers(pod: Manifest, now: datetime) -> Iterator[Diagnosis]:
    spec = pod.get("spec", {})
    containers = [*(spec.get("initContainers") or []), *spec.get("containers", [])]
    limits = {each["name"]: each.get("resources", {}).get("limits", {}) for each in containers}
    for container in container_statuses(pod):
        state = container.get("state", {})
        last = state.get("terminated") or container.get("lastState", {}).get("terminated") or {}
        report = parse_json_object(last.get("message"))
        if container["name"] == "collect" and report.get("phase") == "Waiting":
            yield Diagnosis(str(report["reason"]), to_sentence(report["message"]))
            continue
        crashing = spec.get("restartPolicy") != "Never" and _is_crashing(container, last, now)
        waiting = {"reason": "CrashLoopBackOff"} if crashing else state.get("waiting")
        if not waiting:
            continue
        diagnosis = _waiting(pod, container, waiting, last, limits.get(container["name"], {}))
        if diagnosis is not None:
            yield diagnosis


def _is_crashing(container: Mapping[str, Any], last: Mapping[str, Any], now: datetime) -> bool:
    """Returns whether a container is between its end and its next start, or in the first minutes of a restart that follows failed ones:
    a restart alone changes no diagnosis."""
    state = container.get("state", {})
    if not last or last.get("exitCode") == 0:
        return False
    if "running" not in state:
        return bool(state.get("terminated"))
    restarted = container.get("restartCount", 0) >= 2 and not container.get("ready")
    return restarted and _age_seconds(state["running"].get("startedAt"), now) < CRASH_WINDOW_SECONDS


def _waiting(
    pod: Manifest,
    container: Mapping[str, Any],
    waiting: Mapping[str, Any],
    last: Mapping[str, Any],
    limits: Mapping[str, Any],
) -> Diagnosis | None:
    reason, detail = str(waiting.get("reason", "")), str(waiting.get("message", ""))
    where = f"container '{container['name']}' of pod '{pod['metadata']['name']}'"
    namespace = pod["metadata"].get("namespace", "")
    if reason == "CreateContainerConfigError":
        return _configuration(where, namespace, detail)
    if reason == "CrashLoopBackOff":
        return _crash_loop(pod, container, where, last, limits)
    if _WAITING_REASONS.get(reason) == "ImagePullFailed":
        return Diagnosis(
            "ImagePullFailed",
            f"Image '{container.get('image')}' of {where} cannot be pulled: {detail or reason}. Check its name, and spec.imagePullSecrets if it is private.",
        )
    if reason in _WAITING_REASONS:
        return Diagnosis(_WAITING_REASONS[reason], f"The {where} cannot start: {detail or reason}.")
    return None


def _crash_loop(
    pod: Manifest, container: Mapping[str, Any], where: str, last: Mapping[str, Any], limits: Mapping[str, Any]
) -> Diagnosis:
    """Returns the termination message of a container that keeps ending. Flywheel's containers write `{"reason", "message"}`."""
    report = parse_json_object(last.get("message"))
    if report.get("reason") and report.get("message"):
        return Diagnosis(str(report["reason"]), str(report["message"]))
    if last.get("reason") == "OOMKilled":
        return Diagnosis(
            "OOMKilled",
            f"The {where} is killed each time at its limit of {limits.get('memory', 'the node')} memory; raise spec.resources.limits.memory.",
        )
    logs = f"kubectl logs {pod['metadata']['name']} -c {container['name']} --previous"
    line = last_line(last) or "it wrote no message"
    return Diagnosis(
        "CrashLoop",
        f"The {where} keeps ending, last with exit code {last.get('exitCode')}: {line}. See its logs with '{logs}'.",
    )


def _configuration(where: str, namespace: str, detail: str) -> Diagnosis:
    missing = _MISSING_OBJECT.search(detail)
    if missing:
        kind = "Secret" if missing[1] == "secret" else "ConfigMap"
        return Diagnosis(
            f"{kind}NotFound",
            f"Waiting for {kind} '{missing[2]}' in namespace '{namespace}'; create it or correct its name in the spec.",
        )
    key = re.search(r"couldn't find key (\S+) in Secret (\S+)", detail)
    if key:
        return Diagnosis(
            "SecretKeyNotFound",
            f"Secret '{key[2].split('/')[-1]}' in namespace '{namespace}' has no key '{key[1]}'; add it or correct the key in the spec.",
        )
    return Diagnosis("ConfigurationError", f"The {where} cannot be configured: {detail}.")


def _stuck_before_start(pod: Manifest, events: EventLookup, now: datetime) -> Diagnosis | None:
    """A pod is scheduled and starts no container, most often since a volume is missing; only the events say so."""
    status = pod.get("status", {})
    if status.get("phase") != "Pending" or not pod.get("spec", {}).get("nodeName"):
        return None
    states = [each.get("state", {}) for each in container_statuses(pod)]
    if any("running" in state or "terminated" in state for state in states):
        return None
    if _age_seconds(status.get("startTime") or pod["metadata"].get("creationTimestamp"), now) < START_GRACE_SECONDS:
        return None
    for event in reversed(events(str(pod["metadata"]["uid"]))):
        if event.get("reason") in ("FailedMount", "FailedAttachVolume", "FailedCreatePodSandBox"):
            return _volume(pod, str(event["reason"]), _event_message(event))
    return None


def _volume(pod: Manifest, reason: str, detail: str) -> Diagnosis:
    if _MISSING_OBJECT.search(detail):
        return _configuration("", pod["metadata"].get("namespace", ""), detail)
    return Diagnosis(reason, f"Pod '{pod['metadata']['name']}' cannot start: {detail}")


def _age_seconds(timestamp: str | None, now: datetime) -> float:
    """Returns the seconds since a timestamp of the API server; 0 without one."""
    return (now - datetime.fromisoformat(timestamp)).total_seconds() if timestamp else 0.0


def _replicas_refused(workload: Manifest) -> Diagnosis | None:
    if not is_true(workload, "ReplicaFailure"):
        return None
    return _refused(str(find_condition(workload, "ReplicaFailure").get("message", "")))


def _pods_refused(workload: Manifest, events: EventLookup, now: datetime) -> Diagnosis | None:
    """A Job has no pod, most often for a quota; only its events say so."""
    if workload.get("kind") != "Job" or workload.get("status", {}).get("active"):
        return None
    if _age_seconds(workload["metadata"].get("creationTimestamp"), now) < POD_CREATION_GRACE_SECONDS:
        return None
    for event in reversed(events(str(workload["metadata"]["uid"]))):
        if event.get("reason") == "FailedCreate":
            return _refused(_event_message(event))
    return None


def _refused(detail: str) -> Diagnosis:
    if "exceeded quota" in detail:
        return Diagnosis(
            "QuotaExceeded", f"Pods are refused by a quota: {detail}. Lower what is asked, or raise the quota."
        )
    if "serviceaccount" in detail and "not found" in detail:
        return Diagnosis(
            "RunnerNotFound",
            f"Pods are refused: {detail}. List this namespace in the chart's value 'namespaces', which makes our ServiceAccounts and the store's Secret there.",
        )
    return Diagnosis("PodsRefused", f"Pods are refused: {detail}")


def _event_message(event: Manifest) -> str:
    return str(event.get("message") or event.get("note") or "").strip()
