"""Which version becomes champion, and the history of the champions."""

from collections.abc import Iterable
from dataclasses import dataclass

from flywheel.kinds.model.children import Model
from flywheel.kinds.model.observe import Seen, Version
from flywheel.kinds.model.promotion.eligibility import WINNING_VERDICTS, evaluate_candidate
from flywheel.kinds.model.schema.spec import ModelSpec
from flywheel.kinds.model.schema.status import MAX_HISTORY, MAX_MESSAGE_CHARACTERS, Candidate, Promotion


@dataclass(frozen=True)
class Choice:
    """The champion (None: there is none yet), and its verdict as a candidate (None: it was champion before)."""

    champion: Version | None
    candidate: Candidate | None = None


def choose_champion(model: Model, seen: Seen) -> Choice:
    """The champion: the pinned version, else the present champion or whichever version beats it.

    A champion whose artifact was replaced competes as any other version, and its promotion is recorded anew.
    """
    current, pinned = seen.version(model.status.champion), seen.version(model.spec.champion)
    if current is not None and current.barred:
        return _previous_champion(model, seen, current)
    if current is not None and is_replaced(model, current):
        current = None
    if pinned is not None and pinned.barred:
        return Choice(current) if current is not None else challenge(model.spec, None, seen.versions)
    if pinned is None:
        return challenge(model.spec, current, seen.versions)
    if current is not None and pinned.name == current.name:
        return Choice(pinned)
    return Choice(pinned, Candidate(version=pinned.name, verdict="Pinned", message="spec.champion names it"))


def is_replaced(model: Model, version: Version) -> bool:
    """Whether a version has another artifact than when it was promoted, where the Model has promotion Approval.

    Its ModelVersion was deleted then, and another one created by the same name, which nobody has approved by that.
    """
    if model.spec.promotion != "Approval":
        return False
    promoted = next((each.digest for each in reversed(model.status.history) if each.version == version.name), None)
    if promoted is None and version.name == model.status.champion:
        promoted = model.status.champion_digest
    return promoted is not None and version.digest != promoted


def needs_approval(model: Model, version: Version) -> bool:
    """Whether a version that was champion, or is pinned, must be approved before it may be champion again."""
    return version.approved is None and is_replaced(model, version)


def challenge(spec: ModelSpec, current: Version | None, versions: Iterable[Version]) -> Choice:
    """The champion after every version, oldest first, has challenged whichever is champion by then."""
    choice = Choice(current)
    for version in versions:
        candidate = evaluate_candidate(spec, version, choice.champion)
        if candidate.verdict in WINNING_VERDICTS and version is not choice.champion:
            choice = Choice(version, candidate)
    return choice


def _previous_champion(model: Model, seen: Seen, current: Version) -> Choice:
    """The last good champion before one that was rolled back or archived. Going back needs no gain to be proven."""
    for promotion in reversed(model.status.history):
        before = seen.version(promotion.version)
        if before is not None and before.ready and not before.barred and not needs_approval(model, before):
            rolled_back = current.rejected is not None
            cause = f"was rolled back: {current.rejected}" if rolled_back else "was archived"
            message = f"'{current.name}' {cause}"[:MAX_MESSAGE_CHARACTERS]
            verdict = "RolledBack" if rolled_back else "Archived"
            return Choice(before, Candidate(version=before.name, verdict=verdict, message=message))
    return challenge(model.spec, None, seen.versions)


def history_with(model: Model, seen: Seen, choice: Choice) -> tuple[Promotion, ...]:
    """The history of champions, with the promotion of this choice if it is a change."""
    history, champion, candidate = model.status.history, choice.champion, choice.candidate
    if champion is None or candidate is None:
        return history
    first = "Succession" if history else "FirstVersion"
    reason = first if candidate.verdict == "Champion" else candidate.verdict
    before = f", after '{model.status.champion}'" if model.status.champion else ""
    approved = champion.approved if model.spec.promotion == "Approval" and reason != "Pinned" else None
    by = f", approved by '{approved.by}' ({approved.reason})" if approved else ""
    numbers = f": {candidate.message}" if candidate.message else ""
    promotion = Promotion(
        number=(model.status.promotions or 0) + 1,
        version=champion.name,
        digest=champion.digest,
        since=seen.now,
        reason=reason,
        message=f"'{champion.name}' is champion{before} ({reason}{by}){numbers}"[:MAX_MESSAGE_CHARACTERS],
        approved_by=approved.by if approved else None,
        approved_at=approved.at if approved else None,
    )
    return (*history, promotion)[-MAX_HISTORY:]
