"""What a status says of an attempt that failed: whether the same work is tried again, and when."""

from collections.abc import Collection
from datetime import datetime
from typing import Any

from flywheel.core.diagnosis.internal_error import bound_internal_error
from flywheel.core.diagnosis.outcome import STORE_REASONS, Outcome
from flywheel.core.requeue import backoff

MAX_MESSAGE_CHARACTERS = 1024


def after_failure(
    outcome: Outcome,
    retries: int,
    internal_errors: int | None,
    now: datetime,
    retried_reasons: Collection[str] = STORE_REASONS,
) -> dict[str, Any]:
    """Returns the changed fields of the attempt's record: Retrying after a pause where something else broke or has one of the reasons, else Failed.

    `retries` and `internal_errors` are those before this attempt.
    """
    outcome, internal_errors = bound_internal_error(outcome, internal_errors)
    found: dict[str, Any] = {
        "internal_errors": internal_errors,
        "reason": outcome.reason,
        "message": outcome.message[:MAX_MESSAGE_CHARACTERS],
    }
    if outcome.result == "Infrastructure" or outcome.reason in retried_reasons:
        return found | {"result": "Retrying", "retries": retries + 1, "not_before": now + backoff(retries)}
    return found | {"result": "Failed"}
