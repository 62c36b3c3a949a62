"""The plan of a resource whose spec the installation forbids: what exists goes on, and no new pods start."""

from collections.abc import Callable
from dataclasses import replace

from flywheel.core.requeue import PENDING_CHECK_INTERVAL
from flywheel.core.resource.api import DEPLOYMENT, JOB, Manifest, Reference
from flywheel.core.resource.kind import AnyResource
from flywheel.core.resource.ownership import child_reference
from flywheel.core.resource.plan import Child, ExistingChild, Plan
from flywheel.core.resource.restrictions import Violation
from flywheel.engine.apply.template_pinning import inputs_changed

_STARTS_PODS = (JOB, DEPLOYMENT)


def restrict_plan(
    resource: AnyResource, plan: Plan, violation: Violation, get: Callable[[Reference], Manifest | None]
) -> Plan:
    """Returns the plan without new Jobs and Deployments, without changes of pod templates, and with the violation as its condition.

    So an older resource keeps its servers as they are, and the outcome of a Job in flight is recorded. A kind whose status names the Job
    that its plan starts must not start it (`find_violation`); a status that names what a new Deployment would serve is not written.
    """
    pairs = [(child, get(child_reference(resource, child))) for child in plan.children or ()]
    withheld = [child for child, live in pairs if live is None and isinstance(child, Child) and _starts_pods(child)]
    if plan.succeeded is not None and not withheld:
        return plan
    children = tuple(_unchanged(child, live) for child, live in pairs if child not in withheld)
    has_pods = any(live is not None and _starts_pods(child) for child, live in pairs)
    stalled = not plan.ready and (plan.stalled or (plan.children is not None and not has_pods))
    serves_nothing = any(child.api == DEPLOYMENT for child in withheld)
    return replace(
        plan,
        reason=violation.reason,
        message=violation.message if stalled else f"{violation.message} What exists goes on, and nothing new starts.",
        status=resource.status if serves_nothing else plan.status,
        children=None if plan.children is None else children,
        stalled=stalled,
        progressing=None if stalled else plan.progressing,
        # Only another spec changes anything, so what is due at once and may not start is not looked for at once again.
        requeue_after=plan.requeue_after and max(plan.requeue_after, PENDING_CHECK_INTERVAL),
    )


def _starts_pods(child: Child | ExistingChild) -> bool:
    return child.api in _STARTS_PODS


def _unchanged(child: Child | ExistingChild, live: Manifest | None) -> Child | ExistingChild:
    """The child, or what exists of it where its pods would be replaced."""
    if isinstance(child, Child) and live is not None and _starts_pods(child) and inputs_changed(child, live):
        return ExistingChild(child.api, child.name)
    return child
