"""Everything that matters to a run, in one look."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from flywheel.core.resource import conditions
from flywheel.core.resource.api import (
    CONTROLLER_REVISION,
    DATASET,
    JOB,
    MODEL,
    MODEL_VERSION,
    TRAINING_PIPELINE,
    TRAINING_RUN,
    Manifest,
    Reference,
    flywheel_api,
)
from flywheel.core.resource.kind import Cluster
from flywheel.core.settings import Settings
from flywheel.kinds.trainingpipeline.schema.revision import revision_name
from flywheel.kinds.trainingpipeline.schema.template import Template
from flywheel.kinds.trainingrun.schema import TrainingRun, TrainingRunStatus
from flywheel.kinds.trainingrun.schema.status import StepStatus
from flywheel.kinds.trainingrun.steps import WORKERS
from flywheel.kinds.trainingrun.steps.executor import Seen as Work

# No such resource: runs refer to it by the keys of their steps, so that a run finds those that did the same work before.
CACHE_KEY = flywheel_api("CacheKey", "cachekeys")


@dataclass(frozen=True)
class Frozen:
    """A revision of the pipeline, as its ControllerRevision has it."""

    name: str
    template: Template
    test: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class PipelineSeen:
    """`live`: the revision for runs that name none; `suspended` is of triggers alone."""

    uid: str
    live: str | None
    message: str


@dataclass(frozen=True)
class Entry:
    """A step of an earlier run that ended well."""

    run: str
    step: StepStatus


@dataclass(frozen=True)
class Seen:
    """`work` by step, of those that run. `cached` answers from the store, as it is at this look: steps of other runs by key."""

    now: datetime
    settings: Settings
    pipeline: PipelineSeen | None = None
    frozen: Frozen | None = None
    datasets: Mapping[str, Manifest] = field(default_factory=dict)
    work: Mapping[str, Work] = field(default_factory=dict)
    original: TrainingRunStatus | None = None
    original_found: bool = True
    tick_is_gone: bool = False
    cached: Callable[[str], tuple[Entry, ...]] = lambda _key: ()


def observe(run: TrainingRun, cluster: Cluster) -> Seen:
    """One look at the pipeline's revision, the data, and what became of each step under way."""
    pipeline = cluster.get(Reference(TRAINING_PIPELINE, run.namespace, run.spec.pipeline))
    original = _original(run, cluster)
    seen = _pipeline(pipeline) if pipeline is not None else None
    wanted = run.status.revision or run.spec.revision or (original.revision if original else None)
    revision = wanted or (seen.live if seen else None)
    frozen = _frozen(run, revision, cluster) if revision is not None else None
    return Seen(
        now=cluster.now,
        settings=cluster.settings,
        pipeline=seen,
        frozen=frozen,
        datasets=_datasets(run, frozen, cluster) if frozen else {},
        work=dict(_work(run, frozen, cluster)) if frozen else {},
        original=original,
        original_found=run.spec.reproduce_of is None or original is not None,
        tick_is_gone=_tick_is_gone(run, cluster),
        cached=lambda key: _cached(run, key, cluster),
    )


def references(run: TrainingRun) -> Iterable[Reference]:
    """The pipeline, the data, what it registered, and the keys of its work."""
    status = run.status
    yield Reference(TRAINING_PIPELINE, run.namespace, run.spec.pipeline)
    yield from (Reference(DATASET, run.namespace, used.dataset) for used in status.inputs)
    if run.spec.reproduce_of is not None:
        yield Reference(TRAINING_RUN, run.namespace, run.spec.reproduce_of)
    for step in status.steps:
        if step.key is not None and step.state == "Succeeded":
            yield Reference(CACHE_KEY, run.namespace, step.key)
        if step.facts.get("model"):
            yield Reference(MODEL, run.namespace, step.facts["model"])
            yield Reference(MODEL_VERSION, run.namespace, step.job or "")


def _pipeline(pipeline: Manifest) -> PipelineSeen:
    revision = (pipeline.get("status") or {}).get("revision")
    return PipelineSeen(
        pipeline["metadata"]["uid"], revision, str(conditions.find_condition(pipeline).get("message", ""))
    )


def _frozen(run: TrainingRun, revision: str, cluster: Cluster) -> Frozen | None:
    name = revision_name(str(run.spec.pipeline), revision)
    found = cluster.get(Reference(CONTROLLER_REVISION, run.namespace, name))
    if found is None:
        return None
    data = found["data"]
    return Frozen(revision, Template.model_validate(data["template"]), data.get("test") or {})


def _datasets(run: TrainingRun, frozen: Frozen, cluster: Cluster) -> dict[str, Manifest]:
    found = {
        each.dataset: cluster.get(Reference(DATASET, run.namespace, each.dataset)) for each in frozen.template.inputs
    }
    return {str(name): manifest for name, manifest in found.items() if manifest is not None}


def _work(run: TrainingRun, frozen: Frozen, cluster: Cluster) -> Iterable[tuple[str, Work]]:
    kinds = {str(step.name): step.kind for step in (*frozen.template.steps, *frozen.template.last)}
    for step in run.status.steps:
        if step.state != "Running" or step.job is None:
            continue
        worker = WORKERS.get(kinds.get(step.name, ""), WORKERS["container"])  # one that the run itself added is a Job
        yield step.name, worker.read(run, step.job, cluster)


def _original(run: TrainingRun, cluster: Cluster) -> TrainingRunStatus | None:
    if run.spec.reproduce_of is None:
        return None
    found = cluster.get(Reference(TRAINING_RUN, run.namespace, run.spec.reproduce_of))
    return TrainingRunStatus.model_validate(found.get("status") or {}) if found is not None else None


def _tick_is_gone(run: TrainingRun, cluster: Cluster) -> bool:
    """`concurrencyPolicy: Replace` removes the tick of the run that must make room."""
    cause = run.spec.cause
    if cause is None or cause.tick is None:
        return False
    return cluster.get(Reference(JOB, run.namespace, cause.tick)) is None


def _cached(run: TrainingRun, key: str, cluster: Cluster) -> tuple[Entry, ...]:
    """Newest first."""
    found: list[Entry] = []
    for manifest in cluster.referrers(TRAINING_RUN, Reference(CACHE_KEY, run.namespace, key)):
        if manifest["metadata"]["uid"] == run.uid:
            continue
        for raw in (manifest.get("status") or {}).get("steps") or ():
            if raw.get("key") == key and raw["state"] == "Succeeded" and raw.get("finished"):
                found.append(Entry(manifest["metadata"]["name"], StepStatus.model_validate(raw)))
    return tuple(sorted(found, key=lambda entry: str(entry.step.finished), reverse=True))
