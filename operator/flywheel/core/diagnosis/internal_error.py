"""A fault of Flywheel's own code in a pod: it is shown at once, tried again a few times, and final then."""

from collections.abc import Sequence
from dataclasses import replace

from flywheel.core.diagnosis.outcome import Outcome
from flywheel.core.diagnosis.pod_status import container_statuses, parse_json_object, to_sentence
from flywheel.core.resource.api import Manifest

INTERNAL_ERROR = "InternalError"
MAX_TRIES = 5  # with the pauses of `backoff`, five minutes


def bound_internal_error(outcome: Outcome, retries: int, last_reason: str | None = INTERNAL_ERROR) -> Outcome:
    """Returns the outcome of an attempt that follows `retries` failed ones. The last InternalError can never work, so it stalls its resource.

    `last_reason` is why the attempt before failed: after days of another failure, such as a store that is away, the first InternalError
    is tried again.
    """
    is_repeated = last_reason == INTERNAL_ERROR and retries + 1 >= MAX_TRIES
    if outcome.reason != INTERNAL_ERROR or outcome.result == "Succeeded" or not is_repeated:
        return outcome
    message = f"{to_sentence(outcome.message)} This is a fault of Flywheel, of attempt {retries + 1}; report it with the log of the pod."
    return replace(outcome, result="Invalid", message=message)


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
