"""Whether a run with reproduceOf came out like the run that it repeats: by digests, else by what the step `compare` finds, else by numbers."""

import json
from datetime import timedelta

from flywheel.core.pods.fetch import Input
from flywheel.core.pods.job import Step, step_job
from flywheel.kinds.trainingpipeline.schema.steps import Step as Wanted
from flywheel.kinds.trainingpipeline.schema.steps import StepName
from flywheel.kinds.trainingrun.observe import Seen
from flywheel.kinds.trainingrun.progress import Progress, Run
from flywheel.kinds.trainingrun.schema import TrainingRun
from flywheel.kinds.trainingrun.schema.status import Reproduced, StepStatus
from flywheel.kinds.trainingrun.steps.step_states import Row

COMPARE = "compare-"
COMPARED = frozenset(("model", "evaluation"))  # outputs whose numbers tell more than their bytes
TOLERANCE = 1e-9
LONGEST = timedelta(minutes=30)


def compared(run: Run, progress: Progress) -> Progress:
    """Once all steps are over: a Job for each model whose bytes differ, since a record of times differs always."""
    if run.resource.spec.reproduce_of is None or run.seen.original is None or not progress.main_is_over:
        return progress
    before = {step.name: step for step in run.seen.original.steps}
    known = {step.name: step for step in run.resource.status.steps}
    for name, row in list(progress.rows.items()):
        left, right = before.get(name), row.status
        if left is None or right.state != "Succeeded" or "model" not in right.outputs or left.outputs == right.outputs:
            continue
        extra = f"{COMPARE}{name}"
        progress.last[extra] = _row(run, progress, extra, left, right, known.get(extra))
    return progress


def verdict(run: TrainingRun, seen: Seen, progress: Progress) -> Reproduced | None:
    """The worst of all steps."""
    if run.spec.reproduce_of is None or seen.original is None:
        return None
    before = {step.name: step for step in seen.original.steps}
    worst, differs = "Equal", list[str]()
    for row in progress.rows.values():
        if row.step.register_ or row.step.notify:
            continue
        left, compare = before.get(row.name), progress.last.get(f"{COMPARE}{row.name}")
        found, finding = _judged(left, row.status, compare.status if compare else None)
        differs += [f"step '{row.name}': {finding}"[:256]] if finding else []
        worst = max(worst, found, key=("Equal", "WithinTolerance", "Different").index)
    return Reproduced.model_validate({"verdict": worst, "differs": tuple(differs[:20])})


def _judged(left: StepStatus | None, right: StepStatus, compare: StepStatus | None) -> tuple[str, str]:
    if left is None or left.state != right.state:
        return "Different", f"it was {left.state if left else 'not there'}, and is {right.state}"
    if left.outputs == right.outputs and left.metrics == right.metrics:
        return "Equal", ""
    if compare is not None and compare.facts.get("verdict"):
        return compare.facts["verdict"], "" if compare.facts["verdict"] == "Equal" else compare.facts.get("differs", "")
    other = sorted(
        name for name in {*left.outputs, *right.outputs} - COMPARED if left.outputs.get(name) != right.outputs.get(name)
    )
    if other:
        return "Different", f"output '{other[0]}' has other bytes"
    apart = [
        name
        for name in left.metrics.keys() | right.metrics.keys()
        if not _near(left.metrics.get(name), right.metrics.get(name))
    ]
    if apart:
        name = sorted(apart)[0]
        return "Different", f"{name} was {left.metrics.get(name)}, and is {right.metrics.get(name)}"
    return "WithinTolerance", "other bytes, the same metrics"


def _near(left: str | None, right: str | None) -> bool:
    if left is None or right is None:
        return False
    a, b = float(left), float(right)
    return abs(a - b) <= TOLERANCE * max(1.0, abs(a), abs(b))


def _row(run: Run, progress: Progress, name: str, left: StepStatus, right: StepStatus, known: StepStatus | None) -> Row:
    wanted = Wanted.model_construct(name=StepName(name))
    if known is not None and known.state != "Waiting":
        row = Row(wanted, known)
        work = run.seen.work.get(name)
        if known.state == "Running" and work is not None and (work.outcome is not None or not work.exists):
            ended = work.outcome
            good = ended is not None and ended.result == "Succeeded"
            facts = {
                key: (value if isinstance(value, str) else json.dumps(value))[:1024]
                for key, value in (ended.facts if ended is not None and good else {}).items()
            }
            progress.ended.extend([known.job] if known.job else [])
            return row.having(state="Succeeded" if good else "Failed", facts=facts, finished=run.now)
        return row
    params = {
        "leftMetrics": {each: float(value) for each, value in left.metrics.items()},
        "rightMetrics": {each: float(value) for each, value in right.metrics.items()},
        "tolerance": TOLERANCE,
    }
    inputs = (Input("left", artifact=left.outputs.get("model")), Input("right", artifact=right.outputs.get("model")))
    image, words = run.seen.settings.runtime_image, ("python3", "-m", "flywheel_runtime", "compare")
    child = step_job(
        run.resource, Step(name, 1, image, words, params, inputs=inputs, timeout=LONGEST), run.seen.settings
    )
    progress.starts.append(child)
    return Row(wanted, StepStatus(name=name, state="Running", attempt=1, job=child.name, started=run.now))
