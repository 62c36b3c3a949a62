"""Runs of another pipeline that succeeded, as causes of runs: each of them starts one run, the oldest first.

The first cause of a new trigger is the newest run, as it is for new data. `handled` has the runs whose success was handled, by uid, so that
one whose end is seen late is not missed; once there are many, `since` stands for the older ones.
"""

from datetime import UTC, datetime, timedelta

from flywheel.kinds.trainingpipeline.observe import Seen
from flywheel.kinds.trainingpipeline.schema.triggers import MAX_HANDLED, OnSuccess, Trigger, TriggerStatus
from flywheel.kinds.trainingpipeline.triggers.causes import Cause, Obstacle

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
RESOLUTION = timedelta(microseconds=1)  # of the times at which runs end


def with_start(trigger: Trigger, status: TriggerStatus, seen: Seen) -> TriggerStatus:
    """The status of a new trigger, for which all runs but the newest are handled. No clock decides that, since those of operators differ."""
    if status.since is not None:
        return status
    older = seen.successes.get(str(trigger.name), ())[:-1]
    dropped, handled = older[:-MAX_HANDLED], older[-MAX_HANDLED:]
    since = dropped[-1].ended + RESOLUTION if dropped else EPOCH
    return status.model_copy(update={"since": since, "handled": tuple(each.uid for each in handled)})


def find_success(trigger: Trigger, wanted: OnSuccess, status: TriggerStatus, seen: Seen) -> Cause | None:
    """The oldest run that succeeded and was not handled, with what keeps it from starting one. None where there is none."""
    name, pipeline, since = str(trigger.name), str(wanted.pipeline), status.since or EPOCH
    runs = [each for each in seen.successes.get(name, ()) if each.ended >= since]
    waiting = [each for each in runs if each.uid not in status.handled]
    if not waiting and name not in seen.watched:
        message = f"TrainingPipeline '{pipeline}' does not exist, so no run of it succeeds; create it, or correct run.pipeline of the trigger."
        return Cause("", f"a run of TrainingPipeline '{pipeline}'", obstacle=Obstacle("PipelineNotFound", message))
    if not waiting:
        return None
    run, handled = waiting[0], [each for each in runs if each.uid in status.handled]
    # The oldest ones make room for the one that is handled now.
    dropped = handled[: max(0, len(handled) + 1 - MAX_HANDLED)]
    return Cause(
        run.uid,
        f"TrainingRun '{run.name}' of TrainingPipeline '{pipeline}' has succeeded",
        obstacle=_loop(pipeline, seen.loops.get(name)),
        facts={"pipeline": pipeline, "run": run.name},
        handled=tuple(each.uid for each in handled[len(dropped) :]),
        since=dropped[-1].ended + RESOLUTION if dropped else since,
    )


def _loop(pipeline: str, path: tuple[str, ...] | None) -> Obstacle | None:
    if path is None:
        return None
    chain = ", ".join(f"'{each}'" for each in path)
    message = f"A run of this pipeline leads to a run of TrainingPipeline '{pipeline}' (by triggers of {chain}), so each run would start the next one for ever; remove one of these triggers."
    return Obstacle("TriggerLoop", message)
