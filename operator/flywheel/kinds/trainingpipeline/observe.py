"""All facts that matter to a pipeline: its runs, and what its triggers watch."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from flywheel.core.pods import cron_job
from flywheel.core.pods.cron_job import Tick
from flywheel.core.resource import api
from flywheel.core.resource.api import (
    DATASET,
    INFERENCE_SERVICE,
    JOB,
    MODEL,
    MODEL_MONITOR,
    TRAINING_PIPELINE,
    TRAINING_RUN,
    Manifest,
    Reference,
)
from flywheel.core.resource.kind import Cluster, Observation, observe_basics
from flywheel.kinds.inferenceservice.schema import answering_versions
from flywheel.kinds.trainingpipeline.children import run_name
from flywheel.kinds.trainingpipeline.schema import TrainingPipeline
from flywheel.kinds.trainingpipeline.schema.successes import find_successes

_WATCHED_KINDS = {each.kind: each for each in (api.DATASET, api.MODEL, api.INFERENCE_SERVICE, api.BATCH_INFERENCE)}

MAX_CHAINED = 64  # pipelines that are followed from one that starts runs here


@dataclass(frozen=True)
class RunSeen:
    """One TrainingRun. `result` and what follows are None until it has ended; `metrics` by step.

    `trigger` and `tick` are those of the cause of a run that the operator started; `finding` and `version` too, if that is a finding of
    a ModelMonitor.
    """

    name: str
    uid: str
    created: datetime
    owned: bool
    test: bool = False
    revision: str | None = None
    trigger: str | None = None
    tick: str | None = None
    finding: str | None = None
    version: str | None = None
    result: str | None = None
    message: str = ""
    finished: datetime | None = None
    verdict: str | None = None
    verdict_message: str = ""
    metrics: Mapping[str, Mapping[str, str]] = field(default_factory=dict)


@dataclass(frozen=True)
class Success:
    """A run of another pipeline that succeeded."""

    name: str
    uid: str
    ended: datetime


@dataclass(frozen=True)
class Seen(Observation):
    """`runs` are sorted, oldest first; `ticks` are those not finished; `watched` has, by trigger, the resource that it watches.

    `successes`: by trigger, the runs of the pipeline that it watches that succeeded, in the order in which they ended; `loops`: by
    trigger, the pipelines whose triggers lead back to this one. `answering`: by trigger, the versions that answer requests of the InferenceService of the ModelMonitor that it watches.
    """

    runs: tuple[RunSeen, ...] = ()
    ticks: tuple[Tick, ...] = ()
    watched: Mapping[str, Manifest] = field(default_factory=dict)
    answering: Mapping[str, frozenset[str]] = field(default_factory=dict)
    successes: Mapping[str, tuple[Success, ...]] = field(default_factory=dict)
    loops: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


def observe(pipeline: TrainingPipeline, cluster: Cluster) -> Seen:
    """Read the runs, the ticks, and what triggers watch."""
    referring = cluster.referrers(TRAINING_RUN, pipeline.reference)
    runs = [_run(each, pipeline) for each in referring if each["spec"].get("pipeline") == pipeline.name]
    found = {name: cluster.get(reference) for name, reference in watched_references(pipeline)}
    watched = {name: manifest for name, manifest in found.items() if manifest is not None}
    return Seen(
        **observe_basics(cluster),
        runs=tuple(sorted(runs, key=lambda run: (run.created, run.name))),
        ticks=cron_job.pending_ticks(cluster.children(pipeline.uid, JOB)),
        watched=watched,
        answering=dict(_answering(watched, cluster)),
        successes=dict(_successes(pipeline, cluster)),
        loops=dict(_loops(pipeline, cluster)),
    )


def references(pipeline: TrainingPipeline) -> Iterable[Reference]:
    """The resources that triggers watch, and the Models that the steps create, which others wait for.

    A pipeline's status changes when a run of it succeeds.
    """
    registered = {
        Reference(MODEL, pipeline.namespace, str(step.register_.model))
        for step in pipeline.spec.steps
        if step.register_
    }
    return {reference for _, reference in watched_references(pipeline)} | registered


def watched_references(pipeline: TrainingPipeline) -> Iterable[tuple[str, Reference]]:
    """What triggers watch, each with the name of its trigger; a schedule watches nothing."""
    for trigger in pipeline.spec.triggers:
        if trigger.new_data:
            yield str(trigger.name), Reference(DATASET, pipeline.namespace, trigger.new_data.dataset)
        if trigger.model_version:
            yield str(trigger.name), Reference(MODEL, pipeline.namespace, trigger.model_version.model)
        if trigger.condition:
            kind = _WATCHED_KINDS[trigger.condition.kind]
            yield str(trigger.name), Reference(kind, pipeline.namespace, trigger.condition.name)
        if trigger.run:
            yield str(trigger.name), Reference(TRAINING_PIPELINE, pipeline.namespace, trigger.run.pipeline)
        if trigger.monitor:
            yield str(trigger.name), Reference(MODEL_MONITOR, pipeline.namespace, trigger.monitor.name)


def _successes(pipeline: TrainingPipeline, cluster: Cluster) -> Iterable[tuple[str, tuple[Success, ...]]]:
    for trigger in pipeline.spec.triggers:
        if trigger.run is not None:
            found = find_successes(pipeline.namespace, trigger.run.pipeline, cluster)
            yield str(trigger.name), tuple(_success(each) for each in found)


def _success(run: Manifest) -> Success:
    metadata, ended = run["metadata"], run["status"]["completionTime"]
    return Success(metadata["name"], metadata["uid"], datetime.fromisoformat(ended))


def _loops(pipeline: TrainingPipeline, cluster: Cluster) -> Iterable[tuple[str, tuple[str, ...]]]:
    """Triggers by which a run would start another run of this pipeline for ever."""
    for trigger in pipeline.spec.triggers:
        if trigger.run is not None:
            path = _path_back(pipeline, str(trigger.run.pipeline), cluster)
            if path:
                yield str(trigger.name), path


def _path_back(pipeline: TrainingPipeline, start: str, cluster: Cluster) -> tuple[str, ...]:
    """The shortest way from that pipeline back to this one, by the runs that start runs of each; empty if there is none.

    Each pipeline is visited once, and no more than MAX_CHAINED.
    """
    paths, waiting = {start: (start,)}, [start]
    while waiting and len(paths) <= MAX_CHAINED:
        name = waiting.pop(0)
        if name == pipeline.name:
            return paths[name]
        found = cluster.get(Reference(TRAINING_PIPELINE, pipeline.namespace, name)) or {"spec": {}}
        before = [(each.get("run") or {}).get("pipeline") for each in found["spec"].get("triggers") or ()]
        new = [each for each in dict.fromkeys(before) if each is not None and each not in paths]
        paths |= {each: (*paths[name], each) for each in new}
        waiting += new
    return ()


def _answering(watched: Mapping[str, Manifest], cluster: Cluster) -> Iterable[tuple[str, frozenset[str]]]:
    """None answers where the service is gone; nothing is said of a monitor of something else than a service."""
    for name, manifest in watched.items():
        service = manifest["spec"].get("inferenceService") if manifest["kind"] == MODEL_MONITOR.kind else None
        if service is not None:
            found = cluster.get(Reference(INFERENCE_SERVICE, manifest["metadata"]["namespace"], service))
            yield name, frozenset(answering_versions(found) if found is not None else ())


def _trigger_cause(run: Manifest, pipeline: TrainingPipeline) -> Mapping[str, Any]:
    """The cause of a run that a trigger started, which also names the run; empty for another, whose cause somebody else wrote."""
    cause: Mapping[str, Any] = run["spec"].get("cause") or {}
    is_named_by_it = cause and run["metadata"]["name"] == run_name(pipeline, cause["trigger"], cause["key"])
    return cause if is_named_by_it else {}


def _run(manifest: Manifest, pipeline: TrainingPipeline) -> RunSeen:
    metadata, spec, status = manifest["metadata"], manifest["spec"], manifest.get("status") or {}
    owned = any(owner["uid"] == pipeline.uid for owner in metadata.get("ownerReferences") or ())
    cause = _trigger_cause(manifest, pipeline) if owned else {}
    challenger: Mapping[str, Any] = status.get("challenger") or {}
    finished = status.get("completionTime")
    return RunSeen(
        name=metadata["name"],
        uid=metadata["uid"],
        created=datetime.fromisoformat(metadata["creationTimestamp"]),
        owned=owned,
        test=bool(spec.get("test")),
        revision=status.get("revision") or spec.get("revision"),
        trigger=cause.get("trigger"),
        tick=cause.get("tick"),
        finding=cause.get("finding"),
        version=cause.get("version"),
        result=status.get("result"),
        message=str(status.get("message") or ""),
        finished=datetime.fromisoformat(finished) if finished else None,
        verdict=challenger.get("verdict"),
        verdict_message=str(challenger.get("message") or ""),
        metrics={
            step["name"]: step["metrics"]
            for step in status.get("steps") or ()
            if spec.get("test") and step.get("metrics")
        },
    )
