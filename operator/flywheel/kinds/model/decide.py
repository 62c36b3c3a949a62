"""What a Model needs next: which version is champion, and why no other is.

The champion in the status stays until another version beats it, spec.champion names another, or its ModelVersion is deleted.
So whatever goes missing, the servers that follow the Model go on with the same version.
"""

from flywheel.core.diagnosis.pod_status import to_sentence
from flywheel.core.resource.api import MODEL_VERSION
from flywheel.core.resource.plan import Decision, Event, Patch, Plan, Removal
from flywheel.core.resource.values import Digest
from flywheel.kinds.model import messages
from flywheel.kinds.model.audit import with_audit
from flywheel.kinds.model.children import Model
from flywheel.kinds.model.observe import Seen, Version
from flywheel.kinds.model.promotion.eligibility import approval_command, evaluate_candidate
from flywheel.kinds.model.promotion.succession import (
    Choice,
    choose_champion,
    history_with,
    is_replaced,
    needs_approval,
)
from flywheel.kinds.model.schema.status import (
    MAX_CANDIDATES,
    MAX_TOLERATED,
    REFUSING_VERDICTS,
    Candidate,
    Challenger,
    ModelStatus,
    ToleratedProblem,
)

WAITING_VERDICTS = ("AwaitingApproval", "Measuring")  # nothing is wrong with the version, and a user may have to act


def decide(model: Model, seen: Seen) -> Plan:
    """The plan for what is seen."""
    decision = pinned_champion_is_missing(model, seen)
    if decision is not None:
        status = _status_without_change(model, seen)
    else:
        choice = choose_champion(model, seen)
        status = _status(model, seen, choice)
        decision = _decision(model, seen, status, choice.champion)
    decision, audit = with_audit(model, seen, decision)
    return decision.plan(status.model_copy(update={"audit": audit}), patches=_owner_patches(model, seen))


def _decision(model: Model, seen: Seen, status: ModelStatus, champion: Version | None) -> Decision:
    if not seen.versions:
        return there_is_no_version(model)
    if champion is None:
        return there_is_no_champion(model, seen, status)
    if not champion.ready:
        return champion_is_not_verified(model, seen, champion)
    return champion_is_chosen(model, seen, status, champion)


def pinned_champion_is_missing(model: Model, seen: Seen) -> Decision | None:
    """The old champion stays until the pinned one can take over, and with the artifact of before if it is the pinned one itself."""
    name, pinned = model.spec.champion, seen.version(model.spec.champion)
    if name is None:
        return None
    if pinned is not None and not pinned.barred and needs_approval(model, pinned):
        return pinned_champion_was_replaced(model, pinned)
    if pinned is not None and (pinned.ready or name == model.status.champion):
        return None
    return Decision(
        ready=False,
        reason="ChampionNotReady" if pinned else "ChampionNotFound",
        message=messages.pinned_champion_is_missing(model, seen, name),
        summary=f"pinned {name} is not ready" if pinned else f"pinned {name} is missing",
    )


def pinned_champion_was_replaced(model: Model, pinned: Version) -> Decision:
    """A pin names an artifact that was promoted before, and not what has its name now."""
    return Decision(
        ready=False,
        reason="AwaitingApproval" if pinned.ready else "ChampionNotReady",
        message=messages.pinned_champion_was_replaced(model, pinned, approval_command(pinned, "")),
        summary=f"pinned {pinned.name} was replaced",
    )


def there_is_no_version(model: Model) -> Decision:
    """It waits for the first version."""
    message = f"Model '{model.name}' has no version yet; let an Experiment register one (spec.register: {model.name}) or create a ModelVersion with spec.model: {model.name}."
    return Decision(ready=False, reason="NoVersion", message=message, summary="no version yet")


def there_is_no_champion(model: Model, seen: Seen, status: ModelStatus) -> Decision:
    """No version is verified yet, or none passes."""
    waiting = [each for each in status.candidates if each.verdict in WAITING_VERDICTS]
    refused = [each for each in status.candidates if each.verdict in REFUSING_VERDICTS]
    telling = next(iter((*waiting, *refused)), None)
    about = telling or status.candidates[0]
    return Decision(
        ready=False,
        reason=telling.verdict if telling else "WaitingForVersion",
        message=f"No version of Model '{model.name}' is champion yet. ModelVersion '{about.version}': {to_sentence(about.message)}",
        summary=f"no champion, {messages.version_count(seen)}",
        removals=_surplus_versions(model, seen, None),
    )


def champion_is_not_verified(model: Model, seen: Seen, champion: Version) -> Decision:
    """A later verification found fault with it. No other version takes over by that alone, and it is served on."""
    name = champion.name
    return Decision(
        ready=False,
        reason="ChampionNotReady",
        message=f"Champion '{name}' is no longer verified ({champion.reason}) and is served on; see ModelVersion '{name}', or pin another version with spec.champion.",
        summary=messages.summary(model, seen, champion),
    )


def champion_is_chosen(model: Model, seen: Seen, status: ModelStatus, champion: Version) -> Decision:
    """The message also says why the newest version is not champion, or which one waits for approval."""
    newest = status.candidates[0]
    about = next((each for each in status.candidates if each.verdict == "AwaitingApproval"), newest)
    changed = status.history[-1:] != model.status.history[-1:]
    return Decision(
        ready=True,
        reason=_reason(model, seen, about),
        message=messages.champion_is_chosen(model, seen, champion, about, is_newest=about is newest)
        if about.verdict in (*REFUSING_VERDICTS, *WAITING_VERDICTS)
        else messages.who_is_champion(model, seen, champion),
        summary=messages.summary(model, seen, champion),
        removals=_surplus_versions(model, seen, champion),
        events=(Event("ChampionChanged", status.history[-1].message, action="Promote"),) if changed else (),
    )


def _reason(model: Model, seen: Seen, about: Candidate) -> str:
    pinned = seen.version(model.spec.champion)
    if pinned is not None and pinned.barred:
        return "PinRolledBack" if pinned.rejected is not None else "PinArchived"
    if model.spec.champion is not None:
        return "Pinned"
    return about.verdict if about.verdict in (*REFUSING_VERDICTS, "AwaitingApproval") else "ChampionChosen"


def _status(model: Model, seen: Seen, choice: Choice) -> ModelStatus:
    champion, metric = choice.champion, model.spec.objective.metric if model.spec.objective else None
    candidates = [evaluate_candidate(model.spec, version, champion) for version in reversed(seen.versions)]
    challenger, history = _challenger(model, candidates, champion), history_with(model, seen, choice)
    return ModelStatus(
        champion=champion.name if champion else None,
        champion_digest=champion.digest if champion else None,
        champion_metric=champion.metrics.get(metric) if champion and metric else None,
        versions=len(seen.versions),
        candidates=_listed_candidates(candidates, challenger),
        challenger=challenger,
        promotions=history[-1].number if history else None,
        history=history,
        tolerated=_tolerated(model, champion),
    )


def _tolerated(model: Model, champion: Version | None) -> tuple[ToleratedProblem, ...]:
    """The problems for which champions were not taken back, with that of the present one."""
    known, problem = model.status.tolerated, champion.problem if champion is not None else None
    if champion is None or problem is None:
        return known
    facts = {
        "version": champion.name,
        "monitor": problem.monitor,
        "kind": problem.kind,
        "since": problem.since,
        "reason": problem.reason,
    }
    if any({key: getattr(each, key) for key in facts} == facts for each in known):
        return known
    number = known[-1].number + 1 if known else 1
    entry = ToleratedProblem.model_validate(
        {**facts, "number": number, "digest": champion.digest, "message": problem.message}
    )
    return (*known, entry)[-MAX_TOLERATED:]


def _status_without_change(model: Model, seen: Seen) -> ModelStatus:
    """The status while the pinned champion is missing: the champion stays, though its ModelVersion may be deleted."""
    old = model.status
    champion = seen.version(old.champion)
    status = _status(model, seen, Choice(None if champion is None or is_replaced(model, champion) else champion))
    stays = ("champion", "champion_digest", "champion_metric")
    return status.model_copy(update={field: getattr(old, field) for field in stays})


def _listed_candidates(candidates: list[Candidate], challenger: Challenger | None) -> tuple[Candidate, ...]:
    """The newest versions, newest first. One that waits for its gates or for approval takes the place of one that does not."""
    always = {candidates[0].version if candidates else None, challenger.version if challenger else None}
    by_need = sorted(candidates, key=lambda each: (each.version not in always, each.verdict not in WAITING_VERDICTS))
    listed = {each.version for each in by_need[:MAX_CANDIDATES]}
    return tuple(each for each in candidates if each.version in listed)


def _challenger(model: Model, candidates: list[Candidate], champion: Version | None) -> Challenger | None:
    """The oldest version that waits to be measured. One is measured at a time, since the next has to beat the winner."""
    oldest = next((each for each in reversed(candidates) if each.verdict == "Measuring"), None)
    if oldest is None:
        return None
    beside = champion if model.spec.compares_champion else None
    return Challenger(
        version=oldest.version,
        champion=beside.name if beside else None,
        champion_digest=Digest(beside.digest) if beside and beside.digest else None,
        gates=model.spec.gates_hash(),
    )


def _surplus_versions(model: Model, seen: Seen, champion: Version | None) -> tuple[Removal, ...]:
    """The versions beyond spec.retention: the oldest of those that an Experiment made and nothing uses."""
    retention = model.spec.retention
    if retention is None:
        return ()
    nominated = model.status.challenger.version if model.status.challenger else None
    stay = {champion.name if champion else None, model.spec.champion, model.status.champion, nominated}
    removable = [each for each in seen.versions if each.name not in stay and not each.used and each.registered]
    surplus = max(0, len(seen.versions) - retention.versions)
    return tuple(Removal(MODEL_VERSION, each.name, each.uid) for each in removable[:surplus])


def _owner_patches(model: Model, seen: Seen) -> tuple[Patch, ...]:
    """Versions that are deleted with the Model carry its owner reference, and the others do not."""
    owned = model.spec.deletion_policy == "Delete"
    return tuple(
        Patch(MODEL_VERSION, each.name, each.uid, owned=owned) for each in seen.versions if each.owned != owned
    )
