"""What `decide` may know of a BatchInference: the model that it scores with, its Jobs, and the ticks of its schedule."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pydantic import ValidationError

from flywheel.core.diagnosis import outcome
from flywheel.core.diagnosis.attempt_state import AttemptState, pods_of_job, read_job
from flywheel.core.diagnosis.indexed_outcome import attempt_outcome
from flywheel.core.diagnosis.outcome import GRAVEST_FIRST, Outcome
from flywheel.core.diagnosis.pod_status import PodTermination, parse_json_object
from flywheel.core.pods import cron_job
from flywheel.core.pods.cron_job import Tick
from flywheel.core.resource import names
from flywheel.core.resource.api import JOB, POD, Manifest
from flywheel.core.resource.kind import Cluster, Observation, observe_basics
from flywheel.core.resource.model_reference import ResolvedVersion, UnresolvedReference, resolve_version
from flywheel.kinds.batchinference.children import RUN_ANNOTATION, STEPS, BatchInference
from flywheel.kinds.batchinference.pinned_features import FeatureSets, find_feature_sets
from flywheel.kinds.batchinference.schema.status import Run


@dataclass(frozen=True)
class Shards:
    """How far the score Job is: `seconds` from its start to the end of the shard that ended last."""

    done: int = 0
    rows: int = 0
    errors: int = 0
    seconds: float = 0.0


@dataclass(frozen=True, kw_only=True)
class BatchJob(AttemptState):
    """The Job of one phase of a run, and the run as it was when the Job was made."""

    name: str
    run: Run
    shards: Shards = Shards()


@dataclass(frozen=True)
class Seen(Observation):
    """`feature_sets` are those of a run that starts now; `jobs` by number; `ticks` are those of the schedule that are not finished, oldest first."""

    model: ResolvedVersion | UnresolvedReference
    feature_sets: FeatureSets = ()
    jobs: tuple[BatchJob, ...] = ()
    ticks: tuple[Tick, ...] = ()


def observe(batch: BatchInference, cluster: Cluster) -> Seen:
    """Read the model, what is looked up for it, and all Jobs and pods."""
    jobs = cluster.children(batch.uid, JOB)
    pods = cluster.children(batch.uid, POD)
    ours = [job for job in jobs if job["metadata"]["labels"].get(names.STEP_LABEL) in STEPS.values()]
    found = [_job(job, pods, cluster) for job in ours]
    model = resolve_version(batch.namespace, batch.spec.model, batch.spec.version, cluster)
    return Seen(
        **observe_basics(cluster),
        model=model,
        feature_sets=find_feature_sets(batch, model, cluster),
        jobs=tuple(sorted((job for job in found if job is not None), key=lambda job: job.run.number)),
        ticks=cron_job.pending_ticks(jobs),
    )


def _job(job: Manifest, pods: Sequence[Manifest], cluster: Cluster) -> BatchJob | None:
    metadata = job["metadata"]
    try:
        run = Run.model_validate_json((metadata.get("annotations") or {}).get(RUN_ANNOTATION, ""))
    except ValidationError:
        return None  # of an operator that wrote it otherwise; the run's next Job has another number
    scores = metadata["labels"][names.STEP_LABEL] == STEPS["Scoring"]
    state = read_job(job, pods, cluster, _score_outcome if scores else attempt_outcome)
    shards = _shards(job, pods_of_job(job, pods)) if scores else Shards()
    return BatchJob(name=metadata["name"], run=run, shards=shards, **vars(state))


def _score_outcome(job: Manifest, pods: Sequence[Manifest]) -> Outcome | None:
    """The outcome of a score Job. Its condition says whether all shards are done, its pods why one is not; the first cause is the shard
    that can never work, since the Job ended the others for its sake."""
    ended = {each["type"] for each in job.get("status", {}).get("conditions") or [] if each["status"] == "True"}
    if "Complete" in ended:
        return Outcome("Succeeded", "Succeeded", "")
    if "Failed" not in ended:
        return None
    failed = [pod for pod in pods if pod.get("status", {}).get("phase") == "Failed"]
    outcomes = [found for found in (outcome.job_outcome(job, [pod]) for pod in failed) if found is not None]
    return min(outcomes, key=lambda found: GRAVEST_FIRST.index(found.result), default=outcome.job_outcome(job, []))


def _shards(job: Manifest, pods: Sequence[Manifest]) -> Shards:
    """Count rows and errors from the messages of the pods that are done, one for each index."""
    done: dict[str, Mapping[str, Any]] = {}
    last = ""
    for pod in pods:
        ended = PodTermination.from_manifest(pod).main or {}
        message = parse_json_object(ended.get("message"))
        if ended.get("exitCode") == 0 and message.get("complete"):
            index = pod["metadata"]["labels"].get("batch.kubernetes.io/job-completion-index", "")
            done[str(index)] = message.get("metrics") or {}
            last = max(last, str(ended.get("finishedAt") or ""))
    started = job.get("status", {}).get("startTime")
    took = datetime.fromisoformat(last) - datetime.fromisoformat(started) if last and started else None
    return Shards(
        done=int(job.get("status", {}).get("succeeded") or 0),
        rows=int(sum(metrics.get("rows", 0) for metrics in done.values())),
        errors=int(sum(metrics.get("errors", 0) for metrics in done.values())),
        seconds=took.total_seconds() if took else 0.0,
    )
