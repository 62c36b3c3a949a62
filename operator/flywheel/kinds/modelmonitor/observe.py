"""What `decide` may know of a ModelMonitor: the service and its versions, the Jobs of its runs, and the ticks of its schedule."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from pydantic import ValidationError

from flywheel.core.diagnosis.attempt_state import AttemptState, read_job
from flywheel.core.pods import cron_job
from flywheel.core.pods.cron_job import Tick
from flywheel.core.resource import names
from flywheel.core.resource.api import (
    BATCH_INFERENCE,
    DATASET,
    INFERENCE_SERVICE,
    JOB,
    MODEL_VERSION,
    POD,
    Manifest,
    Reference,
)
from flywheel.core.resource.kind import Cluster, Observation, observe_basics
from flywheel.core.resource.values import Digest
from flywheel.kinds.inferenceservice.schema import InferenceServiceSpec, versions_in_use
from flywheel.kinds.modelmonitor.children import MONITOR, NOTIFY_PREFIX, RUN_ANNOTATION, ModelMonitor
from flywheel.kinds.modelmonitor.schema.status import MAX_VERSIONS, Run
from flywheel.kinds.modelmonitor.targets.batch_runs import BatchRun, read_batch_runs


@dataclass(frozen=True, kw_only=True)
class MonitorJob(AttemptState):
    """The Job of one run, and the run as it was when the Job was made."""

    name: str
    run: Run


@dataclass(frozen=True, kw_only=True)
class NotificationJob(AttemptState):
    """The Job of one attempt to notify the webhook."""

    name: str


@dataclass(frozen=True)
class Service:
    """The monitored service. `versions`: those that it serves or rolls out, or that the last run saw, with their artifacts. Of
    `labels_only` there is no traffic any more, but labels may still come.

    `rows`: a sample of rows is logged, which have a `key`. `labels` is the artifact of the Dataset of spec.groundTruth, None where there
    is none yet. `protected_columns` are those that the log drops or hashes. `has_brought_version`: one of the versions came from s3 or http, so that it has no baseline and its server counts nothing.
    `stored_rows` says which rows of the store are counted in place of documents: `Log` of another server, `Batch` of a BatchInference, whose
    runs are `batch_runs`, oldest first.
    """

    logs: bool
    runs_own_server: bool
    rows: bool = False
    key: bool = False
    versions: Mapping[str, Digest] = field(default_factory=dict)
    labels_only: frozenset[str] = frozenset()
    labels: Digest | None = None
    has_brought_version: bool = False
    protected_columns: frozenset[str] = frozenset()
    stored_rows: Literal["", "Log", "Batch"] = ""
    batch_runs: tuple[BatchRun, ...] = ()


@dataclass(frozen=True)
class Seen(Observation):
    """`service` is None where it does not exist. `jobs` are by number; `ticks` are those that are not finished, oldest first."""

    service: Service | None = None
    jobs: tuple[MonitorJob, ...] = ()
    ticks: tuple[Tick, ...] = ()
    notification_jobs: tuple[NotificationJob, ...] = ()


def observe(monitor: ModelMonitor, cluster: Cluster) -> Seen:
    """Read the service, and all Jobs and pods."""
    jobs = cluster.children(monitor.uid, JOB)
    pods = cluster.children(monitor.uid, POD)
    ours = [job for job in jobs if job["metadata"]["labels"].get(names.STEP_LABEL) == MONITOR]
    found = [_job(job, pods, cluster) for job in ours]
    return Seen(
        **observe_basics(cluster),
        service=_batch(monitor, cluster) if monitor.spec.batch_inference else _service(monitor, cluster),
        jobs=tuple(sorted((job for job in found if job is not None), key=lambda job: job.run.number)),
        ticks=cron_job.pending_ticks(jobs),
        notification_jobs=tuple(
            NotificationJob(name=job["metadata"]["name"], **vars(read_job(job, pods, cluster)))
            for job in jobs
            if str(job["metadata"]["labels"].get(names.STEP_LABEL)).startswith(NOTIFY_PREFIX)
        ),
    )


def _job(job: Manifest, pods: Sequence[Manifest], cluster: Cluster) -> MonitorJob | None:
    metadata = job["metadata"]
    try:
        run = Run.model_validate(json.loads((metadata.get("annotations") or {}).get(RUN_ANNOTATION, "")))
    except (ValidationError, ValueError):
        return None  # of an operator that wrote it otherwise; the next Job has another number
    return MonitorJob(name=metadata["name"], run=run, **vars(read_job(job, pods, cluster)))


def _service(monitor: ModelMonitor, cluster: Cluster) -> Service | None:
    manifest = cluster.get(Reference(INFERENCE_SERVICE, monitor.namespace, monitor.spec.target))
    if manifest is None:
        return None
    try:
        spec = InferenceServiceSpec.model_validate(manifest["spec"])
    except ValidationError:
        return Service(logs=False, runs_own_server=True)
    before = {each.version: each.digest for each in monitor.status.versions}
    in_use = versions_in_use(manifest)
    wanted = [*sorted(in_use), *before]
    digests = {name: _digest(name, monitor.namespace, cluster) or before.get(name) for name in wanted}
    known = {name: digest for name, digest in digests.items() if digest is not None}
    is_own = spec.runtime is None or spec.runtime.flywheel is not None
    return Service(
        logs=spec.logging is not None,
        runs_own_server=is_own,
        stored_rows="" if is_own else "Log",
        rows=not is_own or (spec.logging is not None and spec.logging.sample.fraction > 0),
        key=not is_own or (spec.logging is not None and spec.logging.key is not None),
        versions=dict([*known.items()][:MAX_VERSIONS]),
        labels_only=frozenset(each.version for each in monitor.status.versions if not each.rows) - frozenset(in_use),
        labels=_labels(monitor, cluster),
        protected_columns=_protected_columns(spec),
        has_brought_version=any(_is_brought(name, monitor.namespace, cluster) for name in wanted),
    )


def _protected_columns(spec: InferenceServiceSpec) -> frozenset[str]:
    columns = spec.logging.columns if spec.logging is not None else ()
    return frozenset(each.name for each in columns if each.action in ("Drop", "Hmac"))


def _batch(monitor: ModelMonitor, cluster: Cluster) -> Service | None:
    """The runs of the BatchInference; it logs nothing, and its outputs are its rows."""
    manifest = cluster.get(Reference(BATCH_INFERENCE, monitor.namespace, monitor.spec.target))
    if manifest is None:
        return None
    before = {each.version: each.digest for each in monitor.status.versions}
    runs = read_batch_runs(manifest, lambda name: _digest(name, monitor.namespace, cluster) or before.get(name))
    served = {each.version: each.digest for each in reversed(runs)}
    return Service(
        logs=False,
        runs_own_server=False,
        versions=dict([*served.items()][:MAX_VERSIONS]),
        stored_rows="Batch",
        batch_runs=runs,
    )


def _is_brought(version: str, namespace: str, cluster: Cluster) -> bool:
    manifest = cluster.get(Reference(MODEL_VERSION, namespace, version)) or {}
    source = (manifest.get("spec") or {}).get("source") or {}
    return "s3" in source or "http" in source


def _labels(monitor: ModelMonitor, cluster: Cluster) -> Digest | None:
    truth = monitor.spec.ground_truth
    if truth is None or truth.dataset is None:
        return None
    manifest = cluster.get(Reference(DATASET, monitor.namespace, truth.dataset)) or {}
    digest = (manifest.get("status") or {}).get("digest")
    return Digest(digest) if digest else None


def _digest(version: str, namespace: str, cluster: Cluster) -> Digest | None:
    manifest = cluster.get(Reference(MODEL_VERSION, namespace, version)) or {}
    digest = (manifest.get("status") or {}).get("digest")
    return Digest(digest) if digest else None
