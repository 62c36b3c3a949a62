"""Where a rollout goes from what is observed: each rule states a fact, and the first that applies gives the transition."""

from dataclasses import replace

from flywheel.core.requeue import PENDING_CHECK_INTERVAL, REQUEUE_NOW
from flywheel.core.resource.model_reference import ResolvedVersion
from flywheel.core.resource.restrictions import find_violation
from flywheel.kinds.inferenceservice.rollout.canary_analysis import verdict_decides
from flywheel.kinds.inferenceservice.rollout.capacity import lacks_extended_resource
from flywheel.kinds.inferenceservice.rollout.context import (
    RolloutContext,
    RolloutInProgress,
    WantedRollout,
)
from flywheel.kinds.inferenceservice.rollout.look_rules import look_decides
from flywheel.kinds.inferenceservice.rollout.observe import ABORT_ANNOTATION
from flywheel.kinds.inferenceservice.rollout.transition import (
    Transition,
    continue_rollout,
    promote,
    status_without_rollout,
    with_standby,
    without_challenger,
)
from flywheel.kinds.inferenceservice.schema.rollout import IN_PROGRESS, MAX_MESSAGE_CHARACTERS, RolloutStatus
from flywheel.kinds.inferenceservice.slots import other_slot


def next_transition(context: RolloutContext) -> Transition:
    """The transition of this pass."""
    if context.wanted is None:
        return pointer_was_moved(context) or no_server_should_run(context) or no_version_is_available(context)
    rollout = context.with_wanted(context.wanted)
    return (
        first_version_never_served(rollout)
        or pointer_was_moved(context)
        or no_server_should_run(context)
        or wanted_version_is_served(rollout)
        or wanted_version_was_rejected(rollout)
        or wanted_version_was_aborted(rollout)
        or wanted_version_was_not_proven(rollout)
        or wanted_version_is_on_standby(rollout)
        or _rollout_transition(rollout)
    )


def _rollout_transition(rollout: WantedRollout) -> Transition:
    status = rollout.status
    if status is None or not rollout.is_under_way(rollout.wanted) or not _is_of_this_spec(rollout, status):
        return rollout_is_paused(rollout) or challenger_appears(rollout)
    begun = rollout.with_status(status)
    decides = look_decides if status.mode == "ABTest" else verdict_decides
    return challenger_starts(begun) or challenger_takes_over(begun) or decides(begun)


def _is_of_this_spec(rollout: WantedRollout, status: RolloutStatus) -> bool:
    """Whether the rollout measures what the spec asks for."""
    return status.mode == rollout.spec.mode and status.test == rollout.test_id(status.started)


def first_version_never_served(rollout: WantedRollout) -> Transition | None:
    """The champion's servers were never ready, so nothing can be compared or lost: the wanted version replaces them."""
    served = rollout.servers.ready > 0 or rollout.servers.proven
    if served or rollout.wanted == rollout.champion or rollout.status is not None:
        return None
    return Transition(rollout.wanted, rollout.seen.active)


def pointer_was_moved(context: RolloutContext) -> Transition | None:
    """The operator stopped between moving the pointer and writing the status."""
    status, other, champion = context.status, context.seen.other, context.champion
    if status is None or other.target is None:
        return None
    versions = (champion.version, other.target.version)
    went_back = status.phase == "Promoted" and versions == (status.champion, status.challenger)
    if not went_back and not context.is_under_way(champion):
        return None
    loser = other.target
    message = _return_message(champion, loser) if went_back else _promotion_message(champion, loser, status)
    return promote(context, champion, other.target, context.seen.active, message)


def no_server_should_run(context: RolloutContext) -> Transition | None:
    """The service is suspended or scaled to 0; a new version is measured once servers run again."""
    if context.replicas > 0:
        return None
    return Transition(context.champion, context.seen.active, status_without_rollout(context, "No server runs."))


def no_version_is_available(context: RolloutContext) -> Transition:
    """The Model or version is missing or not verified: everything stays as it is, and what an ended rollout left goes in its time."""
    status, other = context.status, context.seen.other
    unchanged = Transition(context.champion, context.seen.active, status, retain_judge=True)
    if status is None or other.target is None:
        return unchanged
    if status.phase == "Promoted":
        return with_standby(context, unchanged)
    if status.phase not in IN_PROGRESS:
        return without_challenger(context, unchanged)
    return replace(unchanged, challenger=other.target, challenger_replicas=other.replicas, percent=status.percent)


def wanted_version_is_served(rollout: WantedRollout) -> Transition | None:
    """There is nothing to roll out; what the last rollout left goes in its time, and its end stays reported."""
    champion = rollout.champion
    if rollout.wanted != champion:
        return None
    status = status_without_rollout(rollout, f"Version '{champion.version}' is wanted again.")
    transition = Transition(champion, rollout.seen.active, status)
    if status is not None and status.phase == "Promoted":
        return with_standby(rollout, transition)
    if status is not None and status.phase == "RolledBack" and status.message:
        transition = replace(transition, reason="RolledBack", message=status.message, progressing=False)
    return without_challenger(rollout, transition)


def wanted_version_was_rejected(rollout: WantedRollout) -> Transition | None:
    """A rollout found the version unfit; it is not tried until the rejection is cleared, or another version is wanted."""
    finding, version = rollout.rejection, rollout.wanted.version
    if finding is None:
        return None
    message = f"ModelVersion '{version}' was rejected: {finding}"
    status = status_without_rollout(rollout, message)
    if status is not None and status.phase == "RolledBack" and status.challenger == version and status.message:
        message = status.message
    step = f"To try it again, set annotation flywheel.ml/clear-rejection on ModelVersion '{version}' to any new value."
    return _stopped(rollout, status, "RolledBack", f"{message} {step}")


def wanted_version_was_aborted(rollout: WantedRollout) -> Transition | None:
    """A user aborted the rollout by annotation, which rejects no version."""
    version = rollout.wanted.version
    if rollout.seen.abort != version:
        return None
    message = f"The rollout of '{version}' was aborted; champion '{rollout.champion.version}' answers all traffic."
    status = status_without_rollout(rollout, message)
    return _stopped(
        rollout, status, "RolloutAborted", f"{message} Remove annotation {ABORT_ANNOTATION} to start it again."
    )


def wanted_version_was_not_proven(rollout: WantedRollout) -> Transition | None:
    """An A/B test of the version ended without a decision, and the spec asks for no other one."""
    status, wanted = rollout.status, rollout.wanted
    if status is None or status.phase != "Inconclusive" or not _is_of_this_spec(rollout, status):
        return None
    if (status.challenger, status.digest) != (wanted.version, wanted.digest):
        return None
    step = "To go on, change spec.rollout, such as a longer maxDuration for another test."
    return _stopped(rollout, status, "ABTestInconclusive", f"{status.message} {step}")


def wanted_version_is_on_standby(rollout: WantedRollout) -> Transition | None:
    """The version served until a short while ago and its servers still run, so the pointer moves back without a measurement."""
    status, wanted = rollout.status, rollout.wanted
    if status is None or status.phase != "Promoted" or status.champion != wanted.version:
        return None
    if not rollout.is_ready_beside(wanted, rollout.replicas):
        return None
    replaced = rollout.champion
    return promote(rollout, wanted, replaced, other_slot(rollout.seen.active), _return_message(wanted, replaced))


def rollout_is_paused(rollout: WantedRollout) -> Transition | None:
    """The spec pauses rollouts, or is forbidden, so that none starts."""
    if not rollout.spec.paused and find_violation(rollout.service.spec, rollout.settings) is None:
        return None
    champion = rollout.champion.version
    message = f"Version '{rollout.wanted.version}' waits, since spec.rollout.paused is true; champion '{champion}' answers all traffic."
    return _stopped(rollout, status_without_rollout(rollout, message), "RolloutPaused", message)


def challenger_appears(rollout: WantedRollout) -> Transition:
    """Another version than the champion is wanted, and no rollout of it is under way."""
    wanted = rollout.wanted
    status = RolloutStatus(
        phase="Starting",
        mode=rollout.spec.mode,
        challenger=wanted.version,
        digest=wanted.digest,
        champion=rollout.champion.version,
        step=1,
        started=rollout.now,
        since=rollout.now,
        test=rollout.test_id(rollout.now),
        rejected=rollout.valid_rejections(wanted.version),
    )
    return _awaiting_servers(rollout.with_status(status))


def challenger_starts(rollout: RolloutInProgress) -> Transition | None:
    """The step begins once as many of the challenger's servers are ready as it needs."""
    status, percent = rollout.status, rollout.step.percent
    if status.phase != "Starting":
        return None
    if not rollout.is_ready_beside(rollout.wanted, rollout.challenger_replicas):
        return _awaiting_servers(rollout)
    changes = {"phase": "Judging", "percent": percent, "since": rollout.now, "verdict": None, "message": None}
    began = rollout.with_status(status.model_copy(update=changes))
    return continue_rollout(
        began, f"{status.mode}Judged", f"{rollout.progress} Step {rollout.step_number} begins.", REQUEUE_NOW
    )


def challenger_takes_over(rollout: RolloutInProgress) -> Transition | None:
    """All steps have passed: the challenger gets as many servers as the champion has, then the pointer moves."""
    status, wanted, champion, paused = rollout.status, rollout.wanted, rollout.champion, rollout.spec.paused
    if status.phase != "Promoting":
        return None
    count, other = rollout.replicas, rollout.seen.other
    if not paused and rollout.is_ready_beside(wanted, count):
        slot = other_slot(rollout.seen.active)
        return promote(rollout, wanted, champion, slot, _promotion_message(wanted, champion, status))
    ready = min(other.ready, count)
    won = "won its A/B test" if status.mode == "ABTest" else "passed every step"
    message = f"'{wanted.version}' {won}; {ready} of {count} of its servers are ready, then it takes over."
    if rollout.seen.diagnosis is not None:
        message = f"{message} {rollout.seen.diagnosis.message}"
    if paused:
        message = f"{message} spec.rollout.paused is true."
    transition = continue_rollout(rollout, "RolloutPaused" if paused else "Promoting", message, PENDING_CHECK_INTERVAL)
    return replace(transition, challenger_replicas=count, progressing=not paused)


def _stopped(rollout: WantedRollout, status: RolloutStatus | None, reason: str, message: str) -> Transition:
    transition = Transition(
        rollout.champion, rollout.seen.active, status, reason=reason, message=message, progressing=False
    )
    return without_challenger(rollout, transition)


def _awaiting_servers(rollout: RolloutInProgress) -> Transition:
    other, diagnosis, wanted = rollout.seen.other, rollout.seen.diagnosis, rollout.wanted
    count, exists = rollout.challenger_replicas, other.target == wanted
    ready = min(other.ready, count) if exists else 0
    reason = "ChallengerStarting"
    message = f"{ready} of {count} servers of challenger '{wanted.version}' are ready."
    if diagnosis is not None and exists:
        reason, message = "ChallengerStuck", f"{message} {diagnosis.message}"
        if lacks_extended_resource(rollout.service, diagnosis.message):
            reason = "ChallengerDoesNotFit"
            message = f"{message} It is tried until there is room; or remove spec.rollout, and servers are replaced one by one without a challenger."
    message = f"{message} Champion '{rollout.champion.version}' answers meanwhile."
    return continue_rollout(rollout, reason, message, PENDING_CHECK_INTERVAL)


def _promotion_message(winner: ResolvedVersion, loser: ResolvedVersion, status: RolloutStatus) -> str:
    if status.mode == "ABTest" and status.message:
        finding = status.message.rstrip(".")
        message = f"Version '{winner.version}' answers all traffic in place of '{loser.version}', which stays on standby: it {finding}."
        return message[:MAX_MESSAGE_CHARACTERS]
    return f"Version '{winner.version}' passed every step and answers all traffic in place of '{loser.version}', which stays on standby."


def _return_message(winner: ResolvedVersion, loser: ResolvedVersion) -> str:
    return f"Version '{winner.version}', which was on standby, answers again in place of '{loser.version}'."
