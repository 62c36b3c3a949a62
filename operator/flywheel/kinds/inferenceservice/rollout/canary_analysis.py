"""Canary analysis of one step: the judge Job measures both sides, and its verdict decides how the rollout continues."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

from flywheel.core.diagnosis.internal_error import INTERNAL_ERROR, bound_internal_error, is_given_up, retry_scope
from flywheel.core.diagnosis.outcome import Outcome
from flywheel.core.requeue import MAX_RETRY_PAUSE, PENDING_CHECK_INTERVAL, REQUEUE_NOW, backoff
from flywheel.core.resource.plan import Event
from flywheel.kinds.inferenceservice.rollout.context import RolloutInProgress
from flywheel.kinds.inferenceservice.rollout.transition import ROUTE_GRACE_PERIOD, Transition, continue_rollout
from flywheel.kinds.inferenceservice.schema.rollout import (
    MAX_MESSAGE_CHARACTERS,
    MAX_NUMBERS,
    MAX_REJECTION_CHARACTERS,
    MAX_REJECTIONS,
    Rejection,
    RolloutStatus,
)

MAX_FINDING_CHARACTERS = 400
PAUSED = "It stays here while spec.rollout.paused is true."


def verdict_decides(rollout: RolloutInProgress) -> Transition:
    """The judge measures until it has ended; then its verdict counts."""
    outcome = rollout.seen.judge.outcome
    if outcome is None:
        return given_up(rollout) or _measure(rollout)
    verdict = str(outcome.facts.get("verdict") or "") if outcome.result == "Succeeded" else ""
    if verdict == "Breach":
        return roll_back(rollout, status_after(rollout.status, outcome, "Breach"))
    if verdict == "Pass":
        return _pass_step(rollout, status_after(rollout.status, outcome, "Pass"))
    return hold(rollout, outcome)


def given_up(rollout: RolloutInProgress) -> Transition | None:
    """The judge failed by faults of Flywheel, the last one a while ago: nobody is promoted, and nobody is rolled back."""
    status = rollout.status
    if status.given_up != _retry_scope(rollout):
        return None
    message = f"{rollout.progress} {_given_up_message(status.message)}"
    stalled = continue_rollout(rollout, "CannotMeasure", message, None)
    return replace(stalled, percent=rollout.step.percent, progressing=False, stalled=True)


def _given_up_message(finding: str | None) -> str:
    return f"This step is held: {finding} It is measured again with another release of Flywheel, or after a change of spec."


def _retry_scope(rollout: RolloutInProgress) -> str:
    return retry_scope(rollout.service.generation, rollout.settings.runtime_image)


def _measure(rollout: RolloutInProgress) -> Transition:
    status, diagnosis, paused = rollout.status, rollout.seen.judge.diagnosis, rollout.spec.paused
    wait = status.retry_at - rollout.now if status.retry_at is not None else timedelta(0)
    waits = wait > timedelta(0)
    reason, message = f"{status.mode}Judged", f"It is measured for {rollout.step.duration}."
    if status.phase == "Holding" and status.message:
        reason, message = "CannotMeasure", _holding_message(rollout, status.message)
    if diagnosis is not None:
        reason, message = "CannotMeasure", f"The judge does not run: {diagnosis.message}"
    if paused:
        reason, message = "RolloutPaused", PAUSED
    next_check = wait if waits else PENDING_CHECK_INTERVAL
    return at_this_step(rollout, status, reason, message, judge=not waits and not paused, requeue_after=next_check)


def _pass_step(rollout: RolloutInProgress, status: RolloutStatus) -> Transition:
    if rollout.spec.paused:
        # The verdict stays where it is, and is read when the pause is over.
        return at_this_step(rollout, rollout.status, "RolloutPaused", PAUSED, requeue_after=PENDING_CHECK_INTERVAL)
    step = rollout.step_number
    last = step >= len(rollout.spec.steps)
    change: dict[str, Any] = {"phase": "Promoting"} if last else {"phase": "Starting", "step": step + 1}
    following = status.model_copy(update={**change, "since": rollout.now})
    message = f"Step {step} is passed: it {status.message}"
    return at_this_step(rollout, following, "Promoting" if last else f"{status.mode}Judged", message)


def hold(rollout: RolloutInProgress, outcome: Outcome) -> Transition:
    """Neither forward nor back: a step without enough requests is measured for longer, a failed judge is retried after longer pauses.

    Each cause is counted alone, from 1 where the other one came between.
    """
    # What was given up is counted anew, since it is measured with another spec or release.
    counted = None if rollout.status.given_up else rollout.status.internal_errors
    outcome, internal_errors = bound_internal_error(outcome, counted)
    status, judge_failed = status_after(rollout.status, outcome, "CannotMeasure"), outcome.result != "Succeeded"
    if judge_failed and is_given_up(internal_errors):
        return _give_up(rollout, status, outcome, internal_errors)
    times = (rollout.status.held or 0) + 1 if rollout.judge_failed == judge_failed else 1
    change: dict[str, Any] = {"phase": "Holding", "held": times}
    if judge_failed:
        pause = backoff(times - 1, limit=MAX_RETRY_PAUSE)
        finding = f"the judge failed ({outcome.reason}): {outcome.message}"[:MAX_FINDING_CHARACTERS]
        change |= {"retry_at": rollout.now + pause, "message": finding, "internal_errors": internal_errors}
    held = status.model_copy(update=change)
    message = _holding_message(rollout.with_status(held), held.message)
    return at_this_step(rollout, held, "CannotMeasure", message)


def _give_up(
    rollout: RolloutInProgress, status: RolloutStatus, outcome: Outcome, internal_errors: int | None
) -> Transition:
    finding = f"the judge failed ({outcome.reason}): {outcome.message[-MAX_FINDING_CHARACTERS:]}"
    given_up = {"internal_errors": internal_errors, "given_up": _retry_scope(rollout)}
    status = status.model_copy(update={"phase": "Holding", "message": finding, **given_up})
    event = Event(INTERNAL_ERROR, _given_up_message(finding), "Warning", action="Measure")
    return replace(at_this_step(rollout, status, "CannotMeasure", event.message), events=(event,))


def roll_back(rollout: RolloutInProgress, status: RolloutStatus) -> Transition:
    """The challenger is rejected by the finding in the status, and goes."""
    finding = f"Challenger '{status.challenger}' {status.message}".rstrip(".")
    message = f"{finding}; champion '{rollout.champion.version}' answers all traffic."
    if status.mode != "Shadow":
        message = f"{message} What the challenger failed, the champion answered."
    rejection = Rejection(
        version=status.challenger,
        at=rollout.now,
        message=f"{finding}."[:MAX_REJECTION_CHARACTERS],
        numbers=status.numbers,
    )
    rejected = (*rollout.valid_rejections(), rejection)[-MAX_REJECTIONS:]
    reported = message[:MAX_MESSAGE_CHARACTERS]
    ended = {"phase": "RolledBack", "since": rollout.now, "percent": None, "message": reported}
    other = rollout.seen.other
    return Transition(
        rollout.champion,
        rollout.seen.active,
        status.model_copy(update={**ended, "rejected": rejected}),
        challenger=other.target,
        challenger_replicas=other.replicas,
        retain_judge=True,
        reason="RolledBack",
        message=message,
        progressing=False,
        requeue_after=ROUTE_GRACE_PERIOD,
        events=(Event("ChallengerRejected", message, "Warning", action="RollBack"),),
    )


def at_this_step(
    rollout: RolloutInProgress,
    status: RolloutStatus,
    reason: str,
    message: str,
    *,
    judge: bool = False,
    requeue_after: timedelta = REQUEUE_NOW,
) -> Transition:
    """All servers and routes stay as they are. Without `judge`, the Job that ended stays too, since its outcome is being written."""
    return replace(
        continue_rollout(rollout, reason, f"{rollout.progress} {message}", requeue_after),
        status=status,
        percent=rollout.step.percent,
        judge=rollout if judge else None,
        retain_judge=not judge,
        progressing=reason != "RolloutPaused",
    )


def _holding_message(rollout: RolloutInProgress, finding: str | None) -> str:
    return f"This step is held and measured again, for up to {rollout.max_duration}: {finding}"


def status_after(status: RolloutStatus, outcome: Outcome, verdict: str) -> RolloutStatus:
    """The status with what the judge found."""
    finding = str(outcome.facts.get("message") or "")[:MAX_FINDING_CHARACTERS]
    return status.model_copy(
        update={
            "judgements": (status.judgements or 0) + 1,
            "verdict": verdict,
            "message": finding,
            "numbers": _numbers(outcome.facts.get("numbers")),
            "examples": outcome.outputs.get("examples"),
            "retry_at": None,
            "held": None,
            "internal_errors": None,
            "given_up": None,
        }
    )


def _numbers(found: object) -> dict[str, str] | None:
    """The measured numbers as text of six digits, since specs and statuses hold no floats."""
    if not isinstance(found, Mapping):
        return None
    numbers = list(found.items())[:MAX_NUMBERS]
    return {str(name): f"{value:.6g}" for name, value in numbers if isinstance(value, int | float)} or None
