"""The messages of a TrainingPipeline's conditions and events, and its summary."""

from flywheel.kinds.trainingpipeline.children import RESUME_ANNOTATION
from flywheel.kinds.trainingpipeline.observe import Seen
from flywheel.kinds.trainingpipeline.revisions import Revisions
from flywheel.kinds.trainingpipeline.schema import TrainingPipeline
from flywheel.kinds.trainingpipeline.schema.status import Breaker


def revision_not_found(pipeline: TrainingPipeline, revisions: Revisions) -> str:
    """The spec pins a revision that does not exist."""
    known = ", ".join(each.name for each in revisions.every)
    return f"spec.revision names '{pipeline.spec.revision}', and there are {known}; correct it, or leave it out."


def test_run(revisions: Revisions) -> str:
    """What the test run of the current revision is doing or has found."""
    current = revisions.current
    if current.state == "Failed":
        return f"failed its test run '{current.run}': {current.message}"
    return f"is tested on a sample by run '{current.run}'"


def breaker_open(breaker: Breaker) -> str:
    """Challengers failed, so that no trigger fires."""
    cause = f"{breaker.challengers} challengers in a row did not pass; the last: {breaker.message.rstrip('.')}"
    return f"No trigger fires, since {cause}. Start a run by hand, change the spec, or set annotation {RESUME_ANNOTATION} to a new value."


def last_run(seen: Seen) -> str:
    """The newest run."""
    runs = [run for run in seen.runs if not run.test]
    if not runs:
        return "No run yet."
    result = runs[-1].result
    return f"The last run, '{runs[-1].name}', {'ended: ' + result if result else 'is under way'}."


def summary(seen: Seen, revisions: Revisions) -> str:
    """`revision 3f9a1c2e, 1 run under way, last: Succeeded`."""
    active = sum(run.result is None and not run.test for run in seen.runs)
    ended = [run.result for run in seen.runs if run.result is not None and not run.test]
    items = [f"revision {revisions.live}" if revisions.live else "no live revision"]
    items += [f"{active} run{'s' if active > 1 else ''} under way"] if active else []
    items += [f"last: {ended[-1]}"] if ended else []
    return ", ".join(items)
