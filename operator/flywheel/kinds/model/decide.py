"""What a Model says: who is champion, and why nobody else is.

The champion in the status stays until another version beats it, spec.champion names another, or its ModelVersion is deleted.
So whatever goes missing, the servers that follow the Model keep what they have.
"""

from dataclasses import replace

from flywheel.core.resource.api import MODEL_VERSION
from flywheel.core.resource.plan import Event, Patch, Plan, Removal
from flywheel.core.resource.values import Digest
from flywheel.kinds.model.audit import recorded
from flywheel.kinds.model.children import Model
from flywheel.kinds.model.observe import Seen, Version
from flywheel.kinds.model.promotion.comparison import LONGEST_MESSAGE, Choice, choose, judge, number
from flywheel.kinds.model.schema.status import MAX_CANDIDATES, MAX_HISTORY, Challenger, ModelStatus, Reign, Verdict

REFUSALS = ("RolledBack", "NotBetter", "NotComparable", "GateFailed", "NoObjective", "MetricMissing", "Archived")
WAITING = ("AwaitingApproval", "Measuring")  # nothing is wrong with these, and somebody would like to know


def decide(model: Model, seen: Seen) -> Plan:
    """The plan for what is seen."""
    plan = (
        pinned_champion_is_missing(model, seen)
        or there_is_no_champion(model, seen)
        or champion_is_no_longer_verified(model, seen)
        or there_is_a_champion(model, seen)
    )
    return replace(recorded(model, seen, plan), patches=_touches(model, seen))


def _touches(model: Model, seen: Seen) -> tuple[Patch, ...]:
    """Those that should go with the Model carry its owner reference, and the others do not."""
    wanted = model.spec.deletion_policy == "Delete"
    return tuple(
        Patch(MODEL_VERSION, each.name, each.uid, owned=wanted) for each in seen.versions if each.owned != wanted
    )


def pinned_champion_is_missing(model: Model, seen: Seen) -> Plan | None:
    """The old champion stays until the pinned one can take over."""
    name = model.spec.champion
    pinned = _named(name, seen)
    if name is None or (pinned is not None and (pinned.ready or name == model.status.champion)):
        return None
    if seen.pinned_belongs_to is not None:
        finding = f"ModelVersion '{name}' belongs to Model '{seen.pinned_belongs_to}'; pin one of this Model's versions"
    elif pinned is None:
        finding = (
            f"ModelVersion '{name}' does not exist in namespace '{model.namespace}'; create it or correct spec.champion"
        )
    else:
        finding = (
            f"ModelVersion '{name}' is not verified ({pinned.reason}); see its conditions or correct spec.champion"
        )
    old = _named(model.status.champion, seen)
    meanwhile = f" Champion '{old.name}' stays meanwhile." if old else ""
    return Plan(
        ready=False,
        reason="ChampionNotReady" if pinned else "ChampionNotFound",
        message=f"Waiting for the pinned champion: {finding}.{meanwhile}",
        status=_status(model, seen, Choice(old)).model_copy(update=_as_it_was(model)),
        summary=f"pinned {name} is missing" if pinned is None else f"pinned {name} is not ready",
    )


def there_is_no_champion(model: Model, seen: Seen) -> Plan | None:
    """No version at all, none verified yet, or none that passes."""
    choice = _choice(model, seen)
    if choice.champion is not None:
        return None
    status = _status(model, seen, choice)
    if not seen.versions:
        message = f"Model '{model.name}' has no version yet; let an Experiment register one (spec.register: {model.name}) or create a ModelVersion with spec.model: {model.name}."
        return Plan(ready=False, reason="NoVersion", message=message, status=status, summary="no version yet")
    known = [verdict for verdict in status.candidates if verdict.verdict in (*WAITING, *REFUSALS)]
    told = sorted(known, key=lambda verdict: verdict.verdict not in WAITING)
    reason = told[0].verdict if told else "WaitingForVersion"
    about = told[0] if told else status.candidates[0]
    return Plan(
        ready=False,
        reason=reason,
        message=f"No version of Model '{model.name}' is champion yet. ModelVersion '{about.version}': {about.message}.",
        status=status,
        summary=f"no champion, {_count(seen)}",
        removals=_removals(model, seen, None),
    )


def champion_is_no_longer_verified(model: Model, seen: Seen) -> Plan | None:
    """A later verification found fault with it. Nobody takes over by that alone, and it is served on."""
    choice = _choice(model, seen)
    if choice.champion is None or choice.champion.ready:
        return None
    name = choice.champion.name
    return Plan(
        ready=False,
        reason="ChampionNotReady",
        message=f"Champion '{name}' is no longer verified ({choice.champion.reason}) and is served on; see ModelVersion '{name}', or pin another version with spec.champion.",
        status=_status(model, seen, choice),
        summary=_summary(model, seen, choice.champion),
    )


def there_is_a_champion(model: Model, seen: Seen) -> Plan:
    """The message also tells why the newest version is not."""
    choice = _choice(model, seen)
    champion = choice.champion
    assert champion is not None, "that was asked before"
    status = _status(model, seen, choice)
    newest = next((each for each in status.candidates if each.verdict == "AwaitingApproval"), status.candidates[0])
    refused = newest.verdict in (*REFUSALS, "AwaitingApproval")
    which = "The newest" if newest is status.candidates[0] else "Another"
    told = refused or newest.verdict == "Measuring"
    why = f" {which}, '{newest.version}', is not ({newest.verdict}): {newest.message}." if told else ""
    hint = (
        " Name it in spec.champion to serve it all the same."
        if newest.verdict == "NoObjective"
        else " Name it in spec.champion to serve it all the same, or add a gate 'champion', which scores both on the same rows."
        if newest.verdict == "NotComparable"
        else ""
    )
    pinned = _about_the_pin(model, seen)
    changed = status.history[-1:] != model.status.history[-1:]
    return Plan(
        ready=True,
        reason=_barred_pin(model, seen)
        if pin_was_rolled_back(model, seen)
        else "Pinned"
        if model.spec.champion
        else newest.verdict
        if refused
        else "ChampionChosen",
        message=f"ModelVersion '{champion.name}' is champion of {_count(seen)}.{pinned}{why}{hint}",
        status=status,
        summary=_summary(model, seen, champion),
        removals=_removals(model, seen, champion),
        events=(Event("ChampionChanged", status.history[-1].message, action="Promote"),) if changed else (),
    )


def pin_was_rolled_back(model: Model, seen: Seen) -> bool:
    """Git asks for a version that a rollout found bad, or that is archived; it is not offered until somebody clears that."""
    pinned = _named(model.spec.champion, seen)
    return pinned is not None and pinned.barred


def _about_the_pin(model: Model, seen: Seen) -> str:
    if model.spec.champion is None:
        return ""
    if not pin_was_rolled_back(model, seen):
        return " It is pinned by spec.champion."
    pinned = _named(model.spec.champion, seen)
    if pinned is not None and pinned.rejected is None:
        return (
            f" spec.champion names '{pinned.name}', which is archived; set its spec.archived to false, or name another."
        )
    finding = pinned.rejected if pinned else ""
    return f" spec.champion names '{model.spec.champion}', which was rolled back: {finding} To offer it again, set annotation flywheel.ml/clear-rejection on it to any new value."


def _barred_pin(model: Model, seen: Seen) -> str:
    pinned = _named(model.spec.champion, seen)
    return "PinRolledBack" if pinned is not None and pinned.rejected is not None else "PinArchived"


def _choice(model: Model, seen: Seen) -> Choice:
    current = _named(model.status.champion, seen)
    pinned = _named(model.spec.champion, seen)
    if current is not None and current.barred:
        return _whoever_was_before(model, seen, current)
    if pinned is not None and pinned.barred:
        return Choice(current) if current is not None else choose(model.spec, None, seen.versions)
    if pinned is None:
        return choose(model.spec, current, seen.versions)
    if current is not None and pinned.name == current.name:
        return Choice(pinned)
    return Choice(pinned, Verdict(version=pinned.name, verdict="Pinned", message="spec.champion names it"))


def _whoever_was_before(model: Model, seen: Seen, current: Version) -> Choice:
    """The champion was rolled back or archived: the last one before it that is good becomes champion again; a rollout back is no gain to be proven."""
    for reign in reversed(model.status.history):
        before = _named(reign.version, seen)
        if before is not None and before.ready and not before.barred:
            why = "Archived" if current.rejected is None else "RolledBack"
            words = "was archived" if current.rejected is None else f"was rolled back: {current.rejected}"
            finding = f"'{current.name}' {words}"[:LONGEST_MESSAGE]
            return Choice(before, Verdict(version=before.name, verdict=why, message=finding))
    return choose(model.spec, None, seen.versions)


def _status(model: Model, seen: Seen, choice: Choice) -> ModelStatus:
    champion, metric = choice.champion, model.spec.objective.metric if model.spec.objective else None
    verdicts = [judge(model.spec, version, champion) for version in reversed(seen.versions)]
    history = _history(model, seen, choice)
    return ModelStatus(
        champion=champion.name if champion else None,
        champion_digest=champion.digest if champion else None,
        champion_metric=champion.metrics.get(metric) if champion and metric else None,
        versions=len(seen.versions),
        candidates=tuple(verdicts[:MAX_CANDIDATES]),
        challenger=_challenger(model, verdicts, champion),
        promotions=history[-1].number if history else None,
        audit=model.status.audit,
        history=history,
    )


def _challenger(model: Model, verdicts: list[Verdict], champion: Version | None) -> Challenger | None:
    """The oldest of those that wait to be measured: one at a time, since whoever wins is whom the next one has to beat."""
    oldest = next((each for each in reversed(verdicts) if each.verdict == "Measuring"), None)
    if oldest is None:
        return None
    return Challenger(
        version=oldest.version,
        champion=champion.name if champion else None,
        champion_digest=Digest(champion.digest) if champion and champion.digest else None,
        gates=model.spec.gates_hash(),
    )


def _as_it_was(model: Model) -> dict[str, object]:
    kept = ("champion", "champion_digest", "champion_metric")
    return {field: getattr(model.status, field) for field in kept}


def _history(model: Model, seen: Seen, choice: Choice) -> tuple[Reign, ...]:
    old = model.status.history
    if choice.champion is None or choice.won is None:
        return old
    first = "Succession" if old else "FirstVersion"
    reason = first if choice.won.verdict == "Champion" else choice.won.verdict
    before = f", after '{model.status.champion}'" if model.status.champion else ""
    approved = choice.champion.approved if model.spec.promotion == "Approval" and reason != "Pinned" else None
    by = f", approved by '{approved.by}' ({approved.reason})" if approved else ""
    numbers = f": {choice.won.message}" if choice.won.message else ""
    reign = Reign(
        number=(model.status.promotions or 0) + 1,
        version=choice.champion.name,
        digest=choice.champion.digest,
        since=seen.now.replace(microsecond=0),
        reason=reason,
        message=f"'{choice.champion.name}' is champion{before} ({reason}{by}){numbers}"[:LONGEST_MESSAGE],
        approved_by=approved.by if approved else None,
        approved_at=approved.at if approved else None,
    )
    return (*old, reign)[-MAX_HISTORY:]


def _removals(model: Model, seen: Seen, champion: Version | None) -> tuple[Removal, ...]:
    """The oldest of those that may go, as many as there are too many."""
    retention = model.spec.retention
    if retention is None:
        return ()
    nominated = model.status.challenger.version if model.status.challenger else None
    stay = {champion.name if champion else None, model.spec.champion, model.status.champion, nominated}
    may_go = [each for each in seen.versions if each.name not in stay and not each.used and each.registered]
    surplus = max(0, len(seen.versions) - retention.versions)
    return tuple(Removal(MODEL_VERSION, each.name, each.uid) for each in may_go[:surplus])


def _named(name: str | None, seen: Seen) -> Version | None:
    return next((version for version in seen.versions if version.name == name), None)


def _summary(model: Model, seen: Seen, champion: Version) -> str:
    metric = model.spec.objective.metric if model.spec.objective else None
    value = number(metric, champion) if metric else None
    told = f", {metric} {value:.3g}" if value is not None else ""
    return f"champion {champion.name}{told}, {_count(seen)}"


def _count(seen: Seen) -> str:
    return f"{len(seen.versions)} version{'' if len(seen.versions) == 1 else 's'}"
