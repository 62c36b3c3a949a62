"""The result of a run: recorded once in its status, and reported from there ever after."""

from datetime import datetime

from flywheel.core.resource.plan import Decision
from flywheel.kinds.trainingrun.schema import TrainingRunStatus


def with_result(status: TrainingRunStatus, now: datetime, result: str, reason: str, message: str) -> TrainingRunStatus:
    """The status of a run that has ended now."""
    ended = {"result": result, "reason": reason, "message": message[:1024]}
    return status.model_copy(update={**ended, "completion_time": now})


def result_decision(status: TrainingRunStatus) -> Decision:
    """What a run that has ended reports."""
    succeeded = status.result == "Succeeded"
    return Decision(
        ready=succeeded,
        succeeded=succeeded,
        stalled=not succeeded,
        reason=status.reason or str(status.result),
        message=status.message or "",
    )
