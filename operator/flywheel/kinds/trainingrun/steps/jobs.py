"""Steps that are Jobs: prepare, evaluate, package, container, notify; images/README.md has their params and outputs."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from flywheel.core.diagnosis.attempt_state import read_job
from flywheel.core.diagnosis.indexed_outcome import items_progress
from flywheel.core.pods.bounds import bound_resources, bound_time
from flywheel.core.pods.distributed import Distributed
from flywheel.core.pods.fetch import Input
from flywheel.core.pods.indexed_job import Indexed, headless_service
from flywheel.core.pods.job import Step as JobStep
from flywheel.core.pods.job import step_job
from flywheel.core.pods.sidecar_config import TrackConfig
from flywheel.core.pods.step_config.config import StepConfig
from flywheel.core.pods.step_config.monitoring import NotifyConfig
from flywheel.core.pods.step_config.training import EvaluateConfig, PackageConfig, PrepareConfig
from flywheel.core.resource.api import POD, Manifest
from flywheel.core.resource.kind import Cluster
from flywheel.core.resource.plan import Child
from flywheel.core.resource.schema import Resources, Variable
from flywheel.core.resource.values import parse_quantity
from flywheel.kinds.trainingpipeline.schema.steps import Container, Evaluate, Notify, Package, Prepare
from flywheel.kinds.trainingrun.parameters import Values, item_set
from flywheel.kinds.trainingrun.schema import TrainingRun
from flywheel.kinds.trainingrun.steps.attempt import Attempt, AttemptSeen
from flywheel.kinds.trainingrun.steps.sampling import is_sampling

DEFAULT_RESOURCES = Resources(requests={"cpu": "250m", "memory": "512Mi"})


def job_and_service(attempt: Attempt) -> tuple[Child, ...]:
    """The Job, and before it the Service by which ranks of a distributed step find one another."""
    run, step = attempt.context.run, _job_step(attempt)
    ranks = (headless_service(run),) if isinstance(step.indexed, Distributed) else ()
    return (*ranks, step_job(run, step, attempt.context.settings))


def job_identity(attempt: Attempt) -> Mapping[str, Any] | str:
    """Everything that decides the Job's result, or the reason why that is not known."""
    step, settings = _job_step(attempt), attempt.context.settings
    if "@sha256:" not in step.image and step.image not in (settings.runtime_image, settings.serving_image):
        return f"image '{step.image[:60]}' has no digest"
    return {
        "image": step.image,
        "command": [*step.command, *step.args],
        "params": dict(step.params),
        "inputs": {each.name: each.artifact for each in step.inputs},
        "outputs": list(step.outputs),
        "env": [variable.model_dump(mode="json", exclude_none=True) for variable in step.env],
        **_indexed_identity(step.indexed),
    }


def read_step_job(run: TrainingRun, job: Manifest, cluster: Cluster) -> AttemptSeen:
    """The Job's outcome, or why it does not run and how far it is."""
    return AttemptSeen(note=items_progress(job), **vars(read_job(job, cluster.children(run.uid, POD), cluster)))


def _job_step(attempt: Attempt) -> JobStep:
    wanted, settings = attempt.step, attempt.context.settings
    resources = bound_resources(wanted.resources.or_default(DEFAULT_RESOURCES), settings)
    return replace(
        _work(attempt),
        timeout=bound_time(wanted.timeout, settings.training_timeout),
        resources=_with_more_memory(resources, attempt.memory_factor),
        placement=wanted.placement,
        queue=wanted.placement.queue_name,
        track=_track(attempt),
    )


def _track(attempt: Attempt) -> TrackConfig | None:
    """What the record of a step has beside its result; steps that train or evaluate nothing have none."""
    if attempt.step.container is None and attempt.step.evaluate is None:
        return None
    context, run = attempt.context, attempt.context.run
    data = attempt.inputs.get("data")
    container = attempt.step.container
    parameters = (
        {name: context.values.resolve(given) for name, given in container.parameters.items()} if container else {}
    )
    known = {
        "datasetVersion": data.facts.get("version") if data else None,
        "datasetDigest": data.digest if data else None,
        "parameters": parameters or None,
        "tags": dict(context.tags) or None,
        "retention": context.retention,
    }
    return TrackConfig.model_validate(
        {
            "kind": run.api.kind,
            "name": run.name,
            "pipeline": str(run.spec.pipeline),
            "run": run.name,
            "runUid": run.uid,
            **{name: value for name, value in known.items() if value is not None},
        }
    )


def _work(attempt: Attempt) -> JobStep:
    """What differs between the sorts of steps: image, command, params, inputs, outputs."""
    step = attempt.step
    if step.prepare is not None:
        return _prepare(attempt, step.prepare)
    if step.evaluate is not None:
        return _evaluate(attempt, step.evaluate)
    if step.package is not None:
        return _package(attempt, step.package)
    if step.container is not None:
        return _container(attempt, step.container)
    if step.notify is not None:
        return _notify(attempt, step.notify)
    raise ValueError(f"step '{step.name}' is no Job")


def _runtime_step(attempt: Attempt, command: str, config: StepConfig, outputs: tuple[str, ...]) -> JobStep:
    return JobStep(
        str(attempt.step.name),
        attempt.number,
        attempt.context.settings.runtime_image,
        ("python3", "-m", "flywheel_runtime", command),
        config.document(),
        inputs=_inputs(attempt),
        outputs=outputs,
    )


def _inputs(attempt: Attempt) -> tuple[Input, ...]:
    return tuple(Input(name, artifact=each.digest) for name, each in sorted(attempt.inputs.items()))


def _prepare(attempt: Attempt, wanted: Prepare) -> JobStep:
    values = attempt.context.values
    parameters, uses_date = values.used_in(wanted.sql or "")
    config = PrepareConfig(
        tables=wanted.from_,
        sql=wanted.sql,
        parameters=parameters,
        run={"date": values.date.isoformat()} if uses_date else {},
        sample=attempt.context.sample if is_sampling(attempt.step) else None,
        seed=0,
    )
    return _runtime_step(attempt, "prepare", config, ("data",))


def _evaluate(attempt: Attempt, wanted: Evaluate) -> JobStep:
    facts = attempt.inputs["model"].facts
    metric = wanted.metric or facts.get("metric")
    config = EvaluateConfig(by=wanted.by, metric=metric, path=facts.get("path", "model.onnx"))
    return _runtime_step(attempt, "evaluate", config, ("evaluation",))


def _package(attempt: Attempt, wanted: Package) -> JobStep:
    config = PackageConfig(path=attempt.inputs["model"].facts.get("path", "model.onnx"), quantize=wanted.quantize)
    return _runtime_step(attempt, "package", config, ("model",))


def _container(attempt: Attempt, wanted: Container) -> JobStep:
    values = attempt.context.values
    test = (Variable(name="FLYWHEEL_TEST", value="true"),) if attempt.context.sample else ()
    env = (
        each.model_copy(update={"value": values.fill(each.value)}) if each.value is not None else each
        for each in wanted.env
    )
    return JobStep(
        str(attempt.step.name),
        attempt.number,
        wanted.image,
        tuple(values.fill(argument) for argument in wanted.command),
        {name: values.resolve(given) for name, given in wanted.parameters.items()},
        args=tuple(values.fill(argument) for argument in wanted.args),
        inputs=_inputs(attempt),
        outputs=tuple(str(name) for name in wanted.outputs),
        env=(*env, *test),
        pull_secrets=wanted.image_pull_secrets,
        shared_memory=wanted.shared_memory,
        read_only_root=False,
        indexed=_indexed(wanted, values),
        checkpoint=wanted.checkpoint,
    )


def _indexed(wanted: Container, values: Values) -> Indexed | None:
    if wanted.for_each is not None:
        return item_set(wanted.for_each, values)
    return wanted.distributed


def _indexed_identity(indexed: Indexed | None) -> dict[str, Any]:
    """The number of ranks may change the result; the number of items at a time may not."""
    if isinstance(indexed, Distributed):
        group = {"framework": indexed.framework, "nodes": indexed.nodes, "processes": indexed.processes_per_node}
        return {"distributed": group}
    return {"each": list(indexed.parameters)} if indexed is not None else {}


def _notify(attempt: Attempt, wanted: Notify) -> JobStep:
    run, values = attempt.context.run, attempt.context.values
    body = {"run": run.name, "namespace": run.namespace, "pipeline": str(run.spec.pipeline), **attempt.details}
    if wanted.text:
        body["text"] = values.fill(wanted.text)
    url = {"url": values.fill(wanted.url)} if wanted.url else {}
    config = NotifyConfig(body=body, allowed_hosts=attempt.context.settings.allowed_http_hosts, **url)
    env = (Variable(name="NOTIFY_URL", secret=wanted.secret),) if wanted.secret else ()
    return replace(_runtime_step(attempt, "notify", config, ()), env=env)


def _with_more_memory(resources: Resources, factor: int) -> Resources:
    """Requests and limits of memory times `factor`, after an attempt ran out of memory."""
    if factor == 1:
        return resources

    def multiply(quantities: Mapping[str, Any]) -> dict[str, Any]:
        return {
            name: int(parse_quantity(value) * factor) if name == "memory" else value
            for name, value in quantities.items()
        }

    return Resources(requests=multiply(resources.requests), limits=multiply(resources.limits))
