"""What a pipeline says: object, finding, next step."""

from flywheel.core.resource.plan import Child
from flywheel.kinds.trainingpipeline.children import RESUME_ANNOTATION
from flywheel.kinds.trainingpipeline.observe import Seen
from flywheel.kinds.trainingpipeline.revisions import Revisions
from flywheel.kinds.trainingpipeline.schema import TrainingPipeline
from flywheel.kinds.trainingpipeline.schema.status import Breaker


def state(
    pipeline: TrainingPipeline, seen: Seen, revisions: Revisions, stopped: Breaker | None
) -> tuple[bool, str, str]:
    """Ready, reason and message."""
    present, live = revisions.present, revisions.live
    if revisions.pin_is_missing:
        known = ", ".join(each.name for each in revisions.every)
        return (
            False,
            "RevisionNotFound",
            f"spec.revision names '{pipeline.spec.revision}', and there are {known}; correct it, or leave it out.",
        )
    if live is None and present.state == "Failed":
        return (
            False,
            "TestFailed",
            f"Revision {present.name} failed its test run '{present.run}': {present.message} Change the spec; no trigger fires before a revision has passed.",
        )
    if live is None:
        return (
            False,
            "Testing",
            f"Revision {present.name} is tried on a sample by run '{present.run}'; triggers fire when it has passed.",
        )
    stays = f"Revision {live} is live."
    if pipeline.spec.suspend:
        return True, "Suspended", f"{stays} The pipeline is suspended: no trigger fires until spec.suspend is false."
    if stopped is not None:
        words = f"{stopped.challengers} challengers in a row did not pass; the last: {stopped.message.rstrip('.')}."
        return (
            True,
            "BreakerOpen",
            f"{stays} No trigger fires, since {words} Start a run by hand, change the spec, or set annotation {RESUME_ANNOTATION} to a new value.",
        )
    if present.name != live and present.state == "Failed" and pipeline.spec.revision is None:
        return (
            True,
            "TestFailed",
            f"{stays} The present spec, revision {present.name}, failed its test run '{present.run}': {present.message}",
        )
    if present.name != live and present.state == "Testing" and pipeline.spec.revision is None:
        return (
            True,
            "Testing",
            f"{stays} The present spec, revision {present.name}, is tried on a sample by run '{present.run}'.",
        )
    pinned = " It is pinned by spec.revision." if pipeline.spec.revision else ""
    return True, "Live", f"{stays}{pinned}{_last(seen)}"


def summary(seen: Seen, revisions: Revisions, made: list[Child]) -> str:
    """`revision 3f9a1c2e, 1 run under way, last: Succeeded`."""
    active = [run.name for run in seen.runs if run.result is None and not run.test]
    ended = [run.result for run in seen.runs if run.result is not None and not run.test]
    parts = [f"revision {revisions.live}" if revisions.live else "no live revision"]
    parts += [f"{len(active)} run{'s' if len(active) > 1 else ''} under way"] if active else []
    parts += [f"last: {ended[-1]}"] if ended else []
    return ", ".join(parts)


def _last(seen: Seen) -> str:
    real = [run for run in seen.runs if not run.test]
    if not real:
        return " No run yet."
    last = real[-1]
    return f" The last run, '{last.name}', {'ended: ' + last.result if last.result else 'is under way'}."
