"""The mark of a version that a rollout found bad: copied from the InferenceService, kept until somebody clears it."""

from dataclasses import replace

from flywheel.core.resource.plan import Plan
from flywheel.kinds.modelversion.children import ModelVersion
from flywheel.kinds.modelversion.observe import CLEAR_REJECTION_ANNOTATION, Seen
from flywheel.kinds.modelversion.schema.status import Cleared, ModelVersionStatus, Rejection


def marked(version: ModelVersion, seen: Seen, plan: Plan) -> Plan:
    """The plan with the mark, which outlives the InferenceService that it came from. Verified it stays: these are the bytes it was."""
    cleared = _cleared(version, seen)
    rejection = _rejection(version, seen, cleared)
    assert isinstance(plan.status, ModelVersionStatus), "that is this kind's status"
    status = plan.status.model_copy(update={"rejection": rejection, "rejection_cleared": cleared})
    if rejection is None:
        return replace(plan, status=status)
    words = f"The rollout of InferenceService '{rejection.service}' found it bad: {rejection.message} Set annotation {CLEAR_REJECTION_ANNOTATION} to any new value to offer it again."
    return replace(
        plan, status=status, message=f"{plan.message} {words}", summary=f"rolled back, {plan.summary}".rstrip(", ")
    )


def _cleared(version: ModelVersion, seen: Seen) -> Cleared | None:
    before = version.status.rejection_cleared
    if not seen.clear or (before is not None and before.value == seen.clear):
        return before
    return Cleared(value=seen.clear, at=seen.now.replace(microsecond=0))


def _rejection(version: ModelVersion, seen: Seen, cleared: Cleared | None) -> Rejection | None:
    known = (version.status.rejection, *seen.rejections)
    return next((each for each in known if each is not None and (cleared is None or each.at > cleared.at)), None)
