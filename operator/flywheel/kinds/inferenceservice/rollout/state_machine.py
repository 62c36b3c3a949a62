"""Where a rollout goes from what is seen: each rule is a situation with a name, the first that applies says the move."""

from dataclasses import replace
from typing import Literal

from flywheel.core.resource.model_reference import Target
from flywheel.kinds.inferenceservice import children
from flywheel.kinds.inferenceservice.observe import Seen
from flywheel.kinds.inferenceservice.rollout.canary_analysis import step_is_judged
from flywheel.kinds.inferenceservice.rollout.capacity import does_not_fit
from flywheel.kinds.inferenceservice.rollout.observe import ABORT_ANNOTATION
from flywheel.kinds.inferenceservice.rollout.transition import (
    AT_ONCE,
    IN_PROGRESS,
    SOON,
    Move,
    ended,
    is_under_way,
    promoted,
    rejection,
    remembered,
    servers_for,
    stands,
    step_now,
    steps_of,
    whole,
    without_challenger,
)
from flywheel.kinds.inferenceservice.schema import InferenceService
from flywheel.kinds.inferenceservice.schema.rollout import RolloutStatus
from flywheel.kinds.inferenceservice.slots import other


def move(service: InferenceService, seen: Seen) -> Move:
    """What to do."""
    standing = served_now(service, seen)
    if standing is None or service.spec.rollout is None:
        return Move(seen.wanted or standing, seen.rollout.active)
    return (
        nobody_can_be_hurt(service, seen, standing)
        or pointer_was_moved(service, seen, standing)
        or nobody_should_answer(service, seen, standing)
        or nothing_is_offered(service, seen, standing)
        or what_is_wanted_is_served(service, seen, standing)
        or wanted_was_rolled_back(service, seen, standing)
        or wanted_was_aborted(service, seen, standing)
        or wanted_is_kept_warm(service, seen, standing)
        or a_challenger_comes(service, seen, standing)
        or challenger_starts(service, seen, standing)
        or challenger_takes_over(service, seen, standing)
        or step_is_judged(service, seen, standing)
    )


def served_now(service: InferenceService, seen: Seen) -> Target | None:
    """What those servers have to whom the front Service leads."""
    if seen.servers is not None and seen.servers.target is not None:
        return seen.servers.target
    status = service.status
    return Target(status.version, str(status.digest)) if status.version and status.digest else None


def nobody_can_be_hurt(service: InferenceService, seen: Seen, standing: Target) -> Move | None:
    """What stands never answered, so there is nobody to compare with and nothing to lose: the first version, or its correction."""
    never = seen.servers is not None and seen.servers.ready == 0 and not seen.servers.proven
    if not never or seen.wanted in (None, standing) or service.status.rollout is not None:
        return None
    return Move(seen.wanted, seen.rollout.active)


def pointer_was_moved(service: InferenceService, seen: Seen, standing: Target) -> Move | None:
    """The operator ended between moving the pointer and saying so."""
    status, left = service.status.rollout, seen.rollout.other
    if status is None or left is None or left.target is None:
        return None
    went_back = status.phase == "Promoted" and (standing.version, left.target.version) == (
        status.champion,
        status.challenger,
    )
    if not went_back and not is_under_way(status, standing):
        return None
    return promoted(service, seen, standing, left.target, seen.rollout.active, _takes_over(standing, left.target))


def nobody_should_answer(service: InferenceService, seen: Seen, standing: Target) -> Move | None:
    """Suspended, or scaled to nothing. A new version is judged once somebody answers again."""
    if children.replicas(service) > 0:
        return None
    return Move(standing, seen.rollout.active, ended(service.status.rollout, seen.now, "No server runs."))


def nothing_is_offered(service: InferenceService, seen: Seen, standing: Target) -> Move | None:
    """The Model or version is gone or in doubt: all stays as it is, and nothing goes on."""
    if seen.wanted is not None:
        return None
    status, found = service.status.rollout, seen.rollout.other
    said = Move(standing, seen.rollout.active, status, kept=True)
    if status is None or status.phase not in IN_PROGRESS or found is None:
        return _with_the_warm_one(service, seen, said)
    return replace(said, challenger=found.target, count=found.replicas, percent=status.percent)


def what_is_wanted_is_served(service: InferenceService, seen: Seen, standing: Target) -> Move | None:
    """Nothing to roll out. What the last rollout left behind goes in its time, and its end stays told."""
    if seen.wanted != standing:
        return None
    status = ended(service.status.rollout, seen.now, f"Version '{standing.version}' is wanted again.")
    if status is not None and status.phase == "Promoted":
        return _with_the_warm_one(service, seen, Move(standing, seen.rollout.active, status))
    said = Move(standing, seen.rollout.active, status)
    if status is not None and status.phase == "RolledBack" and status.message:
        said = replace(said, reason="RolledBack", message=status.message, progressing=False)
    return without_challenger(seen, said)


def wanted_was_rolled_back(service: InferenceService, seen: Seen, standing: Target) -> Move | None:
    """Until somebody clears the mark, or asks for another version."""
    assert seen.wanted is not None, "nothing_is_offered came before"
    finding = rejection(seen, service.status.rollout, seen.wanted)
    if finding is None:
        return None
    words = f"ModelVersion '{seen.wanted.version}' was found bad: {finding}"
    status = ended(service.status.rollout, seen.now, words)
    own = status is not None and status.phase == "RolledBack" and status.challenger == seen.wanted.version
    said = status.message if own and status is not None and status.message else words
    said = f"{said} To try it again, set annotation flywheel.ml/clear-rejection on ModelVersion '{seen.wanted.version}' to any new value."
    held = Move(standing, seen.rollout.active, status, reason="RolledBack", message=said, progressing=False)
    return without_challenger(seen, held)


def wanted_was_aborted(service: InferenceService, seen: Seen, standing: Target) -> Move | None:
    """Somebody said so by annotation; no mark on the version."""
    assert seen.wanted is not None, "nothing_is_offered came before"
    if seen.rollout.abort != seen.wanted.version:
        return None
    words = f"The rollout of '{seen.wanted.version}' was aborted; champion '{standing.version}' answers all traffic."
    status = ended(service.status.rollout, seen.now, words)
    told = f"{words} Remove annotation {ABORT_ANNOTATION} to begin it again."
    said = Move(standing, seen.rollout.active, status, reason="RolloutAborted", message=told, progressing=False)
    return without_challenger(seen, said)


def wanted_is_kept_warm(service: InferenceService, seen: Seen, standing: Target) -> Move | None:
    """It answered everybody until a short while ago, so it need not be judged: the pointer goes back."""
    assert seen.wanted is not None, "nothing_is_offered came before"
    status = service.status.rollout
    if status is None or status.phase != "Promoted" or status.champion != seen.wanted.version:
        return None
    if not stands(service, seen, seen.wanted, children.replicas(service)):
        return None
    words = f"Version '{seen.wanted.version}', which was kept warm, answers again in place of '{standing.version}'."
    return promoted(service, seen, seen.wanted, standing, other(seen.rollout.active), words)


def a_challenger_comes(service: InferenceService, seen: Seen, standing: Target) -> Move | None:
    """Another version is wanted than the one that answers, and no rollout of it is under way."""
    old, rollout, wanted = service.status.rollout, service.spec.rollout, seen.wanted
    assert rollout is not None, "asked before"
    assert wanted is not None, "nothing_is_offered came before"
    mode: Literal["Canary", "Shadow"] = "Canary" if rollout.canary else "Shadow"
    if old is not None and old.mode == mode and is_under_way(old, wanted):
        return None
    if rollout.paused:
        words = f"Version '{wanted.version}' waits, since spec.rollout.paused is true; champion '{standing.version}' answers all traffic."
        status = ended(old, seen.now, words)
        paused = Move(standing, seen.rollout.active, status, reason="RolloutPaused", message=words, progressing=False)
        return without_challenger(seen, paused)
    now = whole(seen.now)
    status = RolloutStatus(
        phase="Starting",
        mode=mode,
        challenger=wanted.version,
        digest=wanted.digest,
        champion=standing.version,
        step=1,
        started=now,
        since=now,
        rejected=remembered(old, seen, wanted),
    )
    return _waits_for_servers(service, seen, standing, wanted, status)


def challenger_starts(service: InferenceService, seen: Seen, standing: Target) -> Move | None:
    """Until as many of its servers answer as the step needs; then the step begins."""
    status, wanted = service.status.rollout, seen.wanted
    assert status is not None, "a_challenger_comes came before"
    assert wanted is not None, "nothing_is_offered came before"
    if status.phase != "Starting":
        return None
    step = step_now(service, status)
    if not stands(service, seen, wanted, servers_for(service, step.percent)):
        return _waits_for_servers(service, seen, standing, wanted, status)
    began = status.model_copy(
        update={"phase": "Judging", "percent": step.percent, "since": whole(seen.now), "verdict": None, "message": None}
    )
    return Move(
        standing,
        seen.rollout.active,
        began,
        challenger=wanted,
        count=servers_for(service, step.percent),
        percent=step.percent,
        reason=f"{status.mode}Judged",
        message=told(service, status, standing, f"Step {status.step} begins."),
        look_again=AT_ONCE,
    )


def challenger_takes_over(service: InferenceService, seen: Seen, standing: Target) -> Move | None:
    """All steps are passed: as many of its servers as the champion has, then the pointer."""
    status, wanted, rollout = service.status.rollout, seen.wanted, service.spec.rollout
    assert status is not None, "a_challenger_comes came before"
    assert wanted is not None, "nothing_is_offered came before"
    assert rollout is not None, "asked before"
    if status.phase != "Promoting":
        return None
    count = children.replicas(service)
    if not rollout.paused and stands(service, seen, wanted, count):
        return promoted(service, seen, wanted, standing, other(seen.rollout.active), _takes_over(wanted, standing))
    found = seen.rollout.other
    ready = min(found.ready, count) if found else 0
    diagnosis = f" {seen.rollout.diagnosis.message}" if seen.rollout.diagnosis else ""
    words = f"'{wanted.version}' passed every step; {ready} of {count} of its servers answer, then it takes over.{diagnosis}"
    return Move(
        standing,
        seen.rollout.active,
        status,
        challenger=wanted,
        count=count,
        percent=status.percent,
        reason="RolloutPaused" if rollout.paused else "Promoting",
        message=f"{words} spec.rollout.paused is true." if rollout.paused else words,
        progressing=not rollout.paused,
        look_again=SOON,
    )


def told(service: InferenceService, status: RolloutStatus, standing: Target, words: str) -> str:
    """Who challenges whom, how far it is, and what goes on."""
    assert service.spec.rollout is not None, "asked before"
    count = len(steps_of(service.spec.rollout))
    share = step_now(service, status).percent
    way = f"answers {share} %" if status.mode == "Canary" else f"gets copies of {share} %"
    return f"Challenger '{status.challenger}' {way} of the requests of '{standing.version}' (step {status.step} of {count}). {words}"


def _waits_for_servers(
    service: InferenceService, seen: Seen, standing: Target, wanted: Target, status: RolloutStatus
) -> Move:
    found, diagnosis = seen.rollout.other, seen.rollout.diagnosis
    count = servers_for(service, step_now(service, status).percent)
    ready = min(found.ready, count) if found and found.target == wanted else 0
    reason, words = "ChallengerStarting", f"{ready} of {count} servers of challenger '{wanted.version}' answer."
    if diagnosis is not None and found is not None and found.target == wanted:
        reason = "ChallengerDoesNotFit" if does_not_fit(service, diagnosis.message) else "ChallengerStuck"
        words = f"{words} {diagnosis.message}"
    if reason == "ChallengerDoesNotFit":
        words = f"{words} It is tried until there is room; or remove spec.rollout, and servers are replaced one by one without a challenger."
    return Move(
        standing,
        seen.rollout.active,
        status,
        challenger=wanted,
        count=count,
        percent=status.percent,
        reason=reason,
        message=f"{words} Champion '{standing.version}' answers meanwhile.",
        look_again=SOON,
    )


def _with_the_warm_one(service: InferenceService, seen: Seen, said: Move) -> Move:
    status, found = said.status, seen.rollout.other
    if status is None or status.phase != "Promoted" or status.keep_until is None or found is None:
        return said
    left = status.keep_until - seen.now
    if left.total_seconds() <= 0 or found.target is None:
        return said
    return replace(said, challenger=found.target, count=children.replicas(service), look_again=max(left, AT_ONCE))


def _takes_over(winner: Target, loser: Target) -> str:
    return f"Version '{winner.version}' passed every step and answers all traffic in place of '{loser.version}', which is kept warm."
