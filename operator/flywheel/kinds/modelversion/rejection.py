"""The rejection of a version: by a rollout, copied from the InferenceService, or for what a monitor found. It stays until it is cleared."""

from flywheel.core.resource.plan import Decision, Event
from flywheel.kinds.modelversion.children import CLEAR_REJECTION_ANNOTATION, ModelVersion
from flywheel.kinds.modelversion.monitored_problem import decide_problem, rejection_for
from flywheel.kinds.modelversion.observe import Seen
from flywheel.kinds.modelversion.schema.status import ModelVersionStatus, Rejection, RejectionClearing


def with_rejection(
    version: ModelVersion, seen: Seen, decision: Decision, status: ModelVersionStatus
) -> tuple[Decision, ModelVersionStatus]:
    """The decision and the status with the rejection, which outlives the InferenceService that it came from.

    A rejected version stays verified, since its bytes have not changed.
    """
    cleared = _cleared(version, seen)
    problem = decide_problem(version, seen, cleared)
    rejection = _rejection(version, seen, cleared, rejection_for(problem, seen))
    status = status.model_copy(update={"rejection": rejection, "rejection_cleared": cleared, "problem": problem})
    if problem is not None and problem != version.status.problem:
        reason = "RolledBack" if problem.rolled_back else "NotRolledBack"
        decision = decision.extend(events=(Event(reason, problem.message, "Warning", action="Rollback"),))
    if rejection is None:
        return (decision if problem is None else decision.extend(message=problem.message)), status
    found = f"The rollout of InferenceService '{rejection.service}' found it bad: " if rejection.monitor is None else ""
    message = (
        f"{found}{rejection.message} Set annotation {CLEAR_REJECTION_ANNOTATION} to any new value to offer it again."
    )
    return decision.extend(message=message), status


def _cleared(version: ModelVersion, seen: Seen) -> RejectionClearing | None:
    before = version.status.rejection_cleared
    if not seen.clear_request or (before is not None and before.value == seen.clear_request):
        return before
    return RejectionClearing(value=seen.clear_request, at=seen.now)


def _rejection(
    version: ModelVersion, seen: Seen, cleared: RejectionClearing | None, for_problem: Rejection | None
) -> Rejection | None:
    """The oldest rejection after the last clearing; one of the same second was known when it was cleared."""
    known = (version.status.rejection, *seen.rejections, for_problem)
    return next((each for each in known if each is not None and (cleared is None or each.at > cleared.at)), None)
