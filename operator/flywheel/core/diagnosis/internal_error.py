"""A fault of Flywheel's own code in a pod: it is shown at once, tried again a few times, and final then."""

from collections.abc import Sequence
from dataclasses import replace

from flywheel.core.diagnosis.outcome import Outcome
from flywheel.core.diagnosis.pod_status import container_statuses, parse_json_object, to_sentence
from flywheel.core.resource import names
from flywheel.core.resource.api import Manifest

INTERNAL_ERROR = "InternalError"
MAX_TRIES = 5  # with the pauses of `backoff`, five minutes


def bound_internal_error(outcome: Outcome, internal_errors: int | None) -> tuple[Outcome, int | None]:
    """Returns the outcome of an attempt, and how many attempts at the same work have ended by an InternalError, None for none.

    `internal_errors` is that number before this attempt. The last InternalError is final (Invalid). Attempts that ended otherwise, such as
    by a preemption or while the store was away, do not count: each caller stores the number beside its own number of attempts.
    """
    if outcome.reason != INTERNAL_ERROR or outcome.result == "Succeeded":
        return outcome, internal_errors
    count = (internal_errors or 0) + 1
    if not is_given_up(count):
        return outcome, count
    message = f"{to_sentence(outcome.message)} This is a fault of Flywheel, which ended {count} attempts; report it with the log of the pod."
    return replace(outcome, result="Invalid", message=message), count


def is_given_up(internal_errors: int | None) -> bool:
    """Returns whether work that ended so often by an InternalError is not tried again."""
    return (internal_errors or 0) >= MAX_TRIES


def retry_scope(generation: int, runtime_image: str) -> str:
    """Returns a digest of what may mend a fault of Flywheel: another spec or another release. Work that was given up is tried again then."""
    return names.digest([generation, runtime_image])[:16]


def last_failure(retries: int, reason: str | None, message: str | None) -> str:
    """Returns a sentence, after a space, on why the attempt before the one that runs failed; empty if none did."""
    if not retries or not message:
        return ""
    return f" It is retry {retries}; the last attempt failed ({reason}): {to_sentence(message)}"


def find_internal_error(pods: Sequence[Manifest]) -> str | None:
    """Returns the sentence of the newest pod of a Job if it failed by an InternalError, while the Job may still replace the pod."""
    newest = max(pods, key=lambda pod: str(pod["metadata"].get("creationTimestamp", "")), default=None)
    failed = [pod for pod in pods if pod.get("status", {}).get("phase") == "Failed"]
    # Until the pod that replaces a failed one has ended, nothing is known that is newer.
    if newest is None or newest.get("status", {}).get("phase") == "Succeeded":
        return None
    for pod in sorted(failed, key=lambda pod: str(pod["metadata"].get("creationTimestamp", "")), reverse=True):
        for status in container_statuses(pod):
            report = parse_json_object((status.get("state", {}).get("terminated") or {}).get("message"))
            if _reason(report) == INTERNAL_ERROR:
                message = to_sentence((report.get("error") or report).get("message"))
                return f"Container '{status['name']}' of pod '{pod['metadata']['name']}' failed by a fault of Flywheel: {message} Another pod tries it again."
        return None
    return None


def _reason(report: object) -> object:
    """The reason of a termination message: that of a step, or that of collect about it."""
    if not isinstance(report, dict):
        return None
    return report.get("reason") or (report.get("error") or {}).get("reason")
