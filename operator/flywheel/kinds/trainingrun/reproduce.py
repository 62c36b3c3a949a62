"""Whether a run with reproduceOf gave the same result as the original: by digests, else by a Job that compares models, else by metrics."""

import math
from datetime import timedelta

from flywheel.core.pods.fetch import Input
from flywheel.core.pods.job import Step as JobStep
from flywheel.core.pods.job import step_job
from flywheel.core.pods.step_config.training import CompareConfig
from flywheel.kinds.trainingpipeline.schema.steps import Step, StepName
from flywheel.kinds.trainingrun.progress import Pass, Progress
from flywheel.kinds.trainingrun.schema import TrainingRun, TrainingRunStatus
from flywheel.kinds.trainingrun.schema.status import Reproduced, StepStatus
from flywheel.kinds.trainingrun.steps.step_states import StepState, text_facts

COMPARE_PREFIX = "compare-"
COMPARED_OUTPUTS = frozenset(("model", "evaluation"))  # their numbers matter, not their bytes
VERDICTS = ("Equal", "WithinTolerance", "Different")
TOLERANCE = 1e-9
COMPARE_TIMEOUT = timedelta(minutes=30)


def add_comparisons(current: Pass, progress: Progress) -> None:
    """Once all steps are over, add a Job for each model whose bytes differ, which they do if only a time in them does."""
    original, run = current.context.original, current.context.run
    if original is None or not progress.main_is_over:
        return
    before = {step.name: step for step in original.steps}
    known = {step.name: step for step in run.status.steps}
    for name, state in progress.states.items():
        left, right, extra = before.get(name), state.status, f"{COMPARE_PREFIX}{name}"
        if left is None or right.state != "Succeeded" or "model" not in right.outputs or left.outputs == right.outputs:
            continue
        step, status = Step.model_construct(name=StepName(extra)), known.get(extra)
        if status is None or status.state == "Waiting":
            status = _start_comparison(current, progress, extra, left, right)
        progress.last[extra] = _after_comparison(current, progress, StepState(step, status))


def reproduction(run: TrainingRun, original: TrainingRunStatus | None, progress: Progress) -> Reproduced | None:
    """The worst verdict of all steps."""
    if run.spec.reproduce_of is None or original is None:
        return None
    before = {step.name: step for step in original.steps}
    worst, differs = "Equal", list[str]()
    for state in progress.states.values():
        if state.step.register_ or state.step.notify:
            continue
        comparison = progress.last.get(f"{COMPARE_PREFIX}{state.name}")
        facts = comparison.status.facts if comparison else {}
        verdict, finding = _compare(before.get(state.name), state.status, facts)
        differs += [f"step '{state.name}': {finding}"[:256]] if finding else []
        worst = max(worst, verdict, key=VERDICTS.index)
    return Reproduced.model_validate({"verdict": worst, "differs": tuple(differs[:20])})


def _compare(left: StepStatus | None, right: StepStatus, comparison: dict[str, str]) -> tuple[str, str]:
    """The verdict on one step, and how it differs; `comparison` are the facts of its compare Job, if there was one."""
    if left is None or left.state != right.state:
        return "Different", f"it was {left.state if left else 'not there'}, and is {right.state}"
    if left.outputs == right.outputs and left.metrics == right.metrics:
        return "Equal", ""
    if comparison.get("verdict"):
        verdict = comparison["verdict"]
        return verdict, "" if verdict == "Equal" else comparison.get("differs", "")
    outputs = {*left.outputs, *right.outputs} - COMPARED_OUTPUTS
    other = [name for name in sorted(outputs) if left.outputs.get(name) != right.outputs.get(name)]
    if other:
        return "Different", f"output '{other[0]}' has other bytes"
    metrics = sorted({*left.metrics, *right.metrics})
    apart = [name for name in metrics if not _is_close(left.metrics.get(name), right.metrics.get(name))]
    if apart:
        name = apart[0]
        return "Different", f"{name} was {left.metrics.get(name)}, and is {right.metrics.get(name)}"
    return "WithinTolerance", "other bytes, the same metrics"


def _is_close(left: str | None, right: str | None) -> bool:
    if left is None or right is None:
        return False
    return math.isclose(float(left), float(right), rel_tol=TOLERANCE, abs_tol=TOLERANCE)


def _start_comparison(current: Pass, progress: Progress, name: str, left: StepStatus, right: StepStatus) -> StepStatus:
    config = CompareConfig(
        left_metrics={each: float(value) for each, value in left.metrics.items()},
        right_metrics={each: float(value) for each, value in right.metrics.items()},
        tolerance=TOLERANCE,
    )
    inputs = (Input("left", artifact=left.outputs.get("model")), Input("right", artifact=right.outputs.get("model")))
    settings, command = current.context.settings, ("python3", "-m", "flywheel_runtime", "compare")
    step = JobStep(name, 1, settings.runtime_image, command, config.document(), inputs=inputs, timeout=COMPARE_TIMEOUT)
    job = step_job(current.context.run, step, settings)
    progress.starts.append(job)
    return StepStatus(name=name, state="Running", attempt=1, job=job.name, started=current.seen.now)


def _after_comparison(current: Pass, progress: Progress, state: StepState) -> StepState:
    seen = current.seen.attempts.get(state.name)
    if state.status.state != "Running" or seen is None or (seen.exists and seen.outcome is None):
        return state
    succeeded = seen.outcome is not None and seen.outcome.result == "Succeeded"
    facts = text_facts(seen.outcome.facts) if seen.outcome is not None and succeeded else {}
    progress.ended.extend([state.status.job] if state.status.job else [])
    return state.with_status(
        state="Succeeded" if succeeded else "Failed",
        facts={name: text[:1024] for name, text in facts.items()},
        finished=current.seen.now,
    )
