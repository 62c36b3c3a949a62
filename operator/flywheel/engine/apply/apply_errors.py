"""From what the API server refused to what the user is told, and when to try again."""

from dataclasses import dataclass
from http import HTTPStatus

from flywheel.cluster.errors import ApiError
from flywheel.core.resource.api import Manifest, Reference
from flywheel.core.resource.kind import AnyResource
from flywheel.core.resource.plan import Plan
from flywheel.engine.queue import AGAIN, DONE, RETRY, Outcome

# Nothing that a user could mend: no answer, or an API server that is just starting or stopping.
_PASSING = frozenset({0, HTTPStatus.BAD_GATEWAY, HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.GATEWAY_TIMEOUT})
LONGEST_QUOTE = 700  # characters of the server's words


class Setback(Exception):
    """A child could not be brought about. `plan` says so to the user; None says nothing, since it will be over in a moment."""

    def __init__(self, outcome: Outcome, reason: str = "", message: str = "", *, stalled: bool = False) -> None:
        super().__init__(message or "to be tried again")
        self.outcome = outcome
        self.reason = reason
        self.stalled = stalled

    def plan(self, resource: AnyResource) -> Plan | None:
        """What is true instead."""
        return troubled(resource, self.reason, str(self), stalled=self.stalled) if self.reason else None


def troubled(resource: AnyResource, reason: str, message: str, *, stalled: bool = False) -> Plan:
    """Says what is wrong and touches no child. The kind's own status stays as it was: nothing of a plan that failed may be believed."""
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


def refused(error: ApiError, child: Reference, resource: AnyResource) -> Setback:
    """The Setback of a failed write to a child."""
    if error.namespace_terminating:
        return Setback(DONE)
    if error.conflict:
        return Setback(AGAIN)
    if error.throttled:
        return Setback(Outcome(failed=True, after=error.retry_after))
    if error.status in _PASSING:
        return Setback(RETRY)
    refusal = _refusal(error)
    step = refusal.next_step.format(resource=resource.reference)
    words = error.message if len(error.message) <= LONGEST_QUOTE else error.message[:LONGEST_QUOTE] + "…"
    message = f"{child} was refused: {words.rstrip('.')}; {step}"
    return Setback(DONE if refusal.stalled else RETRY, refusal.reason, message, stalled=refusal.stalled)


def _refusal(error: ApiError) -> _Refusal:
    if error.invalid:
        return _INVALID
    if error.over_quota:
        return _QUOTA
    return _FORBIDDEN if error.forbidden else _FAILED


def taken(child: Reference, live: Manifest) -> Setback:
    """The Setback of a name that belongs to somebody else."""
    owners = live["metadata"].get("ownerReferences") or []
    owner = next((f"{each['kind']} '{each['name']}'" for each in owners if each.get("controller")), "somebody else")
    message = f"{child} exists and belongs to {owner}; rename this resource, or delete that {child.api.kind}"
    return Setback(RETRY, "NameTaken", message)
