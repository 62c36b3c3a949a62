"""How one attempt of a step ended, read from `collect`, `fetch`, `main` and `pod.status.reason` together, never from the Job alone.

A Job can be Complete although nothing was uploaded, and Failed although the work was done. A missing message means an unknown outcome: the
attempt is repeated, and never counts as a success. images/README.md specifies the messages; tests/contracts/*.json holds golden ones.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from flywheel.core.diagnosis.pod_status import PodTermination, last_line, parse_json_object, to_sentence
from flywheel.core.resource.api import Manifest
from flywheel.core.resource.conditions import is_true

Result = Literal["Succeeded", "Failed", "Invalid", "Infrastructure"]
GRAVEST_FIRST: tuple[Result, ...] = ("Invalid", "Failed", "Infrastructure", "Succeeded")
SIGNAL_EXIT_BASE = 128  # a shell's convention, followed by container runtimes: 128 + the signal's number
# SIGILL, SIGABRT, SIGBUS, SIGFPE, SIGSEGV, SIGSYS: a fault of the program itself; no other process sends these.
CRASH_EXIT_CODES = frozenset(SIGNAL_EXIT_BASE + number for number in (4, 6, 7, 8, 11, 31))
# What the store lacks or refuses: it heals without a change of any spec.
STORE_REASONS = frozenset(("ArtifactMissing", "BucketMissing", "CredentialsRefused"))
KILLED = "Killed"  # the reason of a main that ended by a signal, where neither its pod nor its node says why
# From the kubelet's messages about a pod that exceeded its own limits (pkg/kubelet/eviction/helpers.go).
STORAGE_LIMIT_PHRASES = (
    "exceeds the limit",
    "exceeds the total limit of containers",
    "exceeded its local ephemeral storage limit",
)


@dataclass(frozen=True)
class Outcome:
    """How an attempt ended. `Failed`: the user's failure, counted. `Invalid`: it can never work. `Infrastructure`: repeated, uncounted."""

    result: Result
    reason: str
    message: str
    outputs: Mapping[str, str] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)
    usage: Mapping[str, Any] = field(default_factory=dict)
    node: str | None = None
    image: str | None = None  # of main, by digest, where the container runtime reports one
    audit: Mapping[str, Any] = field(default_factory=dict)  # number and sha256 of the audit record that collect wrote


def job_outcome(job: Manifest, pods: Sequence[Manifest]) -> Outcome | None:
    """Returns the outcome of a Job's attempt, or None while it has not ended. A later pod of the same Job takes precedence."""
    finished = is_finished(job)
    newest_first = sorted(pods, key=lambda pod: str(pod["metadata"].get("creationTimestamp", "")), reverse=True)
    ended = [pod for pod in map(PodTermination.from_manifest, newest_first) if _has_ended(pod)]
    if not finished and len(ended) < len(newest_first):
        return None
    if not finished and (not ended or ended[0].disrupted):
        return None  # the Job replaces a disrupted pod by itself
    for position, pod in enumerate(ended):
        outcome = _outcome(pod)
        if outcome is not None:
            return _repeated_failure(pod, ended[position + 1 :]) or outcome
    return unknown_outcome(job) if finished else None


def _has_ended(pod: PodTermination) -> bool:
    """Returns whether nothing of a pod is awaited. A pod's phase follows its last container by up to two seconds, so a success counts
    before, and so does a pod whose main is not let in, which would run for ever."""
    return pod.phase in ("Succeeded", "Failed") or bool(_succeeded(pod) or _store_refused(pod))


def pod_outcome(pod: Manifest) -> Outcome | None:
    """Returns the outcome of one pod that has ended, or None if it does not say."""
    return _outcome(PodTermination.from_manifest(pod))


def is_finished(job: Manifest) -> bool:
    """Returns whether a Job is Complete or Failed, which it is when all of its pods have ended."""
    return is_true(job, "Complete") or is_true(job, "Failed")


def unknown_outcome(job: Manifest) -> Outcome:
    """Returns the outcome of a Job that ended and whose pods left no report."""
    name = job["metadata"]["name"]
    return Outcome("Infrastructure", "NoMessage", f"Job '{name}' ended without a report of its pod; trying again.")


def _outcome(pod: PodTermination) -> Outcome | None:
    found = (
        _succeeded(pod)
        or _fetch_failed(pod)
        or _store_refused(pod)
        or _pruned(pod)
        or _out_of_memory(pod)
        or _storage_exceeded(pod)
        or _timed_out(pod)
        or _disrupted(pod)
        or _main_failed(pod)
        or _upload_failed(pod)
    )
    return found and replace(found, node=pod.node)


def _succeeded(pod: PodTermination) -> Outcome | None:
    """Everything is uploaded and committed, and main exited with 0; or an earlier pod of this attempt did so, and main did not run again."""
    report = pod.collect
    main_succeeded = pod.main is not None and pod.main.get("exitCode") == 0 and not report.get("timedOut")
    done_before = bool(report.get("repeated")) and pod.main is None
    if not report.get("complete") or not (main_succeeded or done_before):
        return None
    return Outcome(
        "Succeeded",
        "Succeeded",
        "",
        outputs={name: str(output["digest"]) for name, output in (report.get("outputs") or {}).items()},
        metrics=report.get("metrics") or {},
        facts=report.get("facts") or {},
        usage=_usage(pod),
        image=pod.image,
        audit=report.get("audit") or {},
    )


def _repeated_failure(pod: PodTermination, earlier: Sequence[PodTermination]) -> Outcome | None:
    """A result is committed when main has left its metrics, whatever its exit code. If main failed by itself and its pod was disrupted
    before the Job had noticed, the next pod finds that result, which is no success."""
    if not pod.collect.get("repeated"):
        return None
    failures = (_own_failure(each) for each in earlier)
    return next((failure for failure in failures if failure is not None), None)


def _own_failure(pod: PodTermination) -> Outcome | None:
    """Returns how main failed by itself, whatever happened to its pod afterwards."""
    undisrupted = replace(pod, reason=None, disrupted=False, deleted=False)
    found = _out_of_memory(pod) or _timed_out(pod) or (None if _disrupted(undisrupted) else _main_failed(pod))
    return found and replace(found, node=pod.node)


def _fetch_failed(pod: PodTermination) -> Outcome | None:
    if pod.fetch is None or pod.fetch.get("exitCode") == 0:
        return None
    report = parse_json_object(pod.fetch.get("message"))
    if not report:
        return Outcome(
            "Infrastructure",
            "FetchFailed",
            f"Container 'fetch' of pod '{pod.name}' ended with exit code {pod.fetch.get('exitCode')}{_quoted(pod.fetch)}; trying again.",
        )
    result: Result = "Infrastructure" if report.get("retry") else "Invalid"
    return Outcome(result, str(report.get("reason", "FetchFailed")), to_sentence(report.get("message")))


def _store_refused(pod: PodTermination) -> Outcome | None:
    """The store cannot take results, so collect did not let main start, and there is no fetch to report it."""
    if not pod.collect.get("refused"):
        return None
    error = pod.collect["error"]
    result: Result = "Infrastructure" if error.get("retry") else "Invalid"
    reason = "CredentialsRefused" if error["reason"] == "StoreRefused" else str(error["reason"])
    return Outcome(result, reason, to_sentence(error["message"]))


def _pruned(pod: PodTermination) -> Outcome | None:
    """Other trials were better at the same step, so collect ended main. `facts`: the last step, and its value if it is finite."""
    pruned = pod.collect.get("pruned")
    if not isinstance(pruned, dict):
        return None
    message = (pod.collect.get("error") or {}).get("message")
    return Outcome("Failed", "Pruned", to_sentence(message), facts=pruned, usage=_usage(pod))


def _out_of_memory(pod: PodTermination) -> Outcome | None:
    if pod.main is None or pod.main.get("exitCode") == 0:
        return None
    if pod.main.get("reason") != "OOMKilled" and not pod.collect.get("oomKills"):
        return None
    limit = f"its limit of {pod.memory_limit}" if pod.memory_limit else "the node's memory"
    return _main_outcome(
        pod,
        "Failed",
        "OOMKilled",
        f"needed more than {limit} of memory and was killed; raise spec.resources.limits.memory or use less.",
    )


def _storage_exceeded(pod: PodTermination) -> Outcome | None:
    """The pod was evicted for what it wrote itself, not for its node's sake, so a repeated attempt would fail the same way."""
    if not any(phrase in pod.eviction_message for phrase in STORAGE_LIMIT_PHRASES):
        return None
    return Outcome(
        "Failed",
        "StorageExceeded",
        f"Pod '{pod.name}' was evicted, since it wrote more than it may: {to_sentence(pod.eviction_message)} Write less, or raise the limit ephemeral-storage in resources.",
    )


def _timed_out(pod: PodTermination) -> Outcome | None:
    if not pod.collect.get("timedOut"):
        return None
    return _main_outcome(pod, "Failed", "TimedOut", "was stopped at its timeout; give it more time or less work.")


def _disrupted(pod: PodTermination) -> Outcome | None:
    """The pod was evicted, preempted, lost, or killed by a signal that is not a crash."""
    main = pod.main or {}
    if main.get("reason") == "StartError":
        return Outcome(
            "Invalid",
            "CannotStart",
            f"Container 'main' of pod '{pod.name}' cannot start: {last_line(main)}; correct the command or the image.",
        )
    code = int(main.get("exitCode", 0))
    killed = code > SIGNAL_EXIT_BASE and code not in CRASH_EXIT_CODES
    lost = main.get("reason") == "ContainerStatusUnknown"
    deleted = "PodDeleted" if pod.deleted else KILLED
    reason = pod.reason or ("Disrupted" if pod.disrupted else deleted if killed else "NodeLost" if lost else None)
    if reason is None:
        return None
    if reason == KILLED:
        finding = f"was ended by signal {code - SIGNAL_EXIT_BASE}, and neither its pod nor its node says why."
        return _main_outcome(pod, "Infrastructure", reason, finding)
    return Outcome("Infrastructure", reason, f"Pod '{pod.name}' was stopped from outside ({reason}); trying again.")


def _main_failed(pod: PodTermination) -> Outcome | None:
    if pod.main is None or pod.main.get("exitCode") == 0:
        return None
    code = int(pod.main["exitCode"])
    result: Result = "Invalid" if code == 2 else "Failed"
    report = parse_json_object(pod.main.get("message"))
    if report.get("reason"):
        message = to_sentence(report.get("message"))
        return Outcome(result, str(report["reason"]), message, usage=_usage(pod))
    # The last line of a user's own code is for its user. One of our steps may quote a row of the data.
    quoted = "" if pod.runs_our_step else _quoted(pod.main)
    return _main_outcome(pod, result, f"ExitCode{code}", f"ended with exit code {code}{quoted}.")


def _upload_failed(pod: PodTermination) -> Outcome | None:
    """The results of main, which succeeded, are not in the store, and collect reports why."""
    if pod.main is None or pod.collect.get("phase") != "Finished":
        return None
    unreported = {"reason": "NoMessage", "message": "collect did not say what it kept; trying again.", "retry": True}
    error = pod.collect.get("error") or unreported
    result: Result = "Infrastructure" if error.get("retry") else "Failed"
    return Outcome(result, str(error["reason"]), to_sentence(error["message"]), usage=_usage(pod))


def _main_outcome(pod: PodTermination, result: Result, reason: str, finding: str) -> Outcome:
    message = f"Container 'main' of pod '{pod.name}' {finding}"
    return Outcome(result, reason, message, usage=_usage(pod))


def _usage(pod: PodTermination) -> Mapping[str, Any]:
    return pod.collect.get("usage") or {}


def _quoted(terminated: Mapping[str, Any]) -> str:
    line = last_line(terminated)
    return f" (its last line: {line})" if line else ""
