"""From what the API server refused to what the status says, and when the resource is reconciled again."""

from dataclasses import dataclass
from http import HTTPStatus

from flywheel.cluster.errors import ApiError
from flywheel.core.resource.api import Manifest, Reference
from flywheel.core.resource.kind import AnyResource
from flywheel.core.resource.plan import Plan
from flywheel.engine.queue import DONE, REQUEUE, RETRY, Result

# Nothing that a user could correct: no response, or an API server that is just starting or stopping.
_TRANSIENT = frozenset({0, HTTPStatus.BAD_GATEWAY, HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.GATEWAY_TIMEOUT})
MAX_QUOTE_LENGTH = 700  # characters of the server's message


class ApplyError(Exception):
    """A plan could not be applied. Without a reason the status says nothing of it, since it will be over in a moment."""

    def __init__(self, result: Result, reason: str = "", message: str = "", *, stalled: bool = False) -> None:
        super().__init__(message or "to be tried again")
        self.result = result
        self.reason = reason
        self.stalled = stalled

    def plan(self, resource: AnyResource) -> Plan | None:
        """Returns the plan whose status is written instead, or None."""
        return error_plan(resource, self.reason, str(self), stalled=self.stalled) if self.reason else None


def error_plan(resource: AnyResource, reason: str, message: str, *, stalled: bool = False) -> Plan:
    """Returns a plan that reports an error and changes no child. It leaves the kind's own status as it was, since the failed plan's is
    not true yet."""
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


def to_apply_error(error: ApiError, target: Reference, resource: AnyResource) -> ApplyError:
    """Returns the ApplyError of a write that the API server refused."""
    if error.namespace_terminating:
        return ApplyError(DONE)
    if error.conflict:
        return ApplyError(REQUEUE)
    if error.throttled:
        return ApplyError(Result(failed=True, requeue_after=error.retry_after))
    if error.status in _TRANSIENT:
        return ApplyError(RETRY)
    refusal = _refusal(error)
    step = refusal.next_step.format(resource=resource.reference)
    quote = error.message if len(error.message) <= MAX_QUOTE_LENGTH else error.message[:MAX_QUOTE_LENGTH] + "…"
    message = f"{target} was refused: {quote.rstrip('.')}; {step}"
    return ApplyError(DONE if refusal.stalled else RETRY, refusal.reason, message, stalled=refusal.stalled)


def _refusal(error: ApiError) -> _Refusal:
    if error.invalid:
        return _INVALID
    if error.over_quota:
        return _QUOTA
    return _FORBIDDEN if error.forbidden else _FAILED


def name_taken(child: Reference, live: Manifest) -> ApplyError:
    """Returns the ApplyError of a child whose name belongs to another owner."""
    owners = live["metadata"].get("ownerReferences") or []
    owner = next((f"{each['kind']} '{each['name']}'" for each in owners if each.get("controller")), "somebody else")
    message = f"{child} exists and belongs to {owner}; rename this resource, or delete that {child.api.kind}"
    return ApplyError(RETRY, "NameTaken", message)
