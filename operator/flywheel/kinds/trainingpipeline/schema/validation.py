"""Problems of a template that no rule of the CRD can find."""

import re
from collections.abc import Iterator

from flywheel.kinds.trainingpipeline.schema.steps import MAX_ITEMS, Step
from flywheel.kinds.trainingpipeline.schema.template import Template

MAX_ITEMS_OF_ALL_STEPS = 256  # each has a digest in the status of a run
VARIABLE = re.compile(r"\$\(([^)]*)\)")


def template_problems(template: Template) -> list[str]:
    """The problems as sentences, each with the step, the finding and the next step."""
    known = sorted({f"params.{parameter.name}" for parameter in template.parameters} | {"run.date"})
    found: list[str] = []
    for step in (*template.steps, *template.last):
        found += _unknown_variables(step, known)
        found += _trainer_problems(step)
        found += _evaluation_problems(step, template)
        found += _item_problems(step)
    return found + _total_item_problems(template)


def _unknown_variables(step: Step, known: list[str]) -> Iterator[str]:
    listed = ", ".join(f"$({each})" for each in known)
    for text in _texts(step):
        for name in VARIABLE.findall(text):
            if name not in known:
                yield f"Step '{step.name}': there is no $({name}); there are {listed}."


def _texts(step: Step) -> list[str]:
    found: list[str | None] = []
    if step.prepare:
        found.append(step.prepare.sql)
    if step.notify:
        found += [step.notify.url, step.notify.text]
    if step.container:
        container = step.container
        found += [*container.command, *container.args, *(variable.value for variable in container.env)]
        items = container.for_each.items if container.for_each else ()
        found += [
            value for given in (container.parameters, *items) for value in given.values() if isinstance(value, str)
        ]
    return [text for text in found if text]


def _item_problems(step: Step) -> list[str]:
    """The status of a run names every output of every item."""
    if step.container is None or step.container.for_each is None:
        return []
    items, outputs = len(step.container.for_each.items), len(step.container.outputs)
    if items * outputs <= MAX_ITEMS:
        return []
    finding = f"{items} items with {outputs} outputs each are {items * outputs} outputs, and {MAX_ITEMS} is the most"
    return [f"Step '{step.name}': {finding}; divide the step, or leave fewer outputs."]


def _total_item_problems(template: Template) -> list[str]:
    count = sum(
        len(step.container.for_each.items) for step in template.steps if step.container and step.container.for_each
    )
    if count <= MAX_ITEMS_OF_ALL_STEPS:
        return []
    limit = MAX_ITEMS_OF_ALL_STEPS
    return [f"All steps with forEach have {count} items, and {limit} is the most; divide the pipeline."]


def _evaluation_problems(step: Step, template: Template) -> Iterator[str]:
    """Rows of another step have no features of FeatureSets, which are added to the data of a training alone."""
    if step.evaluate is None or step.evaluate.data is None:
        return
    trained = {each.name for each in template.steps if each.train is not None and each.train.feature_sets}
    if step.evaluate.from_ in trained:
        finding = f"the model of step '{step.evaluate.from_}' takes features of FeatureSets, and data '{step.evaluate.data}' has none"
        yield f"Step '{step.name}': {finding}; remove evaluate.data, to evaluate on the test rows of the training."


def _trainer_problems(step: Step) -> list[str]:
    """Rules that an Experiment has in its CRD, and that would cost too much here, 200 times."""
    if step.train is None:
        return []
    train, container = step.train, step.train.trainer.container
    finding = None
    if container is None:
        if train.distributed is not None or train.checkpoint is not None:
            finding = (
                "distributed and checkpoint are for trainer container; trainer sklearn trains in one pod, in one go."
            )
        elif blank := next((name for name, sql in train.rowwise.items() if not sql.strip()), None):
            finding = f"the expression '{blank}' of rowwise is empty; write it, or remove its name."
    elif train.feature_sets:
        finding = "featureSets is for trainer sklearn; a container computes its features itself."
    elif train.rowwise:
        finding = "rowwise is for trainer sklearn; a container computes its features itself."
    elif train.objective is None:
        finding = "trainer container needs objective.metric, the name of a metric that it writes to metrics.json."
    elif container.model is None:
        finding = "trainer container needs model, the file that it leaves."
    elif train.validation is not None:
        finding = "validation is for trainer sklearn; a container validates its trials by itself."
    return [f"Step '{step.name}': {finding}"] if finding else []
