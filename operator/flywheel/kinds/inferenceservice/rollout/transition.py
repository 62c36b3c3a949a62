"""One move of a rollout, and the words that its rules are written in."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from math import ceil

from flywheel.core.resource import names
from flywheel.core.resource.model_reference import Target
from flywheel.core.resource.plan import Event
from flywheel.kinds.inferenceservice import children
from flywheel.kinds.inferenceservice.observe import Seen
from flywheel.kinds.inferenceservice.schema import InferenceService
from flywheel.kinds.inferenceservice.schema.rollout import CanaryStep, Rejection, Rollout, RolloutStatus
from flywheel.kinds.inferenceservice.slots import Slot

IN_PROGRESS = ("Starting", "Judging", "Holding", "Promoting")
SOON = timedelta(seconds=15)
AT_ONCE = timedelta(seconds=1)
LONGEST_STEP = timedelta(hours=6)
SETTLES = timedelta(seconds=10)  # for servers to take up an emptied route before the challenger goes


@dataclass(frozen=True)
class Move:
    """What a rollout makes of this look.

    `champion` stands in slot `active`, to which the front Service leads; `challenger`, if any, in the other one with `count` servers.
    `percent`: the share that the champion's servers are told to give away, None: nothing. `judge`: a judge Job runs; `kept`: the one
    that there is stays, and none is made. `reason` and `message` say what goes on; empty where the rollout has nothing to say.
    """

    champion: Target | None
    active: Slot
    status: RolloutStatus | None = None
    challenger: Target | None = None
    count: int = 0
    percent: int | None = None
    judge: bool = False
    kept: bool = False
    reason: str = ""
    message: str = ""
    progressing: bool = True
    look_again: timedelta | None = None
    events: tuple[Event, ...] = ()


def steps_of(rollout: Rollout) -> tuple[CanaryStep, ...]:
    """A shadow is one step."""
    if rollout.canary is not None:
        return rollout.canary.steps
    assert rollout.shadow is not None, "the schema lets no rollout in without one of them"
    return (CanaryStep(percent=rollout.shadow.percent, duration=rollout.shadow.duration),)


def step_now(service: InferenceService, status: RolloutStatus) -> CanaryStep:
    """The step that the status names; the last one if the spec has fewer by now."""
    assert service.spec.rollout is not None, "who has no rollout has no step"
    steps = steps_of(service.spec.rollout)
    return steps[min(max(status.step or 1, 1), len(steps)) - 1]


def at_most(service: InferenceService, status: RolloutStatus) -> timedelta:
    """How long the step may be measured until there are enough requests: twice as long after each time when there were too few."""
    length = step_now(service, status).duration.timedelta
    return max(length, min(length * (1 << min(status.held or 0, 16)), LONGEST_STEP))


def servers_for(service: InferenceService, percent: int) -> int:
    """As many of the champion's servers as the share is of its requests, and at least one."""
    return max(1, ceil(children.replicas(service) * percent / 100))


def stands(service: InferenceService, seen: Seen, target: Target, count: int) -> bool:
    """Whether exactly so many servers of the target stand in the other slot, all answer, and none of an earlier one answers in their name."""
    found = seen.rollout.other
    if found is None or seen.rollout.leaving or found.target != target or not found.settled or not found.inputs:
        return False
    current = names.digest(dict(children.inputs(service, target, seen.settings))).startswith(found.inputs)
    return current and {found.replicas, found.existing, found.updated, found.ready} == {count}


def is_under_way(status: RolloutStatus | None, target: Target | None) -> bool:
    """Whether a rollout of this target is between its start and its end."""
    if status is None or target is None or status.phase not in IN_PROGRESS:
        return False
    return (status.challenger, status.digest) == (target.version, target.digest)


def rejection(seen: Seen, status: RolloutStatus | None, target: Target) -> str | None:
    """What was found against a version by a rollout of this service or of another one, unless somebody has cleared it since."""
    mark = seen.rollout.mark
    for each in reversed(status.rejected if status else ()):
        if each.version == target.version and (mark.cleared_at is None or mark.cleared_at < each.at):
            return each.message
    return mark.finding


def remembered(status: RolloutStatus | None, seen: Seen, target: Target | None) -> tuple[Rejection, ...]:
    """The rejections that still count."""
    old = status.rejected if status else ()
    cleared = seen.rollout.mark.cleared_at
    return tuple(
        each for each in old if target is None or cleared is None or each.version != target.version or cleared < each.at
    )


def ended(status: RolloutStatus | None, now: datetime, words: str) -> RolloutStatus | None:
    """The status of a rollout that is not gone on with; one that had ended stays as it was."""
    if status is None or status.phase not in IN_PROGRESS:
        return status
    return status.model_copy(
        update={"phase": "Aborted", "since": whole(now), "percent": None, "message": words, "retry_at": None}
    )


def whole(now: datetime) -> datetime:
    """As the API server keeps times."""
    return now.replace(microsecond=0)


def without_challenger(seen: Seen, said: Move) -> Move:
    """The champion answers all; the challenger goes once the emptied route is known everywhere."""
    found, status = seen.rollout.other, said.status
    left = (status.since + SETTLES - seen.now) if status is not None else timedelta(0)
    if found is None or found.target is None or left <= timedelta(0):
        return said
    return replace(said, challenger=found.target, count=found.replicas, look_again=max(left, AT_ONCE))


def promoted(service: InferenceService, seen: Seen, winner: Target, loser: Target, slot: Slot, words: str) -> Move:
    """The front Service leads to the winner, whose servers stand in `slot`; the loser is kept warm in the other one."""
    rollout, before, now = service.spec.rollout, service.status.rollout, whole(seen.now)
    assert rollout is not None, "without a rollout nothing is promoted"
    status = RolloutStatus(
        phase="Promoted",
        mode="Canary" if rollout.canary else "Shadow",
        challenger=winner.version,
        digest=winner.digest,
        champion=loser.version,
        started=before.started if before else now,
        since=now,
        verdict=before.verdict if before else None,
        numbers=before.numbers if before else None,
        examples=before.examples if before else None,
        message=words,
        keep_until=now + rollout.keep_warm.timedelta,
        rejected=remembered(before, seen, winner),
    )
    return Move(
        winner,
        slot,
        status,
        challenger=loser,
        count=children.replicas(service),
        look_again=rollout.keep_warm.timedelta,
        events=(Event("Promoted", words, action="Promote"),),
    )
