"""How the attempt of an Indexed Job ended (core/pods/indexed_job.py), read from all of its pods.

A group of ranks is one attempt: whatever ends one rank ends the attempt. The rank that failed first gives the reason, since the others only
lost their peer. A Job with one pod for each item has as many outcomes as items.
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from statistics import fmean

from flywheel.core.diagnosis import outcome
from flywheel.core.diagnosis.outcome import GRAVEST_FIRST, Outcome
from flywheel.core.diagnosis.pod_status import PodTermination
from flywheel.core.resource.api import Manifest
from flywheel.core.resource.conditions import find_condition, is_true
from flywheel.core.resource.names import INDEX_LABEL, INDEXED_LABEL, ITEMS_ANNOTATION, LEADER_RANK

# How Job conditions name the pod whose failure ended the Job by podFailurePolicy: "Container main for pod shop/x-1-abcde failed with …".
_POD_NAME = re.compile(r"[Pp]od [a-z0-9-]+/(\S+) ")
# A rank never ends for one of these reasons because another rank ended.
_ROOT_CAUSES = frozenset(("Pruned", "OOMKilled", "TimedOut"))


def attempt_outcome(job: Manifest, pods: Sequence[Manifest]) -> Outcome | None:
    """Returns the outcome of an attempt, be it one pod, a group or many items, or None while it has not ended."""
    if job.get("spec", {}).get("suspend") and not outcome.is_finished(job):
        return None  # a queue holds it, or took it back: its pods go, and come again
    sort = job["metadata"].get("labels", {}).get(INDEXED_LABEL)
    if sort == "Group":
        return _group_outcome(job, pods)
    if sort == "Each":
        items: int = job["spec"]["completions"]
        return merge_outcomes(item_outcomes(job, pods), items) if outcome.is_finished(job) else None
    return outcome.job_outcome(job, pods)


def items_progress(job: Manifest) -> str:
    """Returns a sentence on how many items of a Job are done; empty for a Job without items."""
    if job["metadata"].get("labels", {}).get(INDEXED_LABEL) != "Each":
        return ""
    done = job.get("status", {}).get("succeeded") or 0
    return f"{done} of {job['spec']['completions']} items are done"


def item_outcomes(job: Manifest, pods: Sequence[Manifest]) -> dict[int, Outcome]:
    """Returns the outcome of each item that has ended, by its number. Once the Job is finished, every item has one."""
    numbers: list[int] = json.loads(job["metadata"]["annotations"][ITEMS_ANNOTATION])
    if job.get("spec", {}).get("suspend") and not outcome.is_finished(job):
        return {}
    pods_of = pods_by_index(pods)
    # Each item is read as if it had the whole Job to itself, so none is left without an outcome once the Job is finished.
    found = {number: outcome.job_outcome(job, pods_of.get(index, [])) for index, number in enumerate(numbers)}
    return {number: each for number, each in found.items() if each is not None}


def merge_outcomes(outcomes: Mapping[int, Outcome], items: int) -> Outcome:
    """Returns one outcome for all items: a success where all are, with every item's outputs as `<output>-<item>` and the means of their
    metrics; else the gravest one, with the number of items that did not succeed."""
    bad = {number: each for number, each in outcomes.items() if each.result != "Succeeded"}
    if not bad and len(outcomes) == items:
        return Outcome("Succeeded", "Succeeded", "", _outputs(outcomes), mean_metrics(outcomes.values()))
    if not bad:
        message = f"{items - len(outcomes)} of {items} items have not ended; trying again."
        return Outcome("Infrastructure", "NoMessage", message)
    number, worst = min(bad.items(), key=lambda pair: (GRAVEST_FIRST.index(pair[1].result), pair[0]))
    return replace(worst, message=f"{len(bad)} of {items} items did not succeed; item {number}: {worst.message}")


def _outputs(outcomes: Mapping[int, Outcome]) -> dict[str, str]:
    return {
        f"{name}-{item}": digest
        for item, each in outcomes.items()
        for name, digest in each.outputs.items()
        if name != "tracking"
    }


def mean_metrics(outcomes: Iterable[Outcome]) -> dict[str, float]:
    """Returns the means of the metrics that every outcome has."""
    every = [each.metrics for each in outcomes]
    shared = [name for name in every[0] if all(name in metrics for metrics in every)] if every else []
    return {name: fmean(metrics[name] for metrics in every) for name in shared}


def pods_by_index(pods: Sequence[Manifest]) -> dict[int, list[Manifest]]:
    """Returns the pods of one Indexed Job by their completion index."""
    found: dict[int, list[Manifest]] = {}
    for pod in pods:
        index = _index(pod)
        if index is not None:
            found.setdefault(int(index), []).append(pod)
    return found


def _index(pod: Manifest) -> str | None:
    index: str | None = pod["metadata"].get("labels", {}).get(INDEX_LABEL)
    return index


def _group_outcome(job: Manifest, pods: Sequence[Manifest]) -> Outcome | None:
    done = _leader_outcome(job, pods_by_index(pods).get(LEADER_RANK, ()))
    if done is not None:
        return done
    failure, finished = _failure(job), outcome.is_finished(job)
    failed = [pod for pod in pods if pod.get("status", {}).get("phase") == "Failed"]
    if not failure and not finished:
        removed = [pod for pod in pods if "deletionTimestamp" in pod["metadata"]]
        # The Job removes ranks too, after one has failed and before its condition says so.
        if removed and all(pod in removed for pod in failed):
            return _rank_lost(removed[0])
    culprit = _culprit(failure)
    # A pod fails too if its main ended the container watch, and then did its work: that says nothing of the group.
    outcomes = [
        (pod, found)
        for pod in failed
        if (found := outcome.pod_outcome(pod)) is not None and found.result != "Succeeded"
    ]
    telling = [
        (pod, found)
        for pod, found in outcomes
        if pod["metadata"]["name"] == culprit or found.reason in _ROOT_CAUSES or not _was_removed_by_job(pod, failure)
    ]
    for pod, found in telling:
        if found.result == "Infrastructure":
            return _with_rank(pod, found)
    if not finished:
        return None  # a rank that failed may only have lost a peer that has not reported yet
    if not telling:
        return _outcome_without_pods(job, failure)
    return _with_rank(*min(telling, key=lambda pair: _order_of_failure(pair[0], pair[1], culprit)))


def _order_of_failure(pod: Manifest, found: Outcome, culprit: str | None) -> tuple[bool, str, bool]:
    """Sorts ranks by which one failed first. Times are whole seconds, so the rank that ended the Job goes before its equals."""
    return found.reason not in _ROOT_CAUSES, _ended_at(pod), pod["metadata"]["name"] != culprit


def _leader_outcome(job: Manifest, leaders: Sequence[Manifest]) -> Outcome | None:
    """Returns the outcome if all ranks have succeeded, or an earlier Job of this attempt has."""
    complete = is_true(job, "Complete")
    for pod in leaders:
        if pod.get("status", {}).get("phase") not in ("Succeeded", "Failed"):
            continue
        found = outcome.pod_outcome(pod)
        if found is not None and (
            complete or (found.result == "Succeeded" and PodTermination.from_manifest(pod).collect.get("repeated"))
        ):
            return found
    return outcome.unknown_outcome(job) if complete else None


def _failure(job: Manifest) -> Manifest:
    """Returns the Job's condition FailureTarget, or Failed, or an empty mapping."""
    return next((find_condition(job, type_) for type_ in ("FailureTarget", "Failed") if is_true(job, type_)), {})


def _culprit(failure: Manifest) -> str | None:
    found = _POD_NAME.search(str(failure.get("message", "")))
    return found[1] if found else None


def _was_removed_by_job(pod: Manifest, failure: Manifest) -> bool:
    """Returns whether the Job removed a pod because another one had failed. How such a pod ended says nothing."""
    metadata, failed_at = pod["metadata"], str(failure.get("lastTransitionTime") or "")
    if "deletionTimestamp" not in metadata:
        return False
    if not failed_at:
        return True  # the Job's condition does not say so yet
    grace = timedelta(seconds=metadata.get("deletionGracePeriodSeconds") or 0)
    deleted_at = datetime.fromisoformat(metadata["deletionTimestamp"]) - grace
    ended_at = _ended_at(pod)
    ended_before = bool(ended_at) and datetime.fromisoformat(ended_at) < deleted_at
    return deleted_at >= datetime.fromisoformat(failed_at) and not ended_before


def _rank_lost(pod: Manifest) -> Outcome:
    return Outcome(
        "Infrastructure",
        "RankLost",
        f"Rank {_index(pod)} (pod '{pod['metadata']['name']}') was removed while it worked, and the others cannot go on without it; all of them start again.",
    )


def _with_rank(pod: Manifest, found: Outcome) -> Outcome:
    return replace(found, message=f"Rank {_index(pod)}: {found.message}")


def _outcome_without_pods(job: Manifest, failure: Manifest) -> Outcome:
    """Returns what the Job says of the pod that ended it. Without its pods it counts as a fault of the infrastructure."""
    message = str(failure.get("message") or "").strip()
    if not message:
        return outcome.unknown_outcome(job)
    return Outcome("Infrastructure", "RankLost", f"Job '{job['metadata']['name']}' ended: {message}; trying again.")


def _ended_at(pod: Manifest) -> str:
    """Returns when main ended; where it never ran, when fetch did."""
    pod_ended = PodTermination.from_manifest(pod)
    return str((pod_ended.main or pod_ended.fetch or {}).get("finishedAt") or "")
