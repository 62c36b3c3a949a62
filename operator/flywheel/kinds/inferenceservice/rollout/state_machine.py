"""Where a rollout goes from what is observed: each rule states a fact, and the first that applies gives the transition."""

from dataclasses import replace

from flywheel.core.requeue import PENDING_CHECK_INTERVAL, REQUEUE_NOW
from flywheel.core.resource.model_reference import ResolvedVersion
from flywheel.core.resource.restrictions import find_violation
from flywheel.kinds.inferenceservice.rollout.canary_analysis import verdict_decides
from flywheel.kinds.inferenceservice.rollout.capacity import lacks_extended_resource
from flywheel.kinds.inferenceservice.rollout.context import IN_PROGRESS, Challenge, RolloutContext, RolloutInProgress
from flywheel.kinds.inferenceservice.rollout.observe import ABORT_ANNOTATION
from flywheel.kinds.inferenceservice.rollout.transition import (
    Transition,
    continue_rollout,
    promote,
    status_without_rollout,
    with_standby,
    without_challenger,
)
from flywheel.kinds.inferenceservice.schema.rollout import RolloutStatus
from flywheel.kinds.inferenceservice.slots import other_slot


def next_transition(context: RolloutContext) -> Transition:
    """The transition of this pass."""
    if context.wanted is None:
        return pointer_was_moved(context) or no_server_should_run(context) or no_version_is_available(context)
    challenge = context.challenged_by(context.wanted)
    return (
        first_version_never_served(challenge)
        or pointer_was_moved(context)
        or no_server_should_run(context)
        or wanted_version_is_served(challenge)
        or wanted_version_was_rejected(challenge)
        or wanted_version_was_aborted(challenge)
        or wanted_version_is_on_standby(challenge)
        or _rollout_transition(challenge)
    )


def _rollout_transition(challenge: Challenge) -> Transition:
    status = challenge.status
    if status is None or status.mode != challenge.spec.mode or not challenge.is_under_way(challenge.wanted):
        return rollout_is_paused(challenge) or challenger_appears(challenge)
    rollout = challenge.with_status(status)
    return challenger_starts(rollout) or challenger_takes_over(rollout) or verdict_decides(rollout)


def first_version_never_served(challenge: Challenge) -> Transition | None:
    """The champion's servers were never ready, so nothing can be compared or lost: the wanted version replaces them."""
    served = challenge.servers.ready > 0 or challenge.servers.proven
    if served or challenge.wanted == challenge.champion or challenge.status is not None:
        return None
    return Transition(challenge.wanted, challenge.seen.active)


def pointer_was_moved(context: RolloutContext) -> Transition | None:
    """The operator stopped between moving the pointer and writing the status."""
    status, other, champion = context.status, context.seen.other, context.champion
    if status is None or other.target is None:
        return None
    versions = (champion.version, other.target.version)
    went_back = status.phase == "Promoted" and versions == (status.champion, status.challenger)
    if not went_back and not context.is_under_way(champion):
        return None
    message = (_return_message if went_back else _promotion_message)(champion, other.target)
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


def wanted_version_is_served(challenge: Challenge) -> Transition | None:
    """There is nothing to roll out; what the last rollout left goes in its time, and its end stays reported."""
    champion = challenge.champion
    if challenge.wanted != champion:
        return None
    status = status_without_rollout(challenge, f"Version '{champion.version}' is wanted again.")
    transition = Transition(champion, challenge.seen.active, status)
    if status is not None and status.phase == "Promoted":
        return with_standby(challenge, transition)
    if status is not None and status.phase == "RolledBack" and status.message:
        transition = replace(transition, reason="RolledBack", message=status.message, progressing=False)
    return without_challenger(challenge, transition)


def wanted_version_was_rejected(challenge: Challenge) -> Transition | None:
    """A rollout found the version unfit; it is not tried until the rejection is cleared, or another version is wanted."""
    finding, version = challenge.rejection, challenge.wanted.version
    if finding is None:
        return None
    message = f"ModelVersion '{version}' was rejected: {finding}"
    status = status_without_rollout(challenge, message)
    if status is not None and status.phase == "RolledBack" and status.challenger == version and status.message:
        message = status.message
    step = f"To try it again, set annotation flywheel.ml/clear-rejection on ModelVersion '{version}' to any new value."
    return _stopped(challenge, status, "RolledBack", f"{message} {step}")


def wanted_version_was_aborted(challenge: Challenge) -> Transition | None:
    """A user aborted the rollout by annotation, which rejects no version."""
    version = challenge.wanted.version
    if challenge.seen.abort != version:
        return None
    message = f"The rollout of '{version}' was aborted; champion '{challenge.champion.version}' answers all traffic."
    status = status_without_rollout(challenge, message)
    return _stopped(
        challenge, status, "RolloutAborted", f"{message} Remove annotation {ABORT_ANNOTATION} to start it again."
    )


def wanted_version_is_on_standby(challenge: Challenge) -> Transition | None:
    """The version served until a short while ago and its servers still run, so the pointer moves back without a measurement."""
    status, wanted = challenge.status, challenge.wanted
    if status is None or status.phase != "Promoted" or status.champion != wanted.version:
        return None
    if not challenge.is_ready_beside(wanted, challenge.replicas):
        return None
    replaced = challenge.champion
    return promote(challenge, wanted, replaced, other_slot(challenge.seen.active), _return_message(wanted, replaced))


def rollout_is_paused(challenge: Challenge) -> Transition | None:
    """The spec pauses rollouts, or is forbidden, so that none starts."""
    if not challenge.spec.paused and find_violation(challenge.service.spec, challenge.settings) is None:
        return None
    champion = challenge.champion.version
    message = f"Version '{challenge.wanted.version}' waits, since spec.rollout.paused is true; champion '{champion}' answers all traffic."
    return _stopped(challenge, status_without_rollout(challenge, message), "RolloutPaused", message)


def challenger_appears(challenge: Challenge) -> Transition:
    """Another version than the champion is wanted, and no rollout of it is under way."""
    wanted = challenge.wanted
    status = RolloutStatus(
        phase="Starting",
        mode=challenge.spec.mode,
        challenger=wanted.version,
        digest=wanted.digest,
        champion=challenge.champion.version,
        step=1,
        started=challenge.now,
        since=challenge.now,
        rejected=challenge.valid_rejections(wanted.version),
    )
    return _awaiting_servers(challenge.with_status(status))


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
        return promote(rollout, wanted, champion, slot, _promotion_message(wanted, champion))
    ready = min(other.ready, count)
    message = f"'{wanted.version}' passed every step; {ready} of {count} of its servers are ready, then it takes over."
    if rollout.seen.diagnosis is not None:
        message = f"{message} {rollout.seen.diagnosis.message}"
    if paused:
        message = f"{message} spec.rollout.paused is true."
    transition = continue_rollout(rollout, "RolloutPaused" if paused else "Promoting", message, PENDING_CHECK_INTERVAL)
    return replace(transition, challenger_replicas=count, progressing=not paused)


def _stopped(challenge: Challenge, status: RolloutStatus | None, reason: str, message: str) -> Transition:
    transition = Transition(
        challenge.champion, challenge.seen.active, status, reason=reason, message=message, progressing=False
    )
    return without_challenger(challenge, transition)


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


def _promotion_message(winner: ResolvedVersion, loser: ResolvedVersion) -> str:
    return f"Version '{winner.version}' passed every step and answers all traffic in place of '{loser.version}', which stays on standby."


def _return_message(winner: ResolvedVersion, loser: ResolvedVersion) -> str:
    return f"Version '{winner.version}', which was on standby, answers again in place of '{loser.version}'."
