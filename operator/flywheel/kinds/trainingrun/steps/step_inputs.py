"""What a step takes from inputs and steps above: artifacts by digest, and what is known of them."""

from collections.abc import Mapping
from typing import Any

from flywheel.kinds.trainingpipeline.schema.steps import Step
from flywheel.kinds.trainingpipeline.schema.template import Template
from flywheel.kinds.trainingrun.observe import Seen
from flywheel.kinds.trainingrun.parameters import Refused, Values, each_of
from flywheel.kinds.trainingrun.schema import TrainingRun
from flywheel.kinds.trainingrun.schema.status import InputUsed, StepStatus
from flywheel.kinds.trainingrun.steps.dependencies import trained_on
from flywheel.kinds.trainingrun.steps.executor import Order, Taken
from flywheel.kinds.trainingrun.steps.step_states import Row, Table

Inputs = Mapping[str, InputUsed]


def order(
    run: TrainingRun,
    template: Template,
    inputs: Inputs,
    values: Values,
    seen: Seen,
    rows: Table,
    row: Row,
    sample: str | None,
) -> Order:
    """The order for the next attempt of a step whose needs are met. Raises Refused."""
    step, status = row.step, row.status
    folders = _of_items(rows, _folders(template, step)) if step.container else _folders(template, step)
    taken = {name: _taken(inputs, rows, producer, output) for name, (producer, output) in folders.items()}
    if step.container and step.container.for_each:
        each_of(step.container.for_each, values)  # refused here, where a refusal is told
    doublings = (status.tries.out_of_memory or 0) if status.tries else 0
    return Order(
        step=step,
        attempt=(status.attempt or 0) + 1,
        taken=taken,
        values=values,
        settings=seen.settings,
        memory=2**doublings,
        sample=sample,
        again=_original(seen, str(step.name)) if step.train else None,
        context=_context(run, template, inputs, rows, step),
    )


def _folders(template: Template, step: Step) -> dict[str, tuple[str, str | None]]:
    """By folder: whose output, and which."""
    if step.prepare:
        return {str(name): (str(name), "data") for name in step.prepare.from_}
    if step.train:
        return {"data": (str(step.train.from_), "data")}
    if step.container:
        return {str(each.name): (str(each.from_), each.output) for each in step.container.inputs}
    if step.evaluate:
        model = str(step.evaluate.from_)
        data = str(step.evaluate.data) if step.evaluate.data else trained_on(template, model)
        if data is None:
            raise Refused(f"Nothing says on what data the model of step '{model}' was trained; set evaluate.data.")
        return {"model": (model, "model"), "data": (data, "data")}
    model_step = step.package or step.register_
    if model_step is None:
        return {}
    found: dict[str, tuple[str, str | None]] = {"model": (str(model_step.from_), "model")}
    data = trained_on(template, str(model_step.from_))
    return {**found, "data": (data, "data")} if step.package and data is not None else found


def _of_items(rows: Table, folders: Mapping[str, tuple[str, str | None]]) -> dict[str, tuple[str, str | None]]:
    """What is taken from a step with forEach, and from no item by its number, is one folder for each item."""
    found: dict[str, tuple[str, str | None]] = {}
    for name, (producer, output) in folders.items():
        of = rows[producer].step.container if producer in rows else None
        if of is None or of.for_each is None or output in rows[producer].status.outputs:
            found[name] = (producer, output)
            continue
        wanted = output or (str(of.outputs[0]) if len(of.outputs) == 1 else None)
        if wanted is None:
            raise Refused(f"Step '{producer}' leaves several outputs; say which in container.inputs[].output.")
        found |= {f"{name}-{item}": (producer, f"{wanted}-{item}") for item in range(len(of.for_each.items))}
    return found


def _taken(inputs: Inputs, rows: Table, producer: str, output: str | None) -> Taken:
    if producer in inputs:
        used = inputs[producer]
        known = {"dataset": used.dataset, "version": used.version or "", **used.facts}
        return Taken(producer, str(used.digest), known)
    status = rows[producer].status
    digest = _output(status, output)
    # What packaging does not change of a model stays known of it.
    return Taken(producer, digest, _facts(rows, producer), status.metrics)


def _facts(rows: Table, producer: str) -> dict[str, str]:
    row = rows[producer]
    package = row.step.package
    below = _facts(rows, str(package.from_)) if package is not None else {}
    return {**below, **row.status.facts, **({"path": "model.onnx"} if package is not None else {})} | (
        {"path": row.step.container.model_path} if row.step.container else {}
    )


def _output(status: StepStatus, wanted: str | None) -> str:
    found = status.outputs
    for name in (wanted, "model", "data"):
        if name is not None and name in found:
            return str(found[name])
    if wanted is None and len(found) == 1:
        return str(next(iter(found.values())))
    has = ", ".join(sorted(found)) or "none"
    raise Refused(f"Step '{status.name}' left no output '{wanted or 'model'}' (it left {has}); correct the pipeline.")


def _context(run: TrainingRun, template: Template, inputs: Inputs, rows: Table, step: Step) -> dict[str, Any]:
    if step.register_:
        source = _source(template, rows, str(step.register_.from_))
        return {
            "data": _lineage_of_data(template, inputs, rows, source),
            "image": rows[str(step.register_.from_)].status.image,
        }
    if step.notify:
        failed = [name for name, row in rows.items() if row.status.state == "Failed"]
        return {"failed": failed, "cause": run.spec.cause.message if run.spec.cause else "started by hand"}
    return {}


def _source(template: Template, rows: Table, model: str) -> str | None:
    return trained_on(template, model) if model in rows else None


def _lineage_of_data(template: Template, inputs: Inputs, rows: Table, name: str | None) -> dict[str, str]:
    """The Dataset behind the training data, and the artifact that was trained on."""
    if name is None:
        return {}
    if name in inputs:
        used = inputs[name]
        return {"dataset": used.dataset, "version": str(used.version), "digest": str(used.digest)}
    row = rows.get(name)
    if row is None or row.step.prepare is None:
        return {}
    behind = _lineage_of_data(template, inputs, rows, str(row.step.prepare.from_[0]))
    digest = row.status.outputs.get("data")
    return {**behind, **({"digest": str(digest)} if digest else {})}


def _original(seen: Seen, name: str) -> Mapping[str, str] | None:
    if seen.original is None:
        return None
    found = next((step for step in seen.original.steps if step.name == name), None)
    return found.facts if found is not None and found.facts.get("parameters") is not None else None
