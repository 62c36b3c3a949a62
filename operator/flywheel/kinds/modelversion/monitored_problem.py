"""What a ModelMonitor finds of a new champion: whether the version is taken back for it, as spec.rollback of its Model says, and why not."""

from datetime import datetime, timedelta

from flywheel.kinds.modelmonitor.schema.problems import ProblemKind
from flywheel.kinds.modelversion.children import CLEAR_REJECTION_ANNOTATION, ModelVersion
from flywheel.kinds.modelversion.observe import LABELS_REFUSED, Champion, FoundProblem, Seen
from flywheel.kinds.modelversion.schema.status import MonitoredProblem, Rejection, RejectionClearing

MAX_MESSAGE_CHARACTERS = 512


def decide_problem(version: ModelVersion, seen: Seen, cleared: RejectionClearing | None) -> MonitoredProblem | None:
    """The problem with what is done about it, one for which the version is taken back before others; None where there is none.

    A problem for which it was taken back stays until that is cleared.
    """
    known = version.status.problem
    if known is not None and known.rolled_back and (cleared is None or known.at > cleared.at):
        return known
    champion = seen.champion
    if champion is None:
        return None
    wanted = [
        each
        for each in seen.problems
        if each.kind in champion.rollback_kinds and each.monitor in champion.rollback_monitors
    ]
    decided = [_decide(version, seen.now, champion, each, cleared) for each in wanted]
    chosen = min(decided, key=_precedence, default=None)
    if chosen is not None and known is not None and _identity(known) == _identity(chosen):
        return known
    return chosen


def _precedence(problem: MonitoredProblem) -> tuple[bool, bool, datetime, str]:
    """What was taken back goes first, and what the version has goes before what nobody knows."""
    return (not problem.rolled_back, problem.reason == LABELS_REFUSED, problem.since, problem.monitor)


def rejection_for(problem: MonitoredProblem | None, seen: Seen) -> Rejection | None:
    """The rejection of a version that is taken back."""
    if problem is None or not problem.rolled_back:
        return None
    service = next((each.service for each in seen.problems if each.monitor == problem.monitor), "")
    return Rejection(service=service, monitor=problem.monitor, at=problem.at, message=problem.message)


def _decide(
    version: ModelVersion, now: datetime, champion: Champion, found: FoundProblem, cleared: RejectionClearing | None
) -> MonitoredProblem:
    reason, why = _reason_against(version, now, champion, found, cleared)
    what = "labels that do not count" if found.has_refused_labels else _PHRASES[found.kind]
    says = f"ModelMonitor '{found.monitor}' found {what} since {found.since:%Y-%m-%d %H:%M} UTC"
    done = f"Champion '{version.name}' is not taken back, since {why}" if why else "It is taken back."
    finding = f": {found.message}"
    room = max(0, MAX_MESSAGE_CHARACTERS - len(f"{says}. {done}"))
    return MonitoredProblem(
        monitor=found.monitor,
        kind=found.kind,
        since=found.since,
        at=now,
        rolled_back=not why,
        reason=reason,
        message=f"{says}{finding[:room]}. {done}"[:MAX_MESSAGE_CHARACTERS],
    )


_PHRASES: dict[ProblemKind, str] = {
    "Errors": "requests that the model fails",
    "NotFinite": "answers that are not finite",
    "ConstantOutput": "the same answer for all rows",
    "LabelledLoss": "a loss on labelled rows",
}


def _reason_against(
    version: ModelVersion, now: datetime, champion: Champion, found: FoundProblem, cleared: RejectionClearing | None
) -> tuple[str, str]:
    """Reason, and the end of the sentence that says why it is not taken back; empty where it is."""
    model = version.spec.model
    if found.has_refused_labels:
        return LABELS_REFUSED, "what they say is no loss (spec.groundTruth.guards of the ModelMonitor)."
    if cleared is not None and found.since <= cleared.at:
        return "Cleared", f"annotation {CLEAR_REJECTION_ANNOTATION} was set after that."
    if champion.is_pinned:
        return "Pinned", f"spec.champion of Model '{model}' names it; name another version there."
    if champion.has_returned:
        return (
            "Returned",
            "no gain over another version made it champion this time (a return or a pin); pin another version by spec.champion.",
        )
    bake_time = champion.bake_time or timedelta(0)
    if now > champion.since + bake_time:
        hours = f"spec.rollback.bakeTime of Model '{model}'"
        return "BakeTimeOver", f"it has been champion for longer than {hours}; pin an earlier version by spec.champion."
    if not champion.has_predecessor:
        return "NoPreviousChampion", f"no earlier champion of Model '{model}' can take its place."
    if (found.monitor, found.kind, found.since) in champion.tolerated:
        return "Tolerated", f"it stayed with that finding before (status.tolerated of Model '{model}')."
    return "RolledBack", ""


def _identity(problem: MonitoredProblem) -> tuple[object, ...]:
    """What makes it another problem; a source that goes on with its labels is none, although each run finds it anew."""
    since = None if problem.reason == LABELS_REFUSED else problem.since
    return (problem.monitor, problem.kind, since, problem.reason)
