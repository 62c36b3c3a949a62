"""Why a Job or a Deployment that should run does not: found by looking at all pods, all their containers, and Kubernetes' events.

A diagnosis is not yet a failure: a missing Secret may be created in the next second. So it is told while it lasts, in words with a next step.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from flywheel.core.diagnosis.pod_status import parse_json_object
from flywheel.core.resource.api import Manifest

EventLookup = Callable[[str], Sequence[Manifest]]  # the events of one object, by uid


@dataclass(frozen=True)
class Diagnosis:
    """What stands in the way, in one CamelCase word and one sentence."""

    reason: str
    message: str


_WAITING = {
    "ErrImagePull": "ImagePullFailed",
    "ImagePullBackOff": "ImagePullFailed",
    "ErrImageNeverPull": "ImagePullFailed",
    "InvalidImageName": "ImageNameInvalid",
    "RunContainerError": "CannotStart",
    "CreateContainerError": "CannotStart",
    "CrashLoopBackOff": "CrashLoop",
}


def diagnose(workload: Manifest, pods: Sequence[Manifest], events: EventLookup, now: datetime) -> Diagnosis | None:
    """The first thing that stands in the way, or None. Asks for events only where the objects themselves do not tell."""
    for pod in sorted(pods, key=lambda pod: str(pod["metadata"]["name"])):
        diagnosis = _unschedulable(pod) or next(_of_containers(pod, now), None) or _stuck_before_start(pod, events, now)
        if diagnosis is not None:
            return diagnosis
    return _replicas_refused(workload) or (None if pods else _pods_refused(workload, events, now))


def _unschedulable(pod: Manifest) -> Diagnosis | None:
    for condition in pod.get("status", {}).get("conditions") or []:
        if (
            condition["type"] == "PodScheduled"
            and condition["status"] == "False"
            and condition.get("reason") == "Unschedulable"
        ):
            since = str(condition.get("lastTransitionTime", ""))[11:16]
            return Diagnosis(
                "Unschedulable",
                f"Pod '{pod['metadata']['name']}' fits on no node: {condition.get('message', 'no reason given')} It asks for {_asked(pod)}; waiting since {since} UTC. Lower what is asked or add a node.",
            )
    return None


def _asked(pod: Manifest) -> str:
    asked: list[str] = []
    for container in pod.get("spec", {}).get("containers", []):
        resources = container.get("resources", {})
        asked += [
            f"{value} {name}"
            for name, value in sorted({**resources.get("limits", {}), **resources.get("requests", {})}.items())
        ]
    return ", ".join(asked) or "nothing in particular"


def _of_containers(pod: Manifest, now: datetime) -> Iterator[Diagnosis]:
    status = pod.get("status", {})
    spec = pod.get("spec", {})
    containers = [*(spec.get("initContainers") or []), *spec.get("containers", [])]
    limits = {each["name"]: each.get("resources", {}).get("limits", {}) for each in containers}
    for container in [*(status.get("initContainerStatuses") or []), *(status.get("containerStatuses") or [])]:
        state = container.get("state", {})
        last = state.get("terminated") or container.get("lastState", {}).get("terminated") or {}
        crashes = pod.get("spec", {}).get("restartPolicy") != "Never" and _crashes(container, last, now)
        waiting = {"reason": "CrashLoopBackOff"} if crashes else state.get("waiting")
        if not waiting:
            continue
        diagnosis = _waiting(pod, container, waiting, last, limits.get(container["name"], {}))
        if diagnosis is not None:
            yield diagnosis


def _crashes(container: Mapping[str, Any], last: Mapping[str, Any], now: datetime) -> bool:
    """Between its end and its next start, and in the first minutes of a try that follows failed ones: a try alone changes no finding."""
    state = container.get("state", {})
    if not last or last.get("exitCode") == 0:
        return False
    if "running" not in state:
        return bool(state.get("terminated"))
    again = container.get("restartCount", 0) >= 2 and not container.get("ready")
    return again and _age(str(state["running"].get("startedAt") or ""), now) < 120


def _waiting(
    pod: Manifest,
    container: Mapping[str, Any],
    waiting: Mapping[str, Any],
    last: Mapping[str, Any],
    limits: Mapping[str, Any],
) -> Diagnosis | None:
    reason, words = str(waiting.get("reason", "")), str(waiting.get("message", ""))
    where = f"container '{container['name']}' of pod '{pod['metadata']['name']}'"
    namespace = pod["metadata"].get("namespace", "")
    if reason == "CreateContainerConfigError":
        return _configuration(where, namespace, words)
    if reason == "CrashLoopBackOff":
        return _crashed(pod, container, where, last, limits)
    if _WAITING.get(reason) == "ImagePullFailed":
        return Diagnosis(
            "ImagePullFailed",
            f"Image '{container.get('image')}' of {where} cannot be pulled: {words or reason}. Check its name, and spec.imagePullSecrets if it is private.",
        )
    if reason in _WAITING:
        return Diagnosis(_WAITING[reason], f"The {where} cannot start: {words or reason}.")
    return None


def _crashed(
    pod: Manifest, container: Mapping[str, Any], where: str, last: Mapping[str, Any], limits: Mapping[str, Any]
) -> Diagnosis:
    """What a container that ends again and again said last; ours say it as `{"reason", "message"}`."""
    told = parse_json_object(last.get("message"))
    if told.get("reason") and told.get("message"):
        return Diagnosis(str(told["reason"]), str(told["message"]))
    if last.get("reason") == "OOMKilled":
        return Diagnosis(
            "OOMKilled",
            f"The {where} is killed each time at its limit of {limits.get('memory', 'the node')} memory; raise spec.resources.limits.memory.",
        )
    logs = f"kubectl logs {pod['metadata']['name']} -c {container['name']} --previous"
    return Diagnosis(
        "CrashLoop",
        f"The {where} ends again and again, at last with exit code {last.get('exitCode')}: {_last_line(last)} See its logs with '{logs}'.",
    )


def _configuration(where: str, namespace: str, words: str) -> Diagnosis:
    missing = re.search(r'(secret|configmap) "([^"]+)" not found', words)
    if missing and missing[1] == "secret":
        return Diagnosis(
            "SecretNotFound",
            f"Waiting for Secret '{missing[2]}' in namespace '{namespace}'; create it or correct its name in the spec.",
        )
    if missing:
        return Diagnosis(
            "ConfigMapNotFound",
            f"Waiting for ConfigMap '{missing[2]}' in namespace '{namespace}'; create it or correct its name in the spec.",
        )
    key = re.search(r"couldn't find key (\S+) in Secret (\S+)", words)
    if key:
        return Diagnosis(
            "SecretKeyNotFound",
            f"Secret '{key[2].split('/')[-1]}' in namespace '{namespace}' has no key '{key[1]}'; add it or correct the key in the spec.",
        )
    return Diagnosis("ConfigurationError", f"The {where} cannot be configured: {words}.")


def _last_line(terminated: Mapping[str, Any]) -> str:
    lines = str(terminated.get("message") or "").strip().splitlines()
    return f"{lines[-1].strip()[:300]}." if lines else "it left no words."


def _stuck_before_start(pod: Manifest, events: EventLookup, now: datetime) -> Diagnosis | None:
    """A pod that is scheduled and yet starts no container for 20 s: a volume that is missing, most often; only the events tell."""
    status = pod.get("status", {})
    if status.get("phase") != "Pending" or not pod.get("spec", {}).get("nodeName"):
        return None
    states = [
        each.get("state", {})
        for each in [*(status.get("initContainerStatuses") or []), *(status.get("containerStatuses") or [])]
    ]
    if any("running" in state or "terminated" in state for state in states):
        return None
    if _age(str(status.get("startTime") or pod["metadata"].get("creationTimestamp") or ""), now) < 20:
        return None
    for event in reversed(events(str(pod["metadata"]["uid"]))):
        if event.get("reason") in ("FailedMount", "FailedAttachVolume", "FailedCreatePodSandBox"):
            return Diagnosis(str(event["reason"]), f"Pod '{pod['metadata']['name']}' cannot start: {_words(event)}")
    return None


def _age(stamp: str, now: datetime) -> float:
    """Seconds since a timestamp of the API server; 0 where there is none."""
    return (now - datetime.fromisoformat(stamp.replace("Z", "+00:00"))).total_seconds() if stamp else 0.0


def _replicas_refused(workload: Manifest) -> Diagnosis | None:
    for condition in workload.get("status", {}).get("conditions") or []:
        if condition["type"] == "ReplicaFailure" and condition["status"] == "True":
            return _refused(str(condition.get("message", "")))
    return None


def _pods_refused(workload: Manifest, events: EventLookup, now: datetime) -> Diagnosis | None:
    """A Job that has no pod after 3 s: a quota, most often; only its events tell."""
    if workload.get("kind") != "Job" or workload.get("status", {}).get("active"):
        return None
    if _age(str(workload["metadata"].get("creationTimestamp") or ""), now) < 3:
        return None
    for event in reversed(events(str(workload["metadata"]["uid"]))):
        if event.get("reason") == "FailedCreate":
            return _refused(_words(event))
    return None


def _refused(words: str) -> Diagnosis:
    if "exceeded quota" in words:
        return Diagnosis(
            "QuotaExceeded", f"Pods are refused by a quota: {words}. Lower what is asked, or raise the quota."
        )
    if "serviceaccount" in words and "not found" in words:
        return Diagnosis(
            "RunnerNotFound",
            f"Pods are refused: {words}. List this namespace in the chart's value 'namespaces', which makes our ServiceAccounts and the store's Secret there.",
        )
    return Diagnosis("PodsRefused", f"Pods are refused: {words}")


def _words(event: Manifest) -> str:
    return str(event.get("message") or event.get("note") or "").strip()
