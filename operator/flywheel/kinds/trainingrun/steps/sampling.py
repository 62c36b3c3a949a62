"""The steps of a test run that take a sample of each input."""

from flywheel.kinds.trainingpipeline.schema.steps import Prepare, Step, StepName
from flywheel.kinds.trainingpipeline.schema.template import Template

WHOLE_SUFFIX = "-whole"  # of the name of an input that a test run takes a sample of


def with_sampling_steps(template: Template) -> Template:
    """A test run's template: a step takes a sample of each input, and steps below find it under the input's name."""
    inputs = tuple(each.model_copy(update={"name": f"{each.name}{WHOLE_SUFFIX}"}) for each in template.inputs)
    samples = tuple(
        Step.model_construct(
            name=StepName(each.name), prepare=Prepare.model_construct(from_=(StepName(f"{each.name}{WHOLE_SUFFIX}"),))
        )
        for each in template.inputs
    )
    return template.model_copy(update={"inputs": inputs, "steps": (*samples, *template.steps)})


def is_sampling(step: Step) -> bool:
    """Whether `with_sampling_steps` added the step."""
    return step.prepare is not None and all(str(name).endswith(WHOLE_SUFFIX) for name in step.prepare.from_)
