"""What a step takes from inputs and from steps above it."""

from collections.abc import Iterator

from flywheel.kinds.trainingpipeline.schema.steps import Step
from flywheel.kinds.trainingpipeline.schema.template import Template


def producers(step: Step) -> Iterator[tuple[str, str | None]]:
    """Names of inputs and steps that this one takes something from, each with the output that it names, if it does."""
    if step.prepare:
        yield from ((name, "data") for name in step.prepare.from_)
    if step.train:
        yield step.train.from_, "data"
    for taking in (step.evaluate, step.package, step.register_):
        if taking:
            yield taking.from_, "model"
    if step.evaluate and step.evaluate.data:
        yield step.evaluate.data, "data"
    if step.container:
        yield from ((each.from_, each.output) for each in step.container.inputs)


def needs(step: Step) -> set[str]:
    """All names above that must have ended well before it starts."""
    return {name for name, _ in producers(step)} | set(step.depends_on)


def trained_on(template: Template, name: str) -> str | None:
    """The input or step whose data a model was trained on; None where nothing says it."""
    step = next((each for each in template.steps if each.name == name), None)
    if step is None:
        return None
    if step.train:
        return step.train.from_
    if step.package:
        return trained_on(template, step.package.from_)
    inputs = {str(each.name) for each in template.inputs}
    taken = [each.from_ for each in step.container.inputs] if step.container else []
    data = [each for each in taken if each in inputs or _leaves_data(template, each)]
    return data[0] if len(data) == 1 else None


def _leaves_data(template: Template, name: str) -> bool:
    return any(each.name == name and each.prepare is not None for each in template.steps)
