"""What each step of a run will become, as if every step above had left what it should: for `flywheel test`."""

from collections.abc import Iterator

from flywheel.core.resource.api import TRAINING_RUN
from flywheel.core.resource.kind import Resource
from flywheel.core.resource.plan import Child
from flywheel.core.resource.values import Digest
from flywheel.core.settings import Settings
from flywheel.kinds.trainingpipeline.schema import TrainingPipeline
from flywheel.kinds.trainingpipeline.schema.steps import Step
from flywheel.kinds.trainingrun.parameters import Values, resolve_parameters
from flywheel.kinds.trainingrun.schema import TrainingRun, TrainingRunSpec, TrainingRunStatus
from flywheel.kinds.trainingrun.schema.status import InputUsed, StepStatus
from flywheel.kinds.trainingrun.steps.attempt import RunContext
from flywheel.kinds.trainingrun.steps.execution import attempt_children
from flywheel.kinds.trainingrun.steps.step_inputs import next_attempt
from flywheel.kinds.trainingrun.steps.step_states import StepState, StepStates

PLACEHOLDER = "placeholder"
PLACEHOLDER_DIGEST = Digest(f"sha256:{'0' * 64}")
PLACEHOLDER_VALUES = {"Integer": "1", "Float": "1", "String": PLACEHOLDER, "Boolean": "true"}
DATA_FACTS = {"task": "Classification", "classes": "2"}
MODEL_FACTS = {"metric": "roc_auc", "path": "model.onnx"}
OUTPUTS = {"prepare": ("data",), "train": ("model",), "evaluate": ("evaluation",), "package": ("model",)}


def preview_steps(pipeline: TrainingPipeline, name: str, settings: Settings) -> Iterator[Child]:
    """The children of a run of that name of the pipeline's current spec.

    Raises:
        ValueError: a step takes what no step leaves; the message says which.
    """
    template = pipeline.spec
    defaults = {str(each.name): each.default for each in template.parameters if each.default is not None}
    given = {str(each.name): PLACEHOLDER_VALUES[each.type] for each in template.parameters} | defaults
    context = RunContext(
        run=_run(pipeline, name),
        template=template,
        values=Values(resolve_parameters(template.parameters, given), pipeline.created.date()),
        inputs={str(each.name): _input(str(each.name), each.dataset) for each in template.inputs},
        settings=settings,
    )
    steps = (*template.steps, *template.last)
    succeeded: StepStates = {str(step.name): StepState(step, _succeeded(step)) for step in steps}
    for step in steps:
        waiting = StepState(step, StepStatus(name=str(step.name), state="Waiting"))
        yield from attempt_children(next_attempt(context, succeeded, waiting))


def _run(pipeline: TrainingPipeline, name: str) -> TrainingRun:
    return Resource(
        api=TRAINING_RUN,
        name=name,
        namespace=pipeline.namespace,
        uid=pipeline.uid,
        generation=1,
        created=pipeline.created,
        spec=TrainingRunSpec(pipeline=pipeline.name),
        status=TrainingRunStatus(),
    )


def _input(name: str, dataset: str | None) -> InputUsed:
    return InputUsed(
        name=name,
        dataset=dataset or PLACEHOLDER,
        version=PLACEHOLDER,
        run=None if dataset else PLACEHOLDER,
        digest=PLACEHOLDER_DIGEST,
        facts=DATA_FACTS,
    )


def _succeeded(step: Step) -> StepStatus:
    """The status of a step with the outputs and facts that it leaves for steps below."""
    outputs = step.container.outputs if step.container else OUTPUTS.get(step.kind, ())
    facts = DATA_FACTS if step.prepare else MODEL_FACTS if step.train else {}
    digests = {str(each): PLACEHOLDER_DIGEST for each in outputs}
    return StepStatus(name=str(step.name), state="Succeeded", outputs=digests, facts=facts)
