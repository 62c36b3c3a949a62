"""The plan of a resource whose spec the installation forbids: what exists goes on, and no new pods start."""

from collections.abc import Callable
from dataclasses import replace

from flywheel.core.resource.api import DEPLOYMENT, JOB, Reference
from flywheel.core.resource.kind import AnyResource
from flywheel.core.resource.ownership import child_reference
from flywheel.core.resource.plan import Child, Plan
from flywheel.core.resource.restrictions import Violation
from flywheel.engine.apply.apply_errors import error_plan

_STARTS_PODS = (JOB, DEPLOYMENT)


def restrict_plan(resource: AnyResource, plan: Plan, violation: Violation, exists: Callable[[Reference], bool]) -> Plan:
    """Returns the plan without effect if it would create a Job or a Deployment; else the same plan, with the violation as its condition.

    So an older resource keeps its servers, and the outcome of a Job in flight is recorded.
    """
    for child in plan.children or ():
        new = isinstance(child, Child) and child.api in _STARTS_PODS and not exists(child_reference(resource, child))
        if new:
            return error_plan(resource, violation.reason, violation.message, stalled=True)
    if plan.succeeded is not None:
        return plan
    return replace(
        plan, reason=violation.reason, message=f"{violation.message} What exists goes on, and nothing new starts."
    )
