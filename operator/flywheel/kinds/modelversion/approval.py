"""The approval of a version, which counts only for the artifact that it names."""

from flywheel.core.resource.plan import Decision, Event
from flywheel.kinds.modelversion.children import ModelVersion
from flywheel.kinds.modelversion.observe import Seen
from flywheel.kinds.modelversion.schema.gate_results import ApprovalStatus
from flywheel.kinds.modelversion.schema.status import ModelVersionStatus


def with_approval(
    version: ModelVersion, seen: Seen, decision: Decision, status: ModelVersionStatus
) -> tuple[Decision, ModelVersionStatus]:
    """The decision and the status with the approval, or with the finding that it is void."""
    approval, before = version.spec.approval, version.status.approval
    if approval is None:
        return decision, status.model_copy(update={"approval": None})
    if approval.digest != status.digest:
        if status.digest is not None:
            void = f"The approval of '{approval.by}' is void: it is of {approval.digest}, and the artifact is {status.digest}."
            decision = decision.extend(message=void)
        return decision, status.model_copy(update={"approval": None})
    approved = ApprovalStatus(**approval.model_dump(), at=seen.now)
    if before is not None and before.model_copy(update={"at": approved.at}) == approved:
        return decision, status.model_copy(update={"approval": before})
    event = Event("Approved", f"'{approved.by}' approves {approved.digest}: {approved.reason}", action="Approve")
    return decision.extend(events=(event,)), status.model_copy(update={"approval": approved})
