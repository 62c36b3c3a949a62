"""An A/B test: a look at the labels from time to time, whose verdict promotes the challenger, rejects it, or lets the test go on."""

from dataclasses import replace
from datetime import datetime, timedelta

from flywheel.core.diagnosis.outcome import Outcome
from flywheel.core.requeue import PENDING_CHECK_INTERVAL, REQUEUE_NOW
from flywheel.core.resource.plan import Event
from flywheel.kinds.inferenceservice.rollout.canary_analysis import (
    PAUSED,
    at_this_step,
    given_up,
    hold,
    roll_back,
    status_after,
)
from flywheel.kinds.inferenceservice.rollout.context import RolloutInProgress
from flywheel.kinds.inferenceservice.rollout.transition import ROUTE_GRACE_PERIOD, Transition
from flywheel.kinds.inferenceservice.schema.rollout import MAX_MESSAGE_CHARACTERS, RolloutStatus

LAST_LOOKS = 5  # that fail after maxDuration, before the test ends without one


def look_decides(rollout: RolloutInProgress) -> Transition:
    """The next look is waited for until it has ended; then its verdict counts."""
    outcome = rollout.seen.judge.outcome
    if outcome is None:
        return given_up(rollout) or _wait_for_look(rollout)
    verdict = str(outcome.facts.get("verdict") or "") if outcome.result == "Succeeded" else ""
    if not verdict:
        return _look_failed(rollout, outcome)
    status = status_after(rollout.status, outcome, verdict).model_copy(update={"phase": "Judging"})
    if verdict == "NotBetter":
        return roll_back(rollout, status)
    if verdict == "Inconclusive":
        return _end_without_decision(rollout, status)
    return _win(rollout, status) if verdict == "Better" else _go_on(rollout, status)


def next_look(rollout: RolloutInProgress) -> datetime:
    """When the labels are looked at next, at the latest at the end of the test; all that is known by then counts."""
    status, test = rollout.status, rollout.spec.ab_test
    if status.next_look is not None or test is None:
        return status.next_look or status.since
    return min(status.since + test.look_interval, end_of_test(rollout))


def end_of_test(rollout: RolloutInProgress) -> datetime:
    """When the test ends without a decision."""
    return rollout.status.since + rollout.step.duration.timedelta


def _wait_for_look(rollout: RolloutInProgress) -> Transition:
    status, diagnosis, paused = rollout.status, rollout.seen.judge.diagnosis, rollout.spec.paused
    wait = max(next_look(rollout), status.retry_at or next_look(rollout)) - rollout.now
    waits = wait > timedelta(0)
    reason, message = "ABTestJudged", status.message or ""
    if status.verdict == "CannotMeasure" or status.phase == "Holding":
        reason = "CannotMeasure"
    message = f"The challenger {message}" if message and status.phase != "Holding" else message
    if diagnosis is not None:
        reason, message = "CannotMeasure", f"The judge does not run: {diagnosis.message}"
    if paused:
        reason, message = "RolloutPaused", PAUSED
    next_check = wait if waits else PENDING_CHECK_INTERVAL
    return at_this_step(rollout, status, reason, message, judge=not waits and not paused, requeue_after=next_check)


def _win(rollout: RolloutInProgress, status: RolloutStatus) -> Transition:
    if rollout.spec.paused:
        # The verdict stays where it is, and is read when the pause is over.
        return at_this_step(rollout, rollout.status, "RolloutPaused", PAUSED, requeue_after=PENDING_CHECK_INTERVAL)
    following = status.model_copy(update={"phase": "Promoting", "since": rollout.now, "next_look": None})
    return at_this_step(rollout, following, "Promoting", f"It {status.message}")


def _go_on(rollout: RolloutInProgress, status: RolloutStatus) -> Transition:
    test = rollout.spec.ab_test
    interval = test.look_interval if test is not None else timedelta(0)
    following = status.model_copy(update={"next_look": min(rollout.now + interval, end_of_test(rollout))})
    reason = "CannotMeasure" if status.verdict == "CannotMeasure" else "ABTestJudged"
    return at_this_step(rollout, following, reason, f"The challenger {status.message}")


def _look_failed(rollout: RolloutInProgress, outcome: Outcome) -> Transition:
    """It is tried again after longer and longer pauses; the test ends all the same."""
    held = hold(rollout, outcome)
    is_over = next_look(rollout) >= end_of_test(rollout) and (rollout.status.held or 0) + 1 >= LAST_LOOKS
    if not is_over or held.status is None:
        return held
    finding = (
        f"was tested for the whole of maxDuration without a decision, and the last looks failed: {held.status.message}"
    )
    return _end_without_decision(rollout, held.status.model_copy(update={"message": finding, "retry_at": None}))


def _end_without_decision(rollout: RolloutInProgress, status: RolloutStatus) -> Transition:
    """The champion stays. The version is not rejected: nothing was found against it."""
    finding = f"Challenger '{status.challenger}' {status.message}".rstrip(".")
    message = f"{finding}; champion '{rollout.champion.version}' answers all traffic."[:MAX_MESSAGE_CHARACTERS]
    ended = {
        "phase": "Inconclusive",
        "verdict": "Inconclusive",
        "since": rollout.now,
        "percent": None,
        "message": message,
        "next_look": None,
    }
    stays = at_this_step(rollout, status.model_copy(update=ended), "ABTestInconclusive", message)
    other = rollout.seen.other
    return replace(
        stays,
        message=message,
        challenger=other.target,
        challenger_replicas=other.replicas,
        percent=None,
        progressing=False,
        requeue_after=max(ROUTE_GRACE_PERIOD, REQUEUE_NOW),
        events=(Event("ABTestInconclusive", message, "Warning", action="EndTest"),),
    )
