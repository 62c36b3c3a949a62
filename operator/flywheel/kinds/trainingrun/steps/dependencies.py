"""Which inputs and steps a step depends on."""

from collections.abc import Iterator

from flywheel.kinds.trainingpipeline.schema.steps import Step
from flywheel.kinds.trainingpipeline.schema.template import Template


def required_names(step: Step) -> set[str]:
    """The inputs, and the steps above that must have succeeded before the step starts."""
    return {*_producers(step), *step.depends_on}


def _producers(step: Step) -> Iterator[str]:
    if step.prepare:
        yield from step.prepare.from_
    if step.train:
        yield step.train.from_
    for consumer in (step.evaluate, step.package, step.register_):
        if consumer:
            yield consumer.from_
    if step.evaluate and step.evaluate.data:
        yield step.evaluate.data
    if step.container:
        yield from (each.from_ for each in step.container.inputs)


def training_data_of(template: Template, name: str) -> str | None:
    """The input or step whose data a model was trained on; None where that is unknown."""
    step = next((each for each in template.steps if each.name == name), None)
    if step is None:
        return None
    if step.train:
        # Features were added to the data, which is an output of the step itself.
        return name if step.train.feature_sets else step.train.from_
    if step.package:
        return training_data_of(template, step.package.from_)
    known = {*(each.name for each in template.inputs), *(each.name for each in template.steps if each.prepare)}
    sources = [each.from_ for each in step.container.inputs] if step.container else []
    data = [each for each in sources if each in known]
    return data[0] if len(data) == 1 else None
