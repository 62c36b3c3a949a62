"""From what the API server refused to what the user is told, and when to try again."""

from dataclasses import dataclass
from http import HTTPStatus

from flywheel.cluster.errors import ApiError
from flywheel.core.resource.api import Manifest, Reference
from flywheel.core.resource.kind import AnyResource
from flywheel.core.resource.plan import Plan
from flywheel.engine.queue import DONE, REQUEUE, RETRY, Result

# Nothing that a user could mend: no answer, or an API server that is just starting or stopping.
_PASSING = frozenset({0, HTTPStatus.BAD_GATEWAY, HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.GATEWAY_TIMEOUT})
MAX_QUOTE_LENGTH = 700  # characters of the server's words


class ApplyError(Exception):
    """A child could not be brought about. `plan` says so to the user; None says nothing, since it will be over in a moment."""

    def __init__(self, outcome: Result, reason: str = "", message: str = "", *, stalled: bool = False) -> None:
        super().__init__(message or "to be tried again")
        self.outcome = outcome
        self.reason = reason
        self.stalled = stalled

    def plan(self, resource: AnyResource) -> Plan | None:
        """What is true instead."""
        return error_plan(resource, self.reason, str(self), stalled=self.stalled) if self.reason else None


def error_plan(resource: AnyResource, reason: str, message: str, *, stalled: bool = False) -> Plan:
    """Says what is wrong and patches no child. The kind's own status stays as it was: nothing of a plan that failed may be believed."""
    return Plan(
        ready=False,
        reason=reason,
        message=message,
        status=resource.status,
        summary=resource.status.summary or "",
        stalled=stalled,
    )


@dataclass(frozen=True)
class _Refusal:
    reason: str
    next_step: str
    stalled: bool = False


_INVALID = _Refusal("Invalid", "correct the spec of {resource}", stalled=True)
_QUOTA = _Refusal("QuotaExceeded", "raise the ResourceQuota or free some of it; it is tried again by itself")
_FAILED = _Refusal(
    "RequestFailed", "it is tried again by itself; if it stays so, look at the API server and its webhooks"
)
_FORBIDDEN = _Refusal(
    "Forbidden", "grant the operator what its chart's ClusterRole lists, or change the policy that refuses it"
)


def to_apply_error(error: ApiError, child: Reference, resource: AnyResource) -> ApplyError:
    """The Setback of a failed write to a child."""
    if error.namespace_terminating:
        return ApplyError(DONE)
    if error.conflict:
        return ApplyError(REQUEUE)
    if error.throttled:
        return ApplyError(Result(failed=True, after=error.retry_after))
    if error.status in _PASSING:
        return ApplyError(RETRY)
    refusal = _refusal(error)
    step = refusal.next_step.format(resource=resource.reference)
    words = error.message if len(error.message) <= MAX_QUOTE_LENGTH else error.message[:MAX_QUOTE_LENGTH] + "…"
    message = f"{child} was refused: {words.rstrip('.')}; {step}"
    return ApplyError(DONE if refusal.stalled else RETRY, refusal.reason, message, stalled=refusal.stalled)


def _refusal(error: ApiError) -> _Refusal:
    if error.invalid:
        return _INVALID
    if error.over_quota:
        return _QUOTA
    return _FORBIDDEN if error.forbidden else _FAILED


def name_taken(child: Reference, live: Manifest) -> ApplyError:
    """The Setback of a name that belongs to somebody else."""
    owners = live["metadata"].get("ownerReferences") or []
    owner = next((f"{each['kind']} '{each['name']}'" for each in owners if each.get("controller")), "somebody else")
    message = f"{child} exists and belongs to {owner}; rename this resource, or delete that {child.api.kind}"
    return ApplyError(RETRY, "NameTaken", message)
