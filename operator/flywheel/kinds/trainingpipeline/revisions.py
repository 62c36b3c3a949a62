"""Revisions of a pipeline: the present one is tried before triggers use it, earlier ones stay to go back to."""

from dataclasses import dataclass
from datetime import datetime

from flywheel.kinds.trainingpipeline import children
from flywheel.kinds.trainingpipeline.observe import RunSeen, Seen
from flywheel.kinds.trainingpipeline.schema import TrainingPipeline
from flywheel.kinds.trainingpipeline.schema.revision import digest
from flywheel.kinds.trainingpipeline.schema.status import MOST_REVISIONS, Revision


@dataclass(frozen=True)
class Revisions:
    """`every` newest first; `present` is the spec's; `live` the one that triggers use; `testing`: its test run is wanted."""

    every: tuple[Revision, ...]
    present: Revision
    live: str | None
    pin_is_missing: bool

    @property
    def testing(self) -> bool:
        return self.present.state == "Testing"


def advance(pipeline: TrainingPipeline, seen: Seen) -> Revisions:
    """Take in the present spec and what test runs found."""
    name, now = digest(pipeline.spec), seen.now.replace(microsecond=0)
    known = {each.name: each for each in pipeline.status.revisions}
    present = known.get(name) or Revision(name=name, state="Testing", created=now)
    present = _judged(pipeline, seen, present, now)
    earlier = tuple(each for each in pipeline.status.revisions if each.name != name)
    every = (present, *earlier)[:MOST_REVISIONS]
    pinned = pipeline.spec.revision
    if pinned is not None:
        missing = all(each.name != pinned for each in every)
        return Revisions(every, present, pipeline.status.revision if missing else pinned, missing)
    live = next((each.name for each in every if each.state == "Passed"), None)
    # While the new one is tried, or after it failed, the one before stays live, which need not be the newest that passed.
    before = pipeline.status.revision
    stays = present.state != "Passed" and any(each.name == before and each.state == "Passed" for each in every)
    return Revisions(every, present, before if stays else live, pin_is_missing=False)


def _judged(pipeline: TrainingPipeline, seen: Seen, present: Revision, now: datetime) -> Revision:
    if present.state != "Testing":
        return present
    if pipeline.spec.test is None:
        return present.model_copy(update={"state": "Passed"})
    name = children.test_run_name(pipeline, present.name)
    run = next((each for each in seen.runs if each.name == name), None)
    told = present.model_copy(update={"run": name})
    if run is None or run.result is None:
        return told
    finding = _finding(pipeline, run) if run.result == "Succeeded" else run.message
    if finding is None:
        return told.model_copy(update={"state": "Passed"})
    return told.model_copy(update={"state": "Failed", "message": finding[:512]})


def _finding(pipeline: TrainingPipeline, run: RunSeen) -> str | None:
    assert pipeline.spec.test is not None, "asked before"
    for check in pipeline.spec.test.checks:
        value = run.metrics.get(str(check.step), {}).get(str(check.metric))
        where = f"step '{check.step}' of the test run"
        if value is None:
            return f"{where} reported no {check.metric}."
        if check.min is not None and float(value) < check.min.value:
            return f"{where} has {check.metric} {value}, below {check.min}."
        if check.max is not None and float(value) > check.max.value:
            return f"{where} has {check.metric} {value}, above {check.max}."
    return None
