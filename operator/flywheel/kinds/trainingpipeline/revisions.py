"""Revisions of a pipeline: the current one is tested before triggers use it, and earlier ones stay for a rollback."""

from dataclasses import dataclass

from flywheel.kinds.trainingpipeline import children
from flywheel.kinds.trainingpipeline.observe import RunSeen, Seen
from flywheel.kinds.trainingpipeline.schema import TrainingPipeline
from flywheel.kinds.trainingpipeline.schema.revision import digest
from flywheel.kinds.trainingpipeline.schema.status import MAX_REVISIONS, Revision
from flywheel.kinds.trainingpipeline.schema.triggers import Test


@dataclass(frozen=True)
class Revisions:
    """`every`: newest first; `current`: that of the spec; `live`: the one that triggers use."""

    every: tuple[Revision, ...]
    current: Revision
    live: str | None
    pin_is_missing: bool = False


def advance_revisions(pipeline: TrainingPipeline, seen: Seen) -> Revisions:
    """The revisions with the current spec and what test runs found."""
    name = digest(pipeline.spec)
    known = {each.name: each for each in pipeline.status.revisions}
    current = known.get(name) or Revision(name=name, state="Testing", created=seen.now)
    current = _with_test_result(pipeline, seen, current)
    earlier = tuple(each for each in pipeline.status.revisions if each.name != name)
    every = (current, *earlier)[:MAX_REVISIONS]
    pinned, before = pipeline.spec.revision, pipeline.status.revision
    if pinned is not None:
        missing = all(each.name != pinned for each in every)
        return Revisions(every, current, before if missing else pinned, missing)
    live = next((each.name for each in every if each.state == "Passed"), None)
    # While the current one is tested, or after it failed, the one before stays live, which need not be the newest that passed.
    stays = current.state != "Passed" and any(each.name == before and each.state == "Passed" for each in every)
    return Revisions(every, current, before if stays else live)


def _with_test_result(pipeline: TrainingPipeline, seen: Seen, current: Revision) -> Revision:
    if current.state != "Testing":
        return current
    test = pipeline.spec.test
    if test is None:
        return current.model_copy(update={"state": "Passed"})
    name = children.test_run_name(pipeline, current.name)
    run = next((each for each in seen.runs if each.name == name), None)
    tested = current.model_copy(update={"run": name})
    if run is None or run.result is None:
        return tested
    finding = _failed_check(test, run) if run.result == "Succeeded" else run.message
    if finding is None:
        return tested.model_copy(update={"state": "Passed"})
    return tested.model_copy(update={"state": "Failed", "message": finding[:512]})


def _failed_check(test: Test, run: RunSeen) -> str | None:
    for check in test.checks:
        value = run.metrics.get(str(check.step), {}).get(str(check.metric))
        where = f"step '{check.step}' of the test run"
        if value is None:
            return f"{where} reported no {check.metric}."
        if check.min is not None and float(value) < check.min.value:
            return f"{where} has {check.metric} {value}, below {check.min}."
        if check.max is not None and float(value) > check.max.value:
            return f"{where} has {check.metric} {value}, above {check.max}."
    return None
