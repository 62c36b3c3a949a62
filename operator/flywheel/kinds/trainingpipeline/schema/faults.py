"""What is wrong with a template that no rule of the CRD can see."""

import re

from flywheel.kinds.trainingpipeline.schema.steps import Step
from flywheel.kinds.trainingpipeline.schema.template import Template

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
        found += _of_the_trainer(step)
    return found


def _texts(step: Step) -> list[str]:
    found: list[str | None] = []
    if step.prepare:
        found.append(step.prepare.sql)
    if step.notify:
        found += [step.notify.url, step.notify.text]
    if step.container:
        container = step.container
        found += [*container.command, *container.args, *(variable.value for variable in container.env)]
        found += [value for value in container.parameters.values() if isinstance(value, str)]
    return [text for text in found if text]


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
