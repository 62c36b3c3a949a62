"""All that a run of the pipeline will make, step by step, as if each step had left what it should: for `flywheel test`.

The one place where this kind looks at the runs that it starts: what a step becomes is theirs to know.
"""

from collections.abc import Iterable, Iterator

from flywheel.core.resource.api import TRAINING_RUN
from flywheel.core.resource.kind import Resource
from flywheel.core.resource.names import truncate
from flywheel.core.resource.plan import Child
from flywheel.core.resource.values import Digest
from flywheel.core.settings import Settings
from flywheel.kinds.trainingpipeline import children
from flywheel.kinds.trainingpipeline.schema import TrainingPipeline
from flywheel.kinds.trainingpipeline.schema.parameters import Parameter
from flywheel.kinds.trainingpipeline.schema.steps import Step
from flywheel.kinds.trainingrun.observe import Seen
from flywheel.kinds.trainingrun.parameters import Values, parameters
from flywheel.kinds.trainingrun.schema import TrainingRun, TrainingRunSpec, TrainingRunStatus
from flywheel.kinds.trainingrun.schema.status import InputUsed, StepStatus
from flywheel.kinds.trainingrun.steps import WORKERS
from flywheel.kinds.trainingrun.steps.step_inputs import order
from flywheel.kinds.trainingrun.steps.step_states import Row, Table

STAND_IN = Digest(f"sha256:{'0' * 64}")
VALUES = {"Integer": "1", "Float": "1", "String": "stand-in", "Boolean": "true"}
DATA = {"task": "Classification", "classes": "2"}
MODEL = {"metric": "roc_auc", "path": "model.onnx"}
OUTPUTS = {"prepare": ("data",), "train": ("model",), "evaluate": ("evaluation",), "package": ("model",)}


def preview(pipeline: TrainingPipeline, settings: Settings) -> Iterable[Child]:
    """The revision, the CronJobs of triggers, and what each step of a run becomes.

    Raises:
        ValueError: a step takes what no step leaves; the sentence says which.
    """
    yield children.revision(pipeline)
    yield from children.cron_jobs(pipeline)
    yield from _steps(pipeline, settings)


def _steps(pipeline: TrainingPipeline, settings: Settings) -> Iterator[Child]:
    template, run = pipeline.spec, _run(pipeline)
    given = {str(each.name): _value(each) for each in template.parameters}
    values = Values(parameters(template.parameters, given), pipeline.created.date())
    inputs = {str(each.name): _input(str(each.name), str(each.dataset)) for each in template.inputs}
    steps = (*template.steps, *template.last)
    rows: Table = {str(step.name): Row(step, _ended(step)) for step in steps}
    seen = Seen(now=pipeline.created, settings=settings)
    for step in steps:
        waiting = Row(step, StepStatus(name=str(step.name), state="Waiting"))
        wanted = order(run, template, inputs, values, seen, rows, waiting, None)
        yield from WORKERS[step.kind].children(run, wanted)


def _run(pipeline: TrainingPipeline) -> TrainingRun:
    return Resource(
        api=TRAINING_RUN,
        name=truncate(f"{pipeline.name}-run", children.MAX_RUN_NAME_LENGTH),
        namespace=pipeline.namespace,
        uid=pipeline.uid,
        generation=1,
        created=pipeline.created,
        spec=TrainingRunSpec(pipeline=pipeline.name),
        status=TrainingRunStatus(),
    )


def _value(parameter: Parameter) -> str:
    return VALUES[parameter.type] if parameter.default is None else parameter.default


def _input(name: str, dataset: str) -> InputUsed:
    return InputUsed(name=name, dataset=dataset, version="stand-in", digest=STAND_IN, facts=DATA)


def _ended(step: Step) -> StepStatus:
    """What the step leaves for those below it."""
    outputs = step.container.outputs if step.container else OUTPUTS.get(step.kind, ())
    facts = DATA if step.prepare else MODEL if step.train else {}
    return StepStatus(
        name=str(step.name), state="Succeeded", outputs={str(each): STAND_IN for each in outputs}, facts=facts
    )
