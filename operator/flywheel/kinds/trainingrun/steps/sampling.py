"""The steps that a test run puts before those of the pipeline: each takes a sample of one input."""

from flywheel.kinds.trainingpipeline.schema.steps import Prepare, Step, StepName
from flywheel.kinds.trainingpipeline.schema.template import Template

WHOLE = "-whole"  # the name of an input that a test run takes a sample of


def sampled(template: Template) -> Template:
    """A test run's template: each input is a step that takes a sample, and everything below finds that under the input's name."""
    inputs = tuple(each.model_copy(update={"name": f"{each.name}{WHOLE}"}) for each in template.inputs)
    samples = tuple(
        Step.model_construct(
            name=StepName(each.name), prepare=Prepare.model_construct(from_=(StepName(f"{each.name}{WHOLE}"),))
        )
        for each in template.inputs
    )
    return template.model_copy(update={"inputs": inputs, "steps": (*samples, *template.steps)})


def is_sampling(step: Step) -> bool:
    """Whether `sampled` put it there."""
    return step.prepare is not None and all(str(name).endswith(WHOLE) for name in step.prepare.from_)
