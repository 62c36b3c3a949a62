"""The steps of a test run that take a sample of each input."""

from flywheel.kinds.trainingpipeline.schema.inputs import Source
from flywheel.kinds.trainingpipeline.schema.steps import Prepare, Step, StepName
from flywheel.kinds.trainingpipeline.schema.template import Template

WHOLE_SUFFIX = "-whole"  # of the name of an input that a test run takes a sample of


def with_sampling_steps(template: Template) -> Template:
    """A test run's template: a step takes a sample of each table, and steps below find it under the input's name. Files stay whole."""
    inputs = tuple(each.model_copy(update={"name": whole_name(each)}) for each in template.inputs)
    samples = tuple(
        Step.model_construct(
            name=StepName(each.name), prepare=Prepare.model_construct(from_=(StepName(f"{each.name}{WHOLE_SUFFIX}"),))
        )
        for each in template.inputs
        if each.is_table
    )
    return template.model_copy(update={"inputs": inputs, "steps": (*samples, *template.steps)})


def whole_name(source: Source) -> str:
    """The name of an input in a test run."""
    return f"{source.name}{WHOLE_SUFFIX}" if source.is_table else str(source.name)


def is_sampling(step: Step) -> bool:
    """Whether `with_sampling_steps` added the step."""
    return step.prepare is not None and all(str(name).endswith(WHOLE_SUFFIX) for name in step.prepare.from_)
