"""One step of a rollout: the judge Job measures, and its verdict says where to go."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from flywheel.core.backoff import backoff
from flywheel.core.diagnosis.outcome import Outcome
from flywheel.core.resource.model_reference import Target
from flywheel.core.resource.plan import Event
from flywheel.kinds.inferenceservice.observe import Seen
from flywheel.kinds.inferenceservice.rollout.transition import (
    AT_ONCE,
    SETTLES,
    SOON,
    Move,
    at_most,
    remembered,
    servers_for,
    step_now,
    steps_of,
    whole,
)
from flywheel.kinds.inferenceservice.schema import InferenceService
from flywheel.kinds.inferenceservice.schema.rollout import MOST_REJECTIONS, Rejection, RolloutStatus

LONGEST_PAUSE = timedelta(minutes=5)
LONGEST_FINDING = 400


def step_is_judged(service: InferenceService, seen: Seen, standing: Target) -> Move:
    """The verdict, if there is one; else the judge measures."""
    status, outcome = service.status.rollout, seen.rollout.outcome
    assert status is not None, "a step is judged only once a rollout is under way"
    if outcome is None:
        return _judge_measures(service, seen, standing, status)
    verdict = str(outcome.facts.get("verdict") or "") if outcome.result == "Succeeded" else ""
    if verdict == "Breach":
        return _rolled_back(service, seen, standing, _after(status, outcome, "Breach"))
    if verdict == "Pass":
        return _passed(service, seen, standing, _after(status, outcome, "Pass"))
    return _held(service, seen, standing, status, outcome)


def _judge_measures(service: InferenceService, seen: Seen, standing: Target, status: RolloutStatus) -> Move:
    rollout = service.spec.rollout
    assert rollout is not None, "who has no rollout has no step"
    waits = status.retry_at is not None and status.retry_at > seen.now
    diagnosis = seen.rollout.judge_diagnosis
    reason, words = f"{status.mode}Judged", f"It is measured for {step_now(service, status).duration}."
    if status.phase == "Holding" and status.message:
        reason, words = (
            "CannotMeasure",
            f"This step is held and measured again, for up to {at_most(service, status)}: {status.message}",
        )
    if diagnosis is not None:
        reason, words = "CannotMeasure", f"The judge does not run: {diagnosis.message}"
    if rollout.paused:
        reason, words = "RolloutPaused", "It stays here while spec.rollout.paused is true."
    left = status.retry_at - seen.now if waits and status.retry_at is not None else SOON
    return _at_this_step(
        service, seen, standing, status, reason, words, judge=not waits and not rollout.paused, look_again=left
    )


def _passed(service: InferenceService, seen: Seen, standing: Target, status: RolloutStatus) -> Move:
    rollout = service.spec.rollout
    assert rollout is not None, "who has no rollout has no step"
    if rollout.paused:
        # The verdict is left where it is, and read when the pause is over.
        words = "It stays here while spec.rollout.paused is true."
        before = service.status.rollout
        assert before is not None, "asked before"
        return _at_this_step(service, seen, standing, before, "RolloutPaused", words)
    last = (status.step or 1) >= len(steps_of(rollout))
    change: dict[str, Any] = {"phase": "Promoting"} if last else {"phase": "Starting", "step": (status.step or 1) + 1}
    following = status.model_copy(update={**change, "since": whole(seen.now)})
    words = f"Step {status.step} is passed: it {status.message}"
    return _at_this_step(service, seen, standing, following, "Promoting" if last else f"{status.mode}Judged", words)


def _held(service: InferenceService, seen: Seen, standing: Target, status: RolloutStatus, outcome: Outcome) -> Move:
    """Never on, and never back: what cannot be measured is measured again, longer each time; what failed, after longer and longer pauses."""
    after, times = _after(status, outcome, "CannotMeasure"), (status.held or 0) + 1
    change: dict[str, Any] = {"phase": "Holding", "held": times}
    if outcome.result != "Succeeded":
        pause = backoff(times - 1, longest=LONGEST_PAUSE)
        words = f"the judge failed ({outcome.reason}): {outcome.message}"[:LONGEST_FINDING]
        change |= {"retry_at": whole(seen.now + pause), "message": words}
    held = after.model_copy(update=change)
    said = f"This step is held and measured again, for up to {at_most(service, held)}: {held.message}"
    return _at_this_step(service, seen, standing, held, "CannotMeasure", said)


def _rolled_back(service: InferenceService, seen: Seen, standing: Target, status: RolloutStatus) -> Move:
    now = whole(seen.now)
    finding = f"Challenger '{status.challenger}' {status.message}".rstrip(".")
    words = f"{finding}; champion '{standing.version}' answers all traffic."
    if status.mode == "Canary":
        words = f"{words} What the challenger failed, the champion answered."
    mark = Rejection(version=status.challenger, at=now, message=f"{finding}."[:512], numbers=status.numbers)
    rejected = (*remembered(status, seen, None), mark)[-MOST_REJECTIONS:]
    done = {"phase": "RolledBack", "since": now, "percent": None, "message": words, "rejected": rejected}
    found = seen.rollout.other
    return Move(
        standing,
        seen.rollout.active,
        status.model_copy(update=done),
        challenger=found.target if found else None,
        count=found.replicas if found else 0,
        kept=True,
        reason="RolledBack",
        message=words,
        progressing=False,
        look_again=SETTLES,
        events=(Event("ChallengerRejected", words, "Warning", action="RollBack"),),
    )


def _at_this_step(
    service: InferenceService,
    seen: Seen,
    standing: Target,
    status: RolloutStatus,
    reason: str,
    words: str,
    *,
    judge: bool = False,
    look_again: timedelta = AT_ONCE,
) -> Move:
    """Everything stays where it is. Without `judge`, the Job that ended stays too, since its outcome is being written."""
    before = service.status.rollout
    assert before is not None, "a step is judged only once a rollout is under way"
    share = step_now(service, before).percent
    way = f"answers {share} %" if status.mode == "Canary" else f"gets copies of {share} %"
    count = len(steps_of(service.spec.rollout)) if service.spec.rollout else 0
    where = f"of the requests of '{standing.version}' (step {before.step} of {count})"
    return Move(
        standing,
        seen.rollout.active,
        status,
        challenger=seen.wanted,
        count=servers_for(service, share),
        percent=share,
        judge=judge,
        kept=not judge,
        reason=reason,
        message=f"Challenger '{status.challenger}' {way} {where}. {words}",
        progressing=reason != "RolloutPaused",
        look_again=look_again,
    )


def _after(status: RolloutStatus, outcome: Outcome, verdict: str) -> RolloutStatus:
    """The status with what a judge Job found."""
    finding = str(outcome.facts.get("message") or "")[:LONGEST_FINDING]
    return status.model_copy(
        update={
            "judgements": (status.judgements or 0) + 1,
            "verdict": verdict,
            "message": finding,
            "numbers": _numbers(outcome.facts.get("numbers")),
            "examples": outcome.outputs.get("examples"),
            "retry_at": None,
            "held": None,
        }
    )


def _numbers(found: object) -> dict[str, str] | None:
    """Six digits tell enough, and specs and statuses hold no floats."""
    if not isinstance(found, Mapping):
        return None
    told = {str(name): f"{value:.6g}" for name, value in list(found.items())[:24] if isinstance(value, int | float)}
    return told or None
