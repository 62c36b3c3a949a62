"""The messages of a Model's conditions, and its summary."""

from flywheel.core.diagnosis.pod_status import to_sentence
from flywheel.kinds.model.children import Model
from flywheel.kinds.model.observe import Seen, Version
from flywheel.kinds.model.schema.status import Candidate

_HINTS = {
    "NoObjective": " Name it in spec.champion to serve it all the same.",
    "NotComparable": " Name it in spec.champion to serve it all the same, or add a gate 'champion', which scores both on the same rows.",
}


def pinned_champion_is_missing(model: Model, seen: Seen, name: str) -> str:
    """The version that spec.champion names does not exist, belongs to another Model, or is not verified."""
    pinned, old = seen.version(name), seen.version(model.status.champion)
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
    meanwhile = f" Champion '{old.name}' stays meanwhile." if old else ""
    return f"Waiting for the pinned champion: {finding}.{meanwhile}"


def pinned_champion_was_replaced(model: Model, pinned: Version, approval: str) -> str:
    """The version that spec.champion names has another artifact than when it was promoted, and no approval."""
    digest, champion = (pinned.digest or "not verified yet")[:15], model.status.champion
    finding = f"ModelVersion '{pinned.name}' was created anew with another artifact ({digest}) since it was promoted"
    stays = "The artifact of before" if champion == pinned.name else f"Champion '{champion}'"
    meanwhile = f" {stays} stays meanwhile." if champion else ""
    return f"Waiting for the pinned champion: {finding}.{meanwhile} As for the new artifact, {approval}"


def who_is_champion(model: Model, seen: Seen, champion: Version) -> str:
    """Which version is champion, and what became of the pin."""
    problem = f" {champion.problem.message}" if champion.problem else ""
    return f"ModelVersion '{champion.name}' is champion of {version_count(seen)}.{_about_the_pin(model, seen)}{problem}"


def champion_is_chosen(model: Model, seen: Seen, chosen: Version, about: Candidate, *, is_newest: bool) -> str:
    """Which version is champion, and why another one, most often the newest, is not."""
    which = "The newest" if is_newest else "Another"
    why = f" {which}, '{about.version}', is not ({about.verdict}): {to_sentence(about.message)}"
    return f"{who_is_champion(model, seen, chosen)}{why}{_HINTS.get(about.verdict, '')}"


def _about_the_pin(model: Model, seen: Seen) -> str:
    name, pinned = model.spec.champion, seen.version(model.spec.champion)
    if name is None:
        return ""
    if pinned is None or not pinned.barred:
        return " It is pinned by spec.champion."
    if pinned.rejected is None:
        return f" spec.champion names '{name}', which is archived; set its spec.archived to false, or name another."
    return f" spec.champion names '{name}', which was rolled back: {pinned.rejected} To offer it again, set annotation flywheel.ml/clear-rejection on it to any new value."


def summary(model: Model, seen: Seen, champion: Version) -> str:
    """`champion fraud-7, roc_auc 0.742, 12 versions`."""
    metric = model.spec.objective.metric if model.spec.objective else None
    value = champion.metric(metric) if metric else None
    number = f", {metric} {value:.3g}" if value is not None else ""
    return f"champion {champion.name}{number}, {version_count(seen)}"


def version_count(seen: Seen) -> str:
    """`1 version`, `12 versions`."""
    return f"{len(seen.versions)} version{'' if len(seen.versions) == 1 else 's'}"
