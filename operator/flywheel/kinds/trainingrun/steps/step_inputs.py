"""The inputs of a step's next attempt: artifacts of inputs and steps above, by digest, and what is known of them."""

from collections.abc import Iterator, Mapping
from typing import Any

from flywheel.kinds.featureset.schema.pins import FeatureSetPin
from flywheel.kinds.modelversion.schema.spec import preparation_digest
from flywheel.kinds.trainingpipeline.schema import Template
from flywheel.kinds.trainingpipeline.schema.steps import Prepare, Step
from flywheel.kinds.trainingrun.parameters import InvalidInput, item_set, to_text, type_of
from flywheel.kinds.trainingrun.schema.status import InputUsed, StepStatus
from flywheel.kinds.trainingrun.steps.attempt import Attempt, InputArtifact, RunContext
from flywheel.kinds.trainingrun.steps.dependencies import training_data_of
from flywheel.kinds.trainingrun.steps.step_states import StepState, StepStates

Output = tuple[str, str | None]  # the input or step that produces it, and the output's name, where it is given

MAX_TABLES = 8  # in the lineage


def next_attempt(context: RunContext, states: StepStates, state: StepState) -> Attempt:
    """The next attempt of a step whose requirements are met.

    Raises:
        InvalidInput: a step above left no such output, or a parameter does not exist.
    """
    step, status = state.step, state.status
    folders = _folders(context.template, step)
    if step.container:
        folders = _with_items(states, folders)
        if step.container.for_each:
            item_set(step.container.for_each, context.values)  # raises here, where the step can fail with the message
    doublings = (status.tries.out_of_memory or 0) if status.tries else 0
    return Attempt(
        context,
        step=step,
        number=(status.attempt or 0) + 1,
        inputs={name: _artifact(context, states, producer, output) for name, (producer, output) in folders.items()},
        memory_factor=2**doublings,
        reproduced=_reproduced_facts(context, state.name) if step.train else None,
        feature_sets=_feature_sets(context, step),
        details=_details(context, states, step),
    )


def _folders(template: Template, step: Step) -> dict[str, Output]:
    if step.prepare:
        return {str(name): (str(name), "data") for name in step.prepare.from_}
    if step.train:
        return {"data": (str(step.train.from_), "data")}
    if step.container:
        return {str(each.name): (str(each.from_), each.output) for each in step.container.inputs}
    if step.evaluate:
        model = str(step.evaluate.from_)
        data = str(step.evaluate.data) if step.evaluate.data else training_data_of(template, model)
        if data is None:
            raise InvalidInput(
                f"The data on which the model of step '{model}' was trained is unknown; set evaluate.data."
            )
        return {"model": (model, "model"), "data": (data, "data")}
    consumer = step.package or step.register_
    if consumer is None:
        return {}
    found: dict[str, Output] = {"model": (str(consumer.from_), "model")}
    data = training_data_of(template, str(consumer.from_))
    return {**found, "data": (data, "data")} if step.package and data is not None else found


def _with_items(states: StepStates, folders: Mapping[str, Output]) -> dict[str, Output]:
    """The folders with one for each item, where a step with forEach is named without the number of an item."""
    found: dict[str, Output] = {}
    for name, (producer, output) in folders.items():
        container = states[producer].step.container if producer in states else None
        if container is None or container.for_each is None or output in states[producer].status.outputs:
            found[name] = (producer, output)
            continue
        wanted = output or (str(container.outputs[0]) if len(container.outputs) == 1 else None)
        if wanted is None:
            raise InvalidInput(f"Step '{producer}' leaves several outputs; say which in container.inputs[].output.")
        found |= {f"{name}-{item}": (producer, f"{wanted}-{item}") for item in range(len(container.for_each.items))}
    return found


def _artifact(context: RunContext, states: StepStates, producer: str, output: str | None) -> InputArtifact:
    if producer in context.inputs:
        used = context.inputs[producer]
        # The version is that of a Dataset; what a run left has the name of the input and its digest.
        known = {"dataset": used.dataset or "", "version": used.version or ""} if used.run is None else {}
        facts = {**known, **used.facts}
        return InputArtifact(producer, str(used.digest), facts)
    status = states[producer].status
    return InputArtifact(producer, _output_digest(status, output), _facts(states, producer), status.metrics)


def _facts(states: StepStates, producer: str) -> dict[str, str]:
    """What is known of a step's output; what packaging does not change stays known of the model."""
    step, facts = states[producer].step, states[producer].status.facts
    if step.package:
        return {**_facts(states, str(step.package.from_)), **facts, "path": "model.onnx"}
    return {**facts, "path": step.container.model_path} if step.container else dict(facts)


def _output_digest(status: StepStatus, wanted: str | None) -> str:
    found = status.outputs
    for name in (wanted, "model", "data"):
        if name is not None and name in found:
            return str(found[name])
    if wanted is None and len(found) == 1:
        return str(next(iter(found.values())))
    has = ", ".join(sorted(found)) or "none"
    raise InvalidInput(
        f"Step '{status.name}' left no output '{wanted or 'model'}' (it left {has}); correct the pipeline."
    )


def _details(context: RunContext, states: StepStates, step: Step) -> dict[str, Any]:
    """What only register and notify need."""
    if step.register_:
        model = str(step.register_.from_)
        data = training_data_of(context.template, model)
        lineage = _data_lineage(context, states, data)
        return {"data": lineage, "image": states[model].status.image, "code": _code_of(states, model)}
    if step.notify:
        failed, cause = [name for name, each in states.items() if each.status.state == "Failed"], context.run.spec.cause
        return {"failed": failed, "cause": cause.message if cause else "started by hand"}
    return {}


def _code_of(states: StepStates, producer: str) -> dict[str, str]:
    """The revision of the code that trained the model of a step, as the step train has it."""
    step = states[producer].step
    if step.package:
        return _code_of(states, str(step.package.from_))
    code = step.train.code if step.train else None
    found = {"gitRevision": code.revision, "gitRepository": code.repository} if code else {}
    return {name: value for name, value in found.items() if value is not None}


def _data_lineage(context: RunContext, states: StepStates, name: str | None) -> dict[str, Any]:
    """The Dataset behind the training data, the digest of the data itself, and how it was prepared."""
    if name is None:
        return {}
    if name in context.inputs:
        return _input_lineage(context.inputs[name])
    digest = states[name].status.outputs.get("data") if name in states else None
    train = states[name].step.train if name in states else None
    if train is not None:
        joined = [each.document() for each in states[name].status.feature_sets]
        data = _data_lineage(context, states, str(train.from_))
        return {**data, **({"digest": str(digest)} if digest else {}), "featureSets": joined}
    prepare = _prepare_of(states, name)
    if prepare is None:
        return {}
    first = _data_lineage(context, states, str(prepare.from_[0]))
    source: dict[str, Any] = {key: first[key] for key in ("dataset", "version", "digest") if key in first}
    return {**source, **({"digest": str(digest)} if digest else {}), "prepared": _prepared(context, states, name)}


def _input_lineage(used: InputUsed) -> dict[str, Any]:
    """The version of a Dataset; or the output of a run, and the Dataset behind it."""
    dataset = {"dataset": used.dataset, "version": used.version}
    known = {key: value for key, value in dataset.items() if value is not None}
    if used.run is None:
        return {**known, "digest": str(used.digest)}
    prepared = {"step": used.step, "run": used.run}
    return {**known, "digest": str(used.digest), "prepared": prepared} if used.facts.get("task") else {}


def _prepared(context: RunContext, states: StepStates, name: str) -> dict[str, Any]:
    """The queries between the pipeline's inputs and the data of a step `prepare`, the values that they used, and their tables."""
    found, tables = _query_of(states, name), list(_tables_behind(context, states, name))
    values: dict[str, str] = {}
    types: dict[str, str] = {}
    for sql in (found.get("sql"), *(each.get("sql") for each in tables)):
        parameters, uses_date = context.values.used_in(sql or "")
        values |= {f"params.{parameter}": to_text(value)[:256] for parameter, value in parameters.items()}
        types |= {f"params.{parameter}": type_of(value) for parameter, value in parameters.items()}
        values |= {"run.date": context.values.date.isoformat()} if uses_date else {}
    given = {"values": dict(sorted(values.items())), "types": dict(sorted(types.items())), "from": tables[:MAX_TABLES]}
    digest = preparation_digest([found, *tables], values)
    return {"step": name, **found, **{key: value for key, value in given.items() if value}, "digest": digest}


def _tables_behind(context: RunContext, states: StepStates, name: str) -> Iterator[dict[str, Any]]:
    """Yields each table of a step `prepare` once, and then those behind the tables that are steps themselves."""
    waiting, done = [name], set[str]()
    while waiting:
        prepare = _prepare_of(states, waiting.pop(0))
        for table in map(str, prepare.from_ if prepare else ()):
            if table in done:
                continue
            done.add(table)
            waiting.append(table)
            yield {"name": table, **_table(context, states, table)}


def _table(context: RunContext, states: StepStates, name: str) -> dict[str, Any]:
    used = context.inputs.get(name)
    if used is not None and used.run is not None:
        return {"digest": str(used.digest), "run": used.run}
    if used is not None:
        return _input_lineage(used)
    return {"digest": _output_digest(states[name].status, "data"), **_query_of(states, name)}


def _query_of(states: StepStates, name: str) -> dict[str, Any]:
    prepare = _prepare_of(states, name)
    if prepare is None:
        return {}
    return {**({"sql": prepare.sql} if prepare.sql else {}), "reads": [str(each) for each in prepare.from_]}


def _prepare_of(states: StepStates, name: str) -> Prepare | None:
    return states[name].step.prepare if name in states else None


def _feature_sets(context: RunContext, step: Step) -> tuple[FeatureSetPin, ...]:
    """The FeatureSets of a step train as they are now, or as the run took them that this one reproduces; none where one has to be waited for."""
    wanted = [str(each) for each in step.train.feature_sets] if step.train else []
    if wanted and context.original is not None:
        original = next((each for each in context.original.steps if each.name == str(step.name)), None)
        if original is not None and original.feature_sets:
            return original.feature_sets
    found = [context.feature_sets.get(each) for each in wanted]
    pins = [each for each in found if each is not None]
    return tuple(pins) if len(pins) == len(wanted) else ()


def _reproduced_facts(context: RunContext, name: str) -> Mapping[str, str] | None:
    if context.original is None:
        return None
    step = next((each for each in context.original.steps if each.name == name), None)
    return step.facts if step is not None and step.facts.get("parameters") is not None else None
