"""How the Indexed Job of a spread step ended (core/spread.py), read from all of its pods.

A group is one attempt: whatever lost a rank lost the attempt, and the rank that failed first says why, since the others only miss it.
A Job for each item is as many outcomes as items.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from statistics import fmean
from typing import Any

from flywheel.core.diagnosis import outcome
from flywheel.core.diagnosis.outcome import Outcome
from flywheel.core.diagnosis.pod_status import parse_json_object
from flywheel.core.pods.indexed_job import INDEX_LABEL, INDEXED_LABEL, ITEMS_ANNOTATION, LEADER_RANK
from flywheel.core.resource.api import Manifest

# How Job conditions name the pod that made a rule of podFailurePolicy end the Job: "Container main for pod shop/x-1-abcde failed with …".
_NAMED = re.compile(r"[Pp]od [a-z0-9-]+/(\S+) ")


def attempt_outcome(job: Manifest, pods: Sequence[Manifest]) -> Outcome | None:
    """The outcome of an attempt, be it one pod, a group or many items, or None while it has not ended. `read_each` tells of each item."""
    if job.get("spec", {}).get("suspend") and not outcome.is_finished(job):
        return None  # a queue holds it, or took it back: its pods go, and come again
    spread = job["metadata"].get("labels", {}).get(INDEXED_LABEL)
    if spread == "Group":
        return _read_group(job, pods)
    if spread == "Each":
        return (
            merge_outcomes(item_outcomes(job, pods), job["spec"]["completions"]) if outcome.is_finished(job) else None
        )
    return outcome.job_outcome(job, pods)


def items_progress(job: Manifest) -> str:
    """How far a Job of many items is, in words; nothing to say of any other."""
    if job["metadata"].get("labels", {}).get(INDEXED_LABEL) != "Each":
        return ""
    done = job.get("status", {}).get("succeeded") or 0
    return f"{done} of {job['spec']['completions']} items are done"


def item_outcomes(job: Manifest, pods: Sequence[Manifest]) -> dict[int, Outcome]:
    """The outcome of each item that has ended, by its number. Once the Job is over, every item has one."""
    numbers: list[int] = json.loads(job["metadata"]["annotations"][ITEMS_ANNOTATION])
    held, over = job.get("spec", {}).get("suspend"), outcome.is_finished(job)
    found: dict[int, Outcome] = {}
    for index, number in enumerate(numbers):
        # The item's own Job, as it were: over when this one is. Then no item is left without an outcome.
        ended = None if held and not over else outcome.job_outcome(job, pods_by_index(pods).get(index, []))
        if ended is not None:
            found[number] = ended
    return found


def merge_outcomes(outcomes: Mapping[int, Outcome], items: int) -> Outcome:
    """One outcome for all items: a success where all are, with every item's outputs as `<output>-<item>` and the means of their metrics;
    else the gravest, with how many there are that did not succeed."""
    bad = {number: each for number, each in outcomes.items() if each.result != "Succeeded"}
    if not bad and len(outcomes) == items:
        return Outcome("Succeeded", "Succeeded", "", _outputs(outcomes), _means(outcomes))
    if not bad:
        words = f"{items - len(outcomes)} of {items} items have not ended; trying again."
        return Outcome("Infrastructure", "NoMessage", words)
    number, worst = min(bad.items(), key=lambda pair: (_GRAVEST.index(pair[1].result), pair[0]))
    return replace(worst, message=f"{len(bad)} of {items} items did not succeed; item {number}: {worst.message}")


def _outputs(outcomes: Mapping[int, Outcome]) -> dict[str, str]:
    return {
        f"{name}-{item}": digest
        for item, each in outcomes.items()
        for name, digest in each.outputs.items()
        if name != "tracking"
    }


def _means(outcomes: Mapping[int, Outcome]) -> dict[str, float]:
    """Of the metrics that every item has."""
    every = [each.metrics for each in outcomes.values()]
    shared = [name for name in every[0] if all(name in metrics for metrics in every)] if every else []
    return {name: fmean(metrics[name] for metrics in every) for name in shared}


_GRAVEST = ("Invalid", "Failed", "Infrastructure", "Succeeded")


def pods_by_index(pods: Sequence[Manifest]) -> dict[int, list[Manifest]]:
    """Pods of one Indexed Job by their completion index."""
    found: dict[int, list[Manifest]] = {}
    for pod in pods:
        index = pod["metadata"].get("labels", {}).get(INDEX_LABEL)
        if index is not None:
            found.setdefault(int(index), []).append(pod)
    return found


def _read_group(job: Manifest, pods: Sequence[Manifest]) -> Outcome | None:
    ranks = pods_by_index(pods)
    done = _leader_is_done(job, ranks)
    if done is not None:
        return done
    failing, over = _failure(job), outcome.is_finished(job)
    failed = [pod for pod in pods if pod.get("status", {}).get("phase") == "Failed"]
    if not failing and not over:
        gone = [pod for pod in pods if "deletionTimestamp" in pod["metadata"]]
        # The Job removes ranks too, after one has failed and before it says so.
        if gone and all(pod in gone for pod in failed):
            return _lost(gone[0])
    named = _named(failing)
    read_all = [(pod, found) for pod, found in ((pod, outcome.pod_outcome(pod)) for pod in failed) if found is not None]
    told = [
        (pod, found)
        for pod, found in read_all
        if pod["metadata"]["name"] == named or found.reason in _CAUSES or not _swept(pod, failing)
    ]
    for pod, found in told:
        if found.result == "Infrastructure":
            return _of_rank(pod, found)
    if not over:
        return None  # a rank that failed may only miss another one, which has not reported yet
    if not told:
        return _unseen(job, failing)
    return _of_rank(*min(told, key=lambda pair: _when(pair[0], pair[1], named)))


# No rank comes to these by the end of another one.
_CAUSES = frozenset(("Pruned", "OOMKilled", "TimedOut"))


def _when(pod: Manifest, found: Outcome, named: str | None) -> tuple[bool, str, bool]:
    """Sorts ranks by who speaks first. Times are whole seconds, so the one that ended the Job goes before its equals."""
    return found.reason not in _CAUSES, _ended_at(pod), pod["metadata"]["name"] != named


def _leader_is_done(job: Manifest, ranks: Mapping[int, Sequence[Manifest]]) -> Outcome | None:
    """All ranks are done, or an earlier Job of this attempt was."""
    complete = any(
        each["type"] == "Complete" and each["status"] == "True"
        for each in job.get("status", {}).get("conditions") or []
    )
    for pod in ranks.get(LEADER_RANK, ()):
        if pod.get("status", {}).get("phase") not in ("Succeeded", "Failed"):
            continue
        found = outcome.pod_outcome(pod)
        if found is not None and (complete or (found.result == "Succeeded" and _is_repeated(pod))):
            return found
    return outcome.unknown_outcome(job) if complete else None


def _is_repeated(pod: Manifest) -> bool:
    states = {each["name"]: each.get("state", {}) for each in pod["status"].get("initContainerStatuses") or []}
    ended = states.get("collect", {}).get("terminated") or {}
    return bool(parse_json_object(ended.get("message")).get("repeated"))


def _failure(job: Manifest) -> Mapping[str, Any]:
    """The Job's condition FailureTarget, or Failed, or nothing."""
    conditions = {
        each["type"]: each for each in job.get("status", {}).get("conditions") or [] if each["status"] == "True"
    }
    found: Mapping[str, Any] = conditions.get("FailureTarget") or conditions.get("Failed") or {}
    return found


def _named(failure: Mapping[str, Any]) -> str | None:
    found = _NAMED.search(str(failure.get("message", "")))
    return found[1] if found else None


def _swept(pod: Manifest, failure: Mapping[str, Any]) -> bool:
    """The Job removes the other pods when one has failed; how they end then tells nothing."""
    metadata, since = pod["metadata"], str(failure.get("lastTransitionTime") or "")
    if "deletionTimestamp" not in metadata:
        return False
    if not since:
        return True  # it has not said so yet
    grace = timedelta(seconds=metadata.get("deletionGracePeriodSeconds") or 0)
    asked = datetime.fromisoformat(metadata["deletionTimestamp"]) - grace
    ended = _ended_at(pod)
    by_itself = bool(ended) and datetime.fromisoformat(ended) < asked
    return asked >= datetime.fromisoformat(since) and not by_itself


def _lost(pod: Manifest) -> Outcome:
    rank, name = pod["metadata"].get("labels", {}).get(INDEX_LABEL), pod["metadata"]["name"]
    return Outcome(
        "Infrastructure",
        "RankLost",
        f"Rank {rank} (pod '{name}') was removed while it worked, and the others cannot go on without it; all of them start again.",
    )


def _of_rank(pod: Manifest, found: Outcome) -> Outcome:
    rank = pod["metadata"].get("labels", {}).get(INDEX_LABEL)
    return replace(found, message=f"Rank {rank}: {found.message}")


def _unseen(job: Manifest, failure: Mapping[str, Any]) -> Outcome:
    """No pod is left to ask: what the Job says of the one that ended it, as infrastructure, since nobody knows better."""
    words = str(failure.get("message") or "").strip()
    if not words:
        return outcome.unknown_outcome(job)
    return Outcome("Infrastructure", "RankLost", f"Job '{job['metadata']['name']}' ended: {words}; trying again.")


def _ended_at(pod: Manifest) -> str:
    """When main ended; where it never ran, when fetch did."""
    status = pod.get("status", {})
    for container in [*(status.get("containerStatuses") or []), *(status.get("initContainerStatuses") or [])]:
        ended = container.get("state", {}).get("terminated")
        if container["name"] in ("main", "fetch") and ended:
            return str(ended.get("finishedAt") or "")
    return ""
