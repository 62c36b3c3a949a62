"""One transition of a rollout, and those that several rules share."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from flywheel.core.requeue import REQUEUE_NOW
from flywheel.core.resource.model_reference import ResolvedVersion
from flywheel.core.resource.plan import Decision, Event
from flywheel.kinds.inferenceservice.rollout.context import RolloutContext, RolloutInProgress
from flywheel.kinds.inferenceservice.schema.rollout import IN_PROGRESS, MAX_MESSAGE_CHARACTERS, RolloutStatus
from flywheel.kinds.inferenceservice.slots import Slot

ROUTE_GRACE_PERIOD = timedelta(seconds=10)  # servers take up an emptied route before the challenger goes


@dataclass(frozen=True)
class Transition:
    """What one pass makes of a rollout.

    The front Service selects slot `active`, whose servers have the `champion`; the other slot has `challenger_replicas` servers of the
    `challenger`, if there is one. `percent`: the share of requests that the champion's servers forward or copy, None: nothing.
    `judge`: the rollout whose step a judge Job measures; `retain_judge`: the Job that exists stays, and none is created.
    `reason` and `message` are empty where the rollout has nothing to report.
    """

    champion: ResolvedVersion
    active: Slot
    status: RolloutStatus | None = None
    challenger: ResolvedVersion | None = None
    challenger_replicas: int = 0
    percent: int | None = None
    judge: RolloutInProgress | None = None
    retain_judge: bool = False
    reason: str = ""
    message: str = ""
    progressing: bool = True
    stalled: bool = False
    requeue_after: timedelta | None = None
    events: tuple[Event, ...] = ()

    @property
    def decision(self) -> Decision | None:
        """What the service reports of the rollout while all servers of the champion are ready."""
        if not self.reason:
            return None
        return Decision(
            ready=True,
            progressing=self.progressing,
            stalled=self.stalled,
            reason=self.reason,
            message=self.message,
        )


def continue_rollout(
    rollout: RolloutInProgress, reason: str, message: str, requeue_after: timedelta | None
) -> Transition:
    """A rollout that goes on with its status, and with the servers that its step needs."""
    return Transition(
        rollout.champion,
        rollout.seen.active,
        rollout.status,
        challenger=rollout.wanted,
        challenger_replicas=rollout.challenger_replicas,
        percent=rollout.status.percent,
        reason=reason,
        message=message,
        requeue_after=requeue_after,
    )


def status_without_rollout(context: RolloutContext, message: str) -> RolloutStatus | None:
    """The status after a rollout that is not continued; one that had ended stays as it was."""
    status = context.status
    if status is None or status.phase not in IN_PROGRESS:
        return status
    reported = message[:MAX_MESSAGE_CHARACTERS]
    ended = {"phase": "Aborted", "since": context.now, "percent": None, "message": reported, "retry_at": None}
    return status.model_copy(update=ended)


def without_challenger(context: RolloutContext, transition: Transition) -> Transition:
    """The champion serves all traffic; the challenger goes once all servers have taken up the emptied route."""
    until = transition.status.since + ROUTE_GRACE_PERIOD if transition.status is not None else None
    return _with_other_slot(context, transition, until, context.seen.other.replicas)


def with_standby(context: RolloutContext, transition: Transition) -> Transition:
    """The version that was replaced stays in the other slot until the time that the status gives."""
    status = transition.status
    until = status.keep_until if status is not None and status.phase == "Promoted" else None
    return _with_other_slot(context, transition, until, context.replicas)


def _with_other_slot(context: RolloutContext, transition: Transition, until: datetime | None, count: int) -> Transition:
    target = context.seen.other.target
    if target is None or until is None or until <= context.now:
        return transition
    left = max(until - context.now, REQUEUE_NOW)
    return replace(transition, challenger=target, challenger_replicas=count, requeue_after=left)


def promote(
    context: RolloutContext, winner: ResolvedVersion, loser: ResolvedVersion, slot: Slot, message: str
) -> Transition:
    """The front Service selects `slot`, which has the winner's servers; the loser stays on standby in the other slot."""
    before, now, standby = context.status, context.now, context.spec.keep_warm.timedelta
    is_return = before is not None and before.phase == "Promoted" and before.champion == winner.version
    if not is_return:
        standby = max(standby, context.seen.bake_time)
    status = RolloutStatus(
        phase="Promoted",
        mode=context.spec.mode,
        challenger=winner.version,
        digest=winner.digest,
        champion=loser.version,
        started=before.started if before else now,
        since=now,
        verdict=before.verdict if before else None,
        numbers=before.numbers if before else None,
        examples=before.examples if before else None,
        test=before.test if before else None,
        message=message,
        keep_until=now + standby,
        rejected=context.valid_rejections(winner.version),
    )
    return Transition(
        winner,
        slot,
        status,
        challenger=loser,
        challenger_replicas=context.replicas,
        requeue_after=standby,
        events=(Event("Promoted", message, action="Promote"),),
    )
