"""What is wrong with a template that no rule of the CRD can see."""

import re

from flywheel.kinds.trainingpipeline.schema.steps import MOST_ITEMS, Step
from flywheel.kinds.trainingpipeline.schema.template import Template

MOST_ITEMS_OF_ALL = 256  # each has a digest in the status of a run
NAMED = re.compile(r"\$\(([^)]*)\)")


def faults(template: Template) -> list[str]:
    """Sentences, each with the step, the finding and what would do."""
    known = {f"params.{parameter.name}" for parameter in template.parameters} | {"run.date"}
    found: list[str] = []
    for step in (*template.steps, *template.last):
        for text in _texts(step):
            for name in NAMED.findall(text):
                if name not in known:
                    words = f"there is no $({name}); there are {', '.join(f'$({each})' for each in sorted(known))}"
                    found.append(f"Step '{step.name}': {words}.")
        found += _of_the_trainer(step) + _of_the_items(step)
    return found + _of_all_items(template)


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


def _of_the_items(step: Step) -> list[str]:
    """Status names every output of every item."""
    if step.container is None or step.container.for_each is None:
        return []
    items, outputs = len(step.container.for_each.items), len(step.container.outputs)
    if items * outputs > MOST_ITEMS:
        words = f"{items} items with {outputs} outputs each are {items * outputs} outputs, and {MOST_ITEMS} is the most"
        return [f"Step '{step.name}': {words}; divide the step, or leave fewer outputs."]
    return []


def _of_all_items(template: Template) -> list[str]:
    count = sum(
        len(step.container.for_each.items) for step in template.steps if step.container and step.container.for_each
    )
    if count > MOST_ITEMS_OF_ALL:
        return [f"All steps with forEach have {count} items, and {MOST_ITEMS_OF_ALL} is the most; divide the pipeline."]
    return []


def _of_the_trainer(step: Step) -> list[str]:
    """Rules that an Experiment has in its CRD, and that would cost too much here, 200 times."""
    if step.train is None:
        return []
    trainer, where = step.train.trainer, f"Step '{step.name}'"
    if trainer.container is not None and step.train.objective is None:
        return [
            f"{where}: trainer container needs objective.metric, the name of a metric that it writes to metrics.json."
        ]
    if trainer.container is not None and trainer.container.model is None:
        return [f"{where}: trainer container needs model, the file that it leaves."]
    if trainer.container is not None and step.train.validation is not None:
        return [f"{where}: validation is for trainer sklearn; a container judges its trials by itself."]
    if trainer.container is None and (step.train.distributed is not None or step.train.checkpoint is not None):
        return [f"{where}: distributed and checkpoint are for trainer container; ours trains in one pod, in one go."]
    return []
