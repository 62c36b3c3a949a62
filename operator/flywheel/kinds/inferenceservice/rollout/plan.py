"""From a move to the plan: what a rollout tells, and what it lets stand."""

from collections.abc import Callable
from dataclasses import replace

from flywheel.core.resource.plan import Plan
from flywheel.kinds.inferenceservice import children
from flywheel.kinds.inferenceservice.observe import Seen
from flywheel.kinds.inferenceservice.rollout import capacity
from flywheel.kinds.inferenceservice.rollout import children as rollout_children
from flywheel.kinds.inferenceservice.rollout.transition import Move
from flywheel.kinds.inferenceservice.schema import InferenceService, InferenceServiceStatus


def after(seen: Seen, move: Move) -> Seen:
    """When the pointer moves, the servers of the other slot are those who answer."""
    facts = seen.rollout
    if move.active == facts.active:
        return seen
    turned = replace(facts, active=move.active, other=seen.servers, diagnosis=seen.diagnosis)
    return replace(seen, servers=facts.other, diagnosis=facts.diagnosis, rollout=turned)


def rollout_goes_on(service: InferenceService, seen: Seen, move: Move, plan: Callable[..., Plan]) -> Plan | None:
    """Every server of the champion answers, and beside them something goes on, or has ended badly."""
    if not move.reason or seen.missing is not None:
        return None
    return plan(
        service,
        seen,
        move.champion,
        ready=True,
        progressing=move.progressing,
        reason=move.reason,
        message=move.message,
        look_again=move.look_again,
    )


def with_rollout(service: InferenceService, seen: Seen, move: Move, plan: Plan) -> Plan:
    """The plan with all children, the rollout's status and its events."""
    assert move.champion is not None, "who serves nothing has no plan to add to"
    assert isinstance(plan.status, InferenceServiceStatus), "that is this kind's status"
    narrow = capacity.goes_one_by_one(service, seen, move.champion)
    stands = rollout_children.arrangement(service, move, seen.settings, one_by_one=narrow)
    stands = replace(stands, running=seen.servers.replicas if seen.servers else 0, autoscaled=seen.autoscaler.exists)
    slot = "b" if move.active == "b" else None
    again = [each for each in (plan.look_again, move.look_again) if each is not None]
    return replace(
        plan,
        message=f"{plan.message}{capacity.words(narrow)}",
        status=plan.status.model_copy(update={"rollout": move.status, "slot": slot}),
        children=children.everything(service, move.champion, seen.settings, stands),
        touches=rollout_children.touches(service, seen.rollout, move),
        events=(*plan.events, *move.events),
        look_again=min(again, default=None),
    )
