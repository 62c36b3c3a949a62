"""All facts that matter to a run."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from flywheel.core.resource import api
from flywheel.core.resource.api import Manifest, Reference
from flywheel.core.resource.kind import Cluster, Observation, observe_basics
from flywheel.kinds.featureset.schema.current_pin import read_pin
from flywheel.kinds.featureset.schema.pins import FeatureSetPin
from flywheel.kinds.trainingpipeline.schema.revision import revision_name
from flywheel.kinds.trainingpipeline.schema.successes import find_successes
from flywheel.kinds.trainingpipeline.schema.template import Template
from flywheel.kinds.trainingrun.schema import TrainingRun, TrainingRunStatus
from flywheel.kinds.trainingrun.schema.status import StepStatus
from flywheel.kinds.trainingrun.steps.attempt import AttemptSeen
from flywheel.kinds.trainingrun.steps.execution import read_attempt

# Not a real resource: runs refer to it by the keys of their steps, so that a run finds those that did the same work before.
CACHE_KEY = api.flywheel_api("CacheKey", "cachekeys")


@dataclass(frozen=True)
class RevisionSeen:
    """A revision of the pipeline, as its ControllerRevision stores it; `test` is its spec.test."""

    name: str
    template: Template
    test: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class CachedStep:
    """A step of an earlier run that succeeded."""

    run: str
    step: StepStatus


@dataclass(frozen=True)
class Seen(Observation):
    """What was observed of a run.

    `sources`: by input, the run of another pipeline whose output it is. `attempts`: by step, of those that run; `original`: the status of the run that this one reproduces; `find_cached`: the steps of other
    runs with that key, from the operator's cache, newest first. `feature_sets`: those of its steps that may be taken now.
    """

    pipeline: Manifest | None = None
    revision: RevisionSeen | None = None
    datasets: Mapping[str, Manifest] = field(default_factory=dict)
    sources: Mapping[str, Manifest] = field(default_factory=dict)
    attempts: Mapping[str, AttemptSeen] = field(default_factory=dict)
    feature_sets: Mapping[str, FeatureSetPin] = field(default_factory=dict)
    original: TrainingRunStatus | None = None
    tick_is_gone: bool = False
    find_cached: Callable[[str], tuple[CachedStep, ...]] = lambda _key: ()


def observe(run: TrainingRun, cluster: Cluster) -> Seen:
    """Read the pipeline's revision, the data, and the objects of steps that run."""
    pipeline = cluster.get(Reference(api.TRAINING_PIPELINE, run.namespace, run.spec.pipeline))
    original = _original(run, cluster)
    live = ((pipeline or {}).get("status") or {}).get("revision")
    name = run.status.revision or run.spec.revision or (original.revision if original else None) or live
    revision = _revision(run, name, cluster) if name is not None else None
    return Seen(
        **observe_basics(cluster),
        pipeline=pipeline,
        revision=revision,
        datasets=_datasets(run, revision, cluster) if revision else {},
        sources=dict(_sources(run, revision, cluster)) if revision else {},
        attempts=dict(_attempts(run, revision, cluster)) if revision else {},
        feature_sets=_feature_sets(run, revision, cluster) if revision else {},
        original=original,
        tick_is_gone=_tick_is_gone(run, cluster),
        find_cached=lambda key: _find_cached(run, key, cluster),
    )


def references(run: TrainingRun) -> Iterable[Reference]:
    """The pipeline, the data, what the run registered, and the cache keys of its steps."""
    status = run.status
    yield Reference(api.TRAINING_PIPELINE, run.namespace, run.spec.pipeline)
    yield from (Reference(api.DATASET, run.namespace, used.dataset) for used in status.inputs if used.dataset)
    yield from (
        Reference(api.TRAINING_PIPELINE, run.namespace, used.pipeline) for used in status.inputs if used.pipeline
    )
    if run.spec.reproduce_of is not None:
        yield Reference(api.TRAINING_RUN, run.namespace, run.spec.reproduce_of)
    for step in status.steps:
        if step.key is not None and step.state == "Succeeded":
            yield Reference(CACHE_KEY, run.namespace, step.key)
        if step.facts.get("model"):
            yield Reference(api.MODEL, run.namespace, step.facts["model"])
            yield Reference(api.MODEL_VERSION, run.namespace, step.job or "")


def _revision(run: TrainingRun, name: str, cluster: Cluster) -> RevisionSeen | None:
    controller_revision = revision_name(str(run.spec.pipeline), name)
    found = cluster.get(Reference(api.CONTROLLER_REVISION, run.namespace, controller_revision))
    if found is None:
        return None
    data = found["data"]
    return RevisionSeen(name, Template.model_validate(data["template"]), data.get("test") or {})


def _datasets(run: TrainingRun, revision: RevisionSeen, cluster: Cluster) -> dict[str, Manifest]:
    found = {
        each.dataset: cluster.get(Reference(api.DATASET, run.namespace, each.dataset))
        for each in revision.template.inputs
        if each.dataset is not None
    }
    return {str(name): manifest for name, manifest in found.items() if manifest is not None}


def _feature_sets(run: TrainingRun, revision: RevisionSeen, cluster: Cluster) -> dict[str, FeatureSetPin]:
    wanted = {str(name) for step in revision.template.steps if step.train for name in step.train.feature_sets}
    found = {name: read_pin(run.namespace, name, cluster) for name in sorted(wanted)}
    return {name: pin for name, pin in found.items() if isinstance(pin, FeatureSetPin)}


def _sources(run: TrainingRun, revision: RevisionSeen, cluster: Cluster) -> Iterable[tuple[str, Manifest]]:
    """For each input that is an output of a run: the run of the cause, else the newest of that pipeline that succeeded.

    Whoever creates runs can write a cause, so its run counts only if it is one of those of the pipeline that succeeded.
    """
    cause = run.spec.cause
    for source in revision.template.inputs:
        if source.run is None or run.status.start_time is not None:
            continue
        succeeded = find_successes(run.namespace, source.run.pipeline, cluster)
        if cause is not None and cause.run is not None and cause.pipeline == source.run.pipeline:
            succeeded = [each for each in succeeded if each["metadata"]["name"] == cause.run]
        if succeeded:
            yield str(source.name), succeeded[-1]


def _attempts(run: TrainingRun, revision: RevisionSeen, cluster: Cluster) -> Iterable[tuple[str, AttemptSeen]]:
    steps = {str(step.name): step for step in (*revision.template.steps, *revision.template.last)}
    for status in run.status.steps:
        if status.state == "Running" and status.job is not None:
            yield status.name, read_attempt(steps.get(status.name), run, status.job, cluster)


def _original(run: TrainingRun, cluster: Cluster) -> TrainingRunStatus | None:
    if run.spec.reproduce_of is None:
        return None
    found = cluster.get(Reference(api.TRAINING_RUN, run.namespace, run.spec.reproduce_of))
    return TrainingRunStatus.model_validate(found.get("status") or {}) if found is not None else None


def _tick_is_gone(run: TrainingRun, cluster: Cluster) -> bool:
    """`concurrencyPolicy: Replace` removes the tick of the run that must make room."""
    cause = run.spec.cause
    if cause is None or cause.tick is None:
        return False
    return cluster.get(Reference(api.JOB, run.namespace, cause.tick)) is None


def _find_cached(run: TrainingRun, key: str, cluster: Cluster) -> tuple[CachedStep, ...]:
    found: list[CachedStep] = []
    for manifest in cluster.referrers(api.TRAINING_RUN, Reference(CACHE_KEY, run.namespace, key)):
        if manifest["metadata"]["uid"] == run.uid:
            continue
        for step in (manifest.get("status") or {}).get("steps") or ():
            if step.get("key") == key and step["state"] == "Succeeded" and step.get("finished"):
                found.append(CachedStep(manifest["metadata"]["name"], StepStatus.model_validate(step)))
    return tuple(sorted(found, key=lambda cached: str(cached.step.finished), reverse=True))
