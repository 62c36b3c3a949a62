"""Steps that are Jobs: prepare, evaluate, package, container, notify. Params and outputs are those of images/README.md."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from flywheel.core.diagnosis import indexed_outcome, kueue, pending
from flywheel.core.pods.fetch import Input
from flywheel.core.pods.indexed_job import Indexed, RankGroup, headless_service
from flywheel.core.pods.job import Step, step_job
from flywheel.core.pods.pod_spec import pods_of_job
from flywheel.core.resource.api import JOB, POD, Manifest, Reference
from flywheel.core.resource.kind import Cluster
from flywheel.core.resource.plan import Child
from flywheel.core.resource.schema import Resources, Variable
from flywheel.core.resource.values import parse_quantity
from flywheel.kinds.trainingpipeline.schema.steps import Container
from flywheel.kinds.trainingrun.parameters import Values, each_of
from flywheel.kinds.trainingrun.schema import TrainingRun
from flywheel.kinds.trainingrun.steps.executor import Order, Seen
from flywheel.kinds.trainingrun.steps.sampling import is_sampling

USUAL_RESOURCES = Resources(requests={"cpu": "250m", "memory": "512Mi"})


@dataclass(frozen=True)
class JobWorker:
    """`described` gives what differs: image, command, params, inputs, outputs."""

    described: Callable[[TrainingRun, Order], Step]

    def children(self, run: TrainingRun, order: Order) -> tuple[Child, ...]:
        """See Worker."""
        step = self._step(run, order)
        ranks = (headless_service(run),) if isinstance(step.indexed, RankGroup) else ()
        return (*ranks, step_job(run, step, order.settings))

    def identity(self, run: TrainingRun, order: Order) -> Mapping[str, Any] | str:
        """See Worker."""
        step, ours = self._step(run, order), (order.settings.runtime_image, order.settings.serving_image)
        if "@sha256:" not in step.image and step.image not in ours:
            return f"image '{step.image[:60]}' has no digest"
        return {
            "image": step.image,
            "command": [*step.command, *step.args],
            "params": dict(step.params),
            "inputs": {each.name: each.artifact for each in step.inputs},
            "outputs": list(step.outputs),
            "env": [variable.model_dump(mode="json", exclude_none=True) for variable in step.env],
            **_identity(step.indexed),
        }

    def read(self, run: TrainingRun, name: str, cluster: Cluster) -> Seen:
        """See Worker."""
        job = cluster.get(Reference(JOB, run.namespace, name))
        if job is None:
            return Seen(exists=False)
        pods = pods_of_job(name, cluster.children(run.uid, POD))
        ended = indexed_outcome.attempt_outcome(job, pods)

        def events(uid: str) -> Sequence[Manifest]:
            return cluster.events(run.namespace, uid)

        if ended is not None:
            return Seen(exists=True, outcome=ended)
        stuck = kueue.diagnose_queue(job, cluster) or pending.diagnose(job, pods, events, cluster.now)
        return Seen(exists=True, diagnosis=stuck, note=indexed_outcome.items_progress(job))

    def _step(self, run: TrainingRun, order: Order) -> Step:
        step, wanted = self.described(run, order), order.step
        asked = wanted.resources if wanted.resources.requests or wanted.resources.limits else USUAL_RESOURCES
        return replace(
            step,
            timeout=wanted.timeout.timedelta if wanted.timeout else None,
            resources=_with_memory(asked, order.memory),
            placement=wanted.placement,
            queue=wanted.placement.queue_name,
        )


def _ours(order: Order, command: str, params: Mapping[str, Any], outputs: tuple[str, ...]) -> Step:
    inputs = tuple(Input(name, artifact=taken.digest) for name, taken in sorted(order.taken.items()))
    image = order.settings.runtime_image
    words = ("python3", "-m", "flywheel_runtime", command)
    return Step(str(order.step.name), order.attempt, image, words, params, inputs=inputs, outputs=outputs)


def _prepare(_run: TrainingRun, order: Order) -> Step:
    wanted = order.step.prepare
    assert wanted is not None, "chosen by the step's kind"
    told, dated = order.values.used(wanted.sql or "")
    params = {
        "tables": [str(name) for name in wanted.from_],
        "sql": wanted.sql,
        "parameters": told,
        "run": {"date": order.values.date.isoformat()} if dated else {},
        "sample": order.sample if is_sampling(order.step) else None,
        "seed": 0,
    }
    return _ours(order, "prepare", params, ("data",))


def _evaluate(_run: TrainingRun, order: Order) -> Step:
    wanted = order.step.evaluate
    assert wanted is not None, "chosen by the step's kind"
    facts = order.taken["model"].facts
    params = {
        "by": list(wanted.by),
        "metric": str(wanted.metric) if wanted.metric else facts.get("metric"),
        "path": facts.get("path", "model.onnx"),
    }
    return _ours(order, "evaluate", params, ("evaluation",))


def _package(_run: TrainingRun, order: Order) -> Step:
    wanted = order.step.package
    assert wanted is not None, "chosen by the step's kind"
    params = {"path": order.taken["model"].facts.get("path", "model.onnx"), "quantize": wanted.quantize}
    return _ours(order, "package", params, ("model",))


def _container(_run: TrainingRun, order: Order) -> Step:
    wanted, values = order.step.container, order.values
    assert wanted is not None, "chosen by the step's kind"
    test = (Variable(name="FLYWHEEL_TEST", value="true"),) if order.sample else ()
    filled = (
        each.model_copy(update={"value": values.filled(each.value)}) if each.value is not None else each
        for each in wanted.env
    )
    return Step(
        str(order.step.name),
        order.attempt,
        wanted.image,
        tuple(values.filled(word) for word in wanted.command),
        {name: values.value(given) for name, given in wanted.parameters.items()},
        args=tuple(values.filled(word) for word in wanted.args),
        inputs=tuple(Input(name, artifact=taken.digest) for name, taken in sorted(order.taken.items())),
        outputs=tuple(str(name) for name in wanted.outputs),
        env=(*filled, *test),
        pull_secrets=wanted.image_pull_secrets,
        shared_memory=wanted.shared_memory,
        read_only_root=False,
        indexed=_indexed(wanted, values),
        checkpoint=wanted.checkpoint,
    )


def _indexed(wanted: Container, values: Values) -> Indexed | None:
    if wanted.for_each is not None:
        return each_of(wanted.for_each, values)
    if wanted.distributed is None:
        return None
    return RankGroup(wanted.distributed.framework, wanted.distributed.nodes, wanted.distributed.processes_per_node)


def _identity(indexed: Indexed | None) -> dict[str, Any]:
    """How many pods do it together may change what comes out; how many items are done at a time may not."""
    if isinstance(indexed, RankGroup):
        return {"distributed": asdict(indexed)}
    return {"each": list(indexed.parameters)} if indexed is not None else {}


def _notify(run: TrainingRun, order: Order) -> Step:
    wanted = order.step.notify
    assert wanted is not None, "chosen by the step's kind"
    body = {"run": run.name, "namespace": run.namespace, "pipeline": str(run.spec.pipeline), **order.context}
    if wanted.text:
        body["text"] = order.values.filled(wanted.text)
    secret = wanted.secret
    params = {
        **({"url": order.values.filled(wanted.url)} if wanted.url else {}),
        "body": body,
        "allowedHosts": list(order.settings.allowed_http_hosts),
    }
    env = (Variable(name="NOTIFY_URL", secret=secret),) if secret else ()
    return replace(_ours(order, "notify", params, ()), env=env)


@dataclass(frozen=True)
class Notifying(JobWorker):
    """Telling somebody is a side effect."""

    def identity(self, run: TrainingRun, order: Order) -> Mapping[str, Any] | str:
        """See Worker."""
        return "a notification is a side effect"


def _with_memory(resources: Resources, factor: int) -> Resources:
    """More memory after it was too little: requests and limits times `factor`."""
    if factor == 1:
        return resources

    def more(asked: Mapping[str, Any]) -> dict[str, Any]:
        return {
            name: int(parse_quantity(value) * factor) if name == "memory" else value for name, value in asked.items()
        }

    return Resources(requests=more(resources.requests), limits=more(resources.limits))


WORKERS = {
    "prepare": JobWorker(_prepare),
    "evaluate": JobWorker(_evaluate),
    "package": JobWorker(_package),
    "container": JobWorker(_container),
    "notify": Notifying(_notify),
}
