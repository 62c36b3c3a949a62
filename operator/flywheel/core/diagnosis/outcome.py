"""How one attempt of a step ended, read from `collect`, `fetch`, `main` and `pod.status.reason` together, never from the Job alone.

A Job can be Complete although nothing was uploaded, and Failed although the work was done. No message means unknown: try again, never success.
The messages are the contract of images/README.md; tests/contracts/*.json holds golden ones.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from flywheel.core.diagnosis.pod_status import PodTermination, parse_json_object
from flywheel.core.resource.api import Manifest

Result = Literal["Succeeded", "Failed", "Invalid", "Infrastructure"]
# SIGILL, SIGABRT, SIGBUS, SIGFPE, SIGSEGV, SIGSYS: nobody sends these; the program's own fault brings them about.
CRASH_EXIT_CODES = frozenset(128 + number for number in (4, 6, 7, 8, 11, 31))
# The kubelet's words about a pod that broke limits of its own (pkg/kubelet/eviction/helpers.go).
STORAGE_LIMIT_PHRASES = (
    "exceeds the limit",
    "exceeds the total limit of containers",
    "exceeded its local ephemeral storage limit",
)
SIGNAL_EXIT_BASE = 128  # a shell's convention, kept by container runtimes: 128 + the signal's number


@dataclass(frozen=True)
class Outcome:
    """`Failed`: the user's failure, counted. `Invalid`: it can never work. `Infrastructure`: try again, uncounted."""

    result: Result
    reason: str
    message: str
    outputs: Mapping[str, str] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)
    usage: Mapping[str, Any] = field(default_factory=dict)
    node: str | None = None
    image: str | None = None  # of main, by digest, where the container runtime tells one
    audit: Mapping[str, Any] = field(default_factory=dict)  # the number and sha256 of the record that collect wrote


def job_outcome(job: Manifest, pods: Sequence[Manifest]) -> Outcome | None:
    """The outcome of a Job's attempt, or None while it has not ended. A later pod of the same Job speaks first."""
    over = is_finished(job)
    newest_first = sorted(pods, key=lambda pod: str(pod["metadata"].get("creationTimestamp", "")), reverse=True)
    ended = [end for end in map(PodTermination.of, newest_first) if _has_ended(end)]
    if not over and len(ended) < len(newest_first):
        return None
    if not over and (not ended or ended[0].disrupted):
        return None  # the Job replaces a disrupted pod by itself
    for pod in ended:
        outcome = _outcome(pod)
        if outcome is not None:
            return outcome
    return unknown_outcome(job) if over else None


def _has_ended(pod: PodTermination) -> bool:
    """A pod's phase follows its last container by up to two seconds, and a success has nothing more to say.
    One whose main is not let in would try for ever."""
    return pod.phase in ("Succeeded", "Failed") or bool(_was_done(pod) or _refused(pod))


def pod_outcome(pod: Manifest) -> Outcome | None:
    """What one pod that has ended tells, or None if it tells nothing."""
    return _outcome(PodTermination.of(pod))


def is_finished(job: Manifest) -> bool:
    """Whether a Job is Complete or Failed, which it is when all of its pods have ended."""
    conditions = job.get("status", {}).get("conditions") or []
    return any(
        condition["type"] in ("Complete", "Failed") and condition["status"] == "True" for condition in conditions
    )


def unknown_outcome(job: Manifest) -> Outcome:
    """Of a Job that ended and of whose pods nobody knows anything."""
    name = job["metadata"]["name"]
    return Outcome("Infrastructure", "NoMessage", f"Job '{name}' ended without a report of its pod; trying again.")


def _outcome(pod: PodTermination) -> Outcome | None:
    return (
        _was_done(pod)
        or _fetch_failed(pod)
        or _refused(pod)
        or _was_pruned(pod)
        or _ran_out_of_memory(pod)
        or _wrote_too_much(pod)
        or _took_too_long(pod)
        or _was_disrupted(pod)
        or _main_failed(pod)
        or _was_not_kept(pod)
    )


def _was_done(pod: PodTermination) -> Outcome | None:
    """All is uploaded and committed, and main said so itself; or it was done by an earlier pod of this attempt."""
    main_is_done = pod.main is not None and pod.main.get("exitCode") == 0 and not pod.collect.get("timedOut")
    if not pod.collect.get("complete") or not (main_is_done or pod.collect.get("repeated")):
        return None
    told = pod.collect
    outputs = {name: str(output["digest"]) for name, output in (told.get("outputs") or {}).items()}
    return Outcome(
        "Succeeded",
        "Succeeded",
        "",
        outputs,
        told.get("metrics") or {},
        told.get("facts") or {},
        _usage(pod),
        pod.node,
        pod.image,
        told.get("audit") or {},
    )


def _fetch_failed(pod: PodTermination) -> Outcome | None:
    if pod.fetch is None or pod.fetch.get("exitCode") == 0:
        return None
    told = parse_json_object(pod.fetch.get("message"))
    if not told:
        return Outcome(
            "Infrastructure",
            "FetchFailed",
            f"Container 'fetch' of pod '{pod.name}' ended with exit code {pod.fetch.get('exitCode')}{_last_line(pod.fetch)}; trying again.",
            node=pod.node,
        )
    result: Result = "Infrastructure" if told.get("retry") else "Invalid"
    return Outcome(result, str(told.get("reason", "FetchFailed")), _sentence(told.get("message")), node=pod.node)


def _refused(pod: PodTermination) -> Outcome | None:
    """collect did not let main in, since the store cannot take results, and no fetch is there to say so."""
    if not pod.collect.get("refused"):
        return None
    error = pod.collect["error"]
    result: Result = "Infrastructure" if error.get("retry") else "Invalid"
    reason = "CredentialsRefused" if error["reason"] == "StoreRefused" else str(error["reason"])
    return Outcome(result, reason, _sentence(error["message"]), node=pod.node)


def _was_pruned(pod: PodTermination) -> Outcome | None:
    """collect ended main, since others were better at the same step. `facts`: the last step, and its value if it is finite."""
    told = pod.collect.get("pruned")
    if not isinstance(told, dict):
        return None
    why = (pod.collect.get("error") or {}).get("message")
    return Outcome("Failed", "Pruned", _sentence(why), facts=told, usage=_usage(pod), node=pod.node)


def _ran_out_of_memory(pod: PodTermination) -> Outcome | None:
    if pod.main is None or pod.main.get("exitCode") == 0:
        return None
    if pod.main.get("reason") != "OOMKilled" and not pod.collect.get("oomKills"):
        return None
    limit = f"its limit of {pod.memory_limit}" if pod.memory_limit else "the node's memory"
    return Outcome(
        "Failed",
        "OOMKilled",
        f"Container 'main' of pod '{pod.name}' needed more than {limit} of memory and was killed; raise spec.resources.limits.memory or use less.",
        usage=_usage(pod),
        node=pod.node,
    )


def _wrote_too_much(pod: PodTermination) -> Outcome | None:
    """Evicted for what it wrote itself, and not for its node's sake: it would write that again."""
    if not any(words in pod.evicted_for for words in STORAGE_LIMIT_PHRASES):
        return None
    return Outcome(
        "Failed",
        "StorageExceeded",
        f"Pod '{pod.name}' was evicted, since it wrote more than it may: {_sentence(pod.evicted_for)} Write less, or raise the limit ephemeral-storage in resources.",
        node=pod.node,
    )


def _took_too_long(pod: PodTermination) -> Outcome | None:
    if not pod.collect.get("timedOut"):
        return None
    return Outcome(
        "Failed",
        "TimedOut",
        f"Container 'main' of pod '{pod.name}' was stopped at its timeout; give it more time or less work.",
        usage=_usage(pod),
        node=pod.node,
    )


def _was_disrupted(pod: PodTermination) -> Outcome | None:
    """Evicted, preempted, lost, or killed by a signal that was not ours."""
    main = pod.main or {}
    if main.get("reason") == "StartError":
        return Outcome(
            "Invalid",
            "CannotStart",
            f"Container 'main' of pod '{pod.name}' cannot start: {_line(main)}; correct the command or the image.",
            node=pod.node,
        )
    code = int(main.get("exitCode", 0))
    killed = code > SIGNAL_EXIT_BASE and code not in CRASH_EXIT_CODES
    lost = main.get("reason") == "ContainerStatusUnknown"
    reason = pod.reason or ("Disrupted" if pod.disrupted else "Killed" if killed else "NodeLost" if lost else None)
    if reason is None:
        return None
    return Outcome(
        "Infrastructure", reason, f"Pod '{pod.name}' was stopped from outside ({reason}); trying again.", node=pod.node
    )


def _main_failed(pod: PodTermination) -> Outcome | None:
    if pod.main is None or pod.main.get("exitCode") == 0:
        return None
    code = int(pod.main["exitCode"])
    told = parse_json_object(pod.main.get("message"))
    result: Result = "Invalid" if code == 2 else "Failed"
    if told.get("reason"):
        return Outcome(result, str(told["reason"]), _sentence(told.get("message")), usage=_usage(pod), node=pod.node)
    return Outcome(
        result,
        f"ExitCode{code}",
        f"Container 'main' of pod '{pod.name}' ended with exit code {code}{_last_line(pod.main)}.",
        usage=_usage(pod),
        node=pod.node,
    )


def _was_not_kept(pod: PodTermination) -> Outcome | None:
    """main is done, and collect says why its work is not in the store."""
    if pod.main is None or pod.collect.get("phase") != "Finished":
        return None
    silent = {"reason": "NoMessage", "message": "collect did not say what it kept; trying again.", "retry": True}
    error = pod.collect.get("error") or silent
    result: Result = "Infrastructure" if error.get("retry") else "Failed"
    return Outcome(result, str(error["reason"]), _sentence(error["message"]), usage=_usage(pod), node=pod.node)


def _usage(pod: PodTermination) -> Mapping[str, Any]:
    return pod.collect.get("usage") or {}


def _line(state: Mapping[str, Any]) -> str:
    lines = [line for line in str(state.get("message") or "").strip().splitlines() if line.strip()]
    return lines[-1].strip()[:300] if lines else ""


def _last_line(state: Mapping[str, Any]) -> str:
    line = _line(state)
    return f" (its last words: {line})" if line else ""


def _sentence(words: object) -> str:
    """Other words may follow it."""
    text = str(words or "").strip()
    return text if text.endswith((".", "!", "?")) or not text else f"{text}."
