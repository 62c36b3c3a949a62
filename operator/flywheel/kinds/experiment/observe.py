"""What `decide` may know of an Experiment: its Dataset, its trials' Jobs, earlier Experiments, and what is registered."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from flywheel.core.diagnosis.attempt_state import AttemptState, read_job
from flywheel.core.resource import conditions, names
from flywheel.core.resource.api import (
    DATASET,
    EXPERIMENT,
    FEATURE_SET,
    JOB,
    MODEL,
    MODEL_VERSION,
    POD,
    Manifest,
    Reference,
)
from flywheel.core.resource.kind import Cluster, Observation, observe_basics
from flywheel.kinds.experiment.children import (
    JOIN_ANNOTATION,
    JOIN_STEP,
    REPEAT_PREFIX,
    TRIAL_ANNOTATION,
    Experiment,
    version_name,
)
from flywheel.kinds.experiment.schema.status import Data
from flywheel.kinds.experiment.search.space import Point
from flywheel.kinds.featureset.schema.current_pin import read_pin
from flywheel.kinds.featureset.schema.pins import FeatureSetPin

STEP_PREFIX = "trial-"


@dataclass(frozen=True)
class DatasetState:
    """The Dataset: whether it may be used now, and its versions, the current one first."""

    ready: bool
    reason: str
    message: str
    versions: tuple[Data, ...] = ()


@dataclass(frozen=True, kw_only=True)
class TrialJob(AttemptState):
    """The Job of one attempt, and what it tries."""

    trial: int
    attempt: int
    name: str
    fingerprint: str
    point: Point
    repeat: int = 1


@dataclass(frozen=True, kw_only=True)
class JoinJob(AttemptState):
    """The Job of one attempt to add the features of FeatureSets, and what it joins."""

    attempt: int
    name: str
    question: str


@dataclass(frozen=True)
class Seen(Observation):
    """`jobs` by trial and attempt; `existing` are those of the Model and the ModelVersion to register that exist.

    `earlier` are the Experiments of warmStartFrom that exist, by name. `feature_sets` are those of the spec in its order: each as it may be
    taken now, or reason and message why it may not; `joins` are by attempt.
    """

    dataset: DatasetState | None = None
    jobs: tuple[TrialJob, ...] = ()
    existing: frozenset[Reference] = field(default_factory=frozenset)
    earlier: Mapping[str, Manifest] = field(default_factory=dict)
    feature_sets: tuple[FeatureSetPin | tuple[str, str], ...] = ()
    joins: tuple[JoinJob, ...] = ()


def observe(experiment: Experiment, cluster: Cluster) -> Seen:
    """Read the Dataset, the trials' Jobs and what was registered."""
    pods, owned = cluster.children(experiment.uid, POD), cluster.children(experiment.uid, JOB)
    jobs = [_job(job, pods, cluster) for job in owned if _step_of(job).startswith(STEP_PREFIX)]
    joins = [_join(job, pods, cluster) for job in owned if _step_of(job) == JOIN_STEP]
    name = experiment.spec.dataset
    dataset = cluster.get(Reference(DATASET, experiment.namespace, name)) if name is not None else None
    registered = [reference for reference in references(experiment) if reference.api in (MODEL, MODEL_VERSION)]
    return Seen(
        **observe_basics(cluster),
        dataset=_dataset(dataset) if dataset is not None else None,
        jobs=tuple(sorted(jobs, key=lambda job: (job.trial, job.repeat, job.attempt))),
        existing=frozenset(reference for reference in registered if cluster.get(reference) is not None),
        earlier={each.name: manifest for each in _earlier(experiment) if (manifest := cluster.get(each)) is not None},
        feature_sets=tuple(read_pin(experiment.namespace, each, cluster) for each in experiment.spec.feature_sets),
        joins=tuple(sorted(joins, key=lambda job: job.attempt)),
    )


def _step_of(job: Manifest) -> str:
    return str(job["metadata"]["labels"].get(names.STEP_LABEL, ""))


def _join(job: Manifest, pods: Sequence[Manifest], cluster: Cluster) -> JoinJob:
    metadata = job["metadata"]
    question = str((metadata.get("annotations") or {}).get(JOIN_ANNOTATION, ""))
    attempt = int(metadata["labels"][names.ATTEMPT_LABEL])
    return JoinJob(attempt=attempt, name=metadata["name"], question=question, **vars(read_job(job, pods, cluster)))


def _earlier(experiment: Experiment) -> list[Reference]:
    return [Reference(EXPERIMENT, experiment.namespace, each.experiment) for each in experiment.spec.warm_start_from]


def references(experiment: Experiment) -> list[Reference]:
    """What an Experiment depends on, and what it makes without owning it."""
    namespace, spec, best = experiment.namespace, experiment.spec, experiment.status.best
    found = [Reference(DATASET, namespace, spec.dataset)] if spec.dataset is not None else []
    found += _earlier(experiment)
    found += [Reference(FEATURE_SET, namespace, name) for name in spec.feature_sets]
    joined = experiment.status.join.data if experiment.status.join else None
    for data in (experiment.status.data, joined):
        pins = data.feature_sets if data is not None else ()
        found += [Reference(DATASET, namespace, each.name) for pin in pins for each in pin.datasets]
    if spec.register_ is not None:
        found.append(Reference(MODEL, namespace, spec.register_))
        version = version_name(spec, best) if best is not None else None
        if version is not None:
            found.append(Reference(MODEL_VERSION, namespace, version))
    return found


def _job(job: Manifest, pods: Sequence[Manifest], cluster: Cluster) -> TrialJob:
    metadata = job["metadata"]
    recorded: Mapping[str, Any] = json.loads((metadata.get("annotations") or {}).get(TRIAL_ANNOTATION, "{}"))
    trial, _, repeat = metadata["labels"][names.STEP_LABEL].removeprefix(STEP_PREFIX).partition(f"-{REPEAT_PREFIX}")
    attempt, state = int(metadata["labels"][names.ATTEMPT_LABEL]), read_job(job, pods, cluster)
    return TrialJob(
        trial=int(trial),
        attempt=attempt,
        name=metadata["name"],
        fingerprint=str(recorded.get("fingerprint", "")),
        point=tuple(recorded.get("point", ())),
        repeat=int(repeat or 1),
        **vars(state),
    )


def _dataset(dataset: Manifest) -> DatasetState:
    status = dataset.get("status") or {}
    ready = conditions.find_condition(dataset)
    versions = tuple(
        Data(version=each["name"], digest=each["digest"], task=each.get("task"), classes=each.get("classes"))
        for each in status.get("versions") or ()
    )
    return DatasetState(
        ready=conditions.is_ready(dataset) and bool(versions),
        reason=str(ready.get("reason", "Pending")),
        message=str(ready.get("message", "")),
        versions=versions,
    )
