"""The messages of a TrainingPipeline's conditions, and its summary."""

from flywheel.core.resource.plan import Event
from flywheel.kinds.trainingpipeline.children import RESUME_ANNOTATION
from flywheel.kinds.trainingpipeline.observe import Seen
from flywheel.kinds.trainingpipeline.revisions import Revisions
from flywheel.kinds.trainingpipeline.schema import TrainingPipeline
from flywheel.kinds.trainingpipeline.schema.status import Breaker
from flywheel.kinds.trainingpipeline.schema.triggers import Fired


def revision_not_found(pipeline: TrainingPipeline, revisions: Revisions) -> str:
    """The spec pins a revision that does not exist."""
    known = ", ".join(each.name for each in revisions.every)
    return f"spec.revision names '{pipeline.spec.revision}', and there are {known}; correct it, or leave it out."


def test_failed(revisions: Revisions) -> str:
    """The current revision failed, and none is live."""
    current = revisions.current
    return f"Revision {current.name} failed its test run '{current.run}': {current.message} Change the spec; no trigger fires before a revision has passed."


def testing(revisions: Revisions) -> str:
    """The current revision is tested, and none is live."""
    current = revisions.current
    return f"Revision {current.name} is tested on a sample by run '{current.run}'; triggers fire when it has passed."


def live(revisions: Revisions) -> str:
    """A revision is live; other messages add to it."""
    return f"Revision {revisions.live} is live."


def breaker_open(breaker: Breaker) -> str:
    """Challengers failed, so that no trigger fires."""
    cause = f"{breaker.challengers} challengers in a row did not pass; the last: {breaker.message.rstrip('.')}"
    return f"No trigger fires, since {cause}. Start a run by hand, change the spec, or set annotation {RESUME_ANNOTATION} to a new value."


def current_test_failed(revisions: Revisions) -> str:
    """The current revision failed, and an earlier one stays live."""
    current = revisions.current
    return f"The current spec, revision {current.name}, failed its test run '{current.run}': {current.message}"


def current_testing(revisions: Revisions) -> str:
    """The current revision is tested, and an earlier one is live."""
    current = revisions.current
    return f"The current spec, revision {current.name}, is tested on a sample by run '{current.run}'."


def last_run(seen: Seen) -> str:
    """The newest run."""
    runs = [run for run in seen.runs if not run.test]
    if not runs:
        return "No run yet."
    result = runs[-1].result
    return f"The last run, '{runs[-1].name}', {'ended: ' + result if result else 'is under way'}."


def summary(seen: Seen, revisions: Revisions) -> str:
    """`revision 3f9a1c2e, 1 run under way, last: Succeeded`."""
    active = [run.name for run in seen.runs if run.result is None and not run.test]
    ended = [run.result for run in seen.runs if run.result is not None and not run.test]
    items = [f"revision {revisions.live}" if revisions.live else "no live revision"]
    items += [f"{len(active)} run{'s' if len(active) > 1 else ''} under way"] if active else []
    items += [f"last: {ended[-1]}"] if ended else []
    return ", ".join(items)


def trigger_fired(trigger: str, fired: Fired) -> Event:
    """A trigger started a run."""
    message = f"Trigger '{trigger}' started TrainingRun '{fired.run}': {fired.cause}."
    return Event("TriggerFired", message, action="Trigger")
