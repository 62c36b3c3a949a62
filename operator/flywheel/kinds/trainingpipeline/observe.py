"""Everything that matters to a pipeline, in one look: its runs, and what its triggers look at."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from flywheel.core.pods import schedule
from flywheel.core.pods.schedule import Tick
from flywheel.core.resource import api
from flywheel.core.resource.api import DATASET, JOB, MODEL, TRAINING_RUN, Manifest, Reference
from flywheel.core.resource.kind import Cluster
from flywheel.kinds.trainingpipeline.schema import TrainingPipeline

_KINDS = {each.kind: each for each in (api.DATASET, api.MODEL, api.INFERENCE_SERVICE, api.BATCH_INFERENCE)}


@dataclass(frozen=True)
class RunSeen:
    """One TrainingRun. `result` and what follows are None until it has ended; `metrics` by step."""

    name: str
    uid: str
    created: datetime
    owned: bool
    test: bool = False
    revision: str | None = None
    trigger: str | None = None
    key: str | None = None
    tick: str | None = None
    result: str | None = None
    message: str = ""
    finished: datetime | None = None
    verdict: str | None = None
    verdict_message: str = ""
    metrics: Mapping[str, Mapping[str, str]] = field(default_factory=dict)


@dataclass(frozen=True)
class Seen:
    """`runs` oldest first; `ticks` are those that wait for an answer; `looked_at` has, by trigger, the resource that it looks at."""

    now: datetime
    runs: tuple[RunSeen, ...] = ()
    ticks: tuple[Tick, ...] = ()
    looked_at: Mapping[str, Manifest] = field(default_factory=dict)


def observe(pipeline: TrainingPipeline, cluster: Cluster) -> Seen:
    """One look at the runs, the ticks, and what triggers look at."""
    raw = cluster.referrers(TRAINING_RUN, pipeline.reference)
    runs = [_run(each, pipeline) for each in raw if each["spec"].get("pipeline") == pipeline.name]
    found = {name: cluster.get(reference) for name, reference in _looks_at(pipeline)}
    return Seen(
        now=cluster.now,
        runs=tuple(sorted(runs, key=lambda run: (run.created, run.name))),
        ticks=schedule.pending_ticks(cluster.children(pipeline.uid, JOB)),
        looked_at={name: manifest for name, manifest in found.items() if manifest is not None},
    )


def references(pipeline: TrainingPipeline) -> Iterable[Reference]:
    """What triggers look at."""
    return {reference for _, reference in _looks_at(pipeline)}


def _looks_at(pipeline: TrainingPipeline) -> Iterable[tuple[str, Reference]]:
    for trigger in pipeline.spec.triggers:
        if trigger.new_data:
            yield str(trigger.name), Reference(DATASET, pipeline.namespace, trigger.new_data.dataset)
        if trigger.model_version:
            yield str(trigger.name), Reference(MODEL, pipeline.namespace, trigger.model_version.model)
        if trigger.condition:
            kind = _KINDS[trigger.condition.kind]
            yield str(trigger.name), Reference(kind, pipeline.namespace, trigger.condition.name)


def _run(raw: Manifest, pipeline: TrainingPipeline) -> RunSeen:
    metadata, spec, status = raw["metadata"], raw["spec"], raw.get("status") or {}
    cause: Mapping[str, Any] = spec.get("cause") or {}
    challenger: Mapping[str, Any] = status.get("challenger") or {}
    finished = status.get("completionTime")
    return RunSeen(
        name=metadata["name"],
        uid=metadata["uid"],
        created=datetime.fromisoformat(metadata["creationTimestamp"]),
        owned=any(owner["uid"] == pipeline.uid for owner in metadata.get("ownerReferences") or ()),
        test=bool(spec.get("test")),
        revision=status.get("revision") or spec.get("revision"),
        trigger=cause.get("trigger"),
        key=cause.get("key"),
        tick=cause.get("tick"),
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
