"""What `decide` may know of a Dataset: its check Jobs, the ticks of its schedule, and who cites its versions."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from flywheel.core.diagnosis import outcome, workload_diagnosis
from flywheel.core.diagnosis.outcome import Outcome
from flywheel.core.diagnosis.workload_diagnosis import Diagnosis
from flywheel.core.pods import schedule
from flywheel.core.pods.pod_spec import pods_of_job
from flywheel.core.pods.schedule import Tick
from flywheel.core.resource import names
from flywheel.core.resource.api import EXPERIMENT, JOB, MODEL_VERSION, POD, Manifest
from flywheel.core.resource.kind import Cluster
from flywheel.core.settings import Settings
from flywheel.kinds.dataset.children import CAUSE_ANNOTATION, CHECK, Dataset


@dataclass(frozen=True)
class CheckJob:
    """The Job of one check: its cause, and how it ended (None: it has not)."""

    number: int
    name: str
    generation: int
    request: str | None = None
    tick: datetime | None = None
    outcome: Outcome | None = None
    diagnosis: Diagnosis | None = None


@dataclass(frozen=True)
class Seen:
    """`checks` are by number; `ticks` are those that are not finished, oldest first; `cited` are the versions that other resources name."""

    now: datetime
    settings: Settings
    checks: tuple[CheckJob, ...] = ()
    ticks: tuple[Tick, ...] = ()
    cited: frozenset[str] = frozenset()


def observe(dataset: Dataset, cluster: Cluster) -> Seen:
    """Read the Jobs of a Dataset, and who cites its versions."""
    jobs = cluster.children(dataset.uid, JOB)
    pods = cluster.children(dataset.uid, POD)
    checks = [
        _check(job, pods_of_job(job["metadata"]["name"], pods), cluster)
        for job in jobs
        if job["metadata"]["labels"].get(names.STEP_LABEL) == CHECK
    ]
    return Seen(
        now=cluster.now,
        settings=cluster.settings,
        checks=tuple(sorted(checks, key=lambda check: check.number)),
        ticks=schedule.pending_ticks(jobs),
        cited=frozenset(_cited(dataset, cluster)),
    )


def _check(job: Manifest, pods: Sequence[Manifest], cluster: Cluster) -> CheckJob:
    metadata = job["metadata"]
    cause: Mapping[str, Any] = json.loads((metadata.get("annotations") or {}).get(CAUSE_ANNOTATION, "{}"))
    ended = outcome.job_outcome(job, pods)

    return CheckJob(
        number=int(metadata["labels"][names.ATTEMPT_LABEL]),
        name=metadata["name"],
        generation=cause.get("generation", 0),
        request=cause.get("request"),
        tick=datetime.fromisoformat(cause["tick"]) if cause.get("tick") else None,
        outcome=ended,
        diagnosis=workload_diagnosis.diagnose_workload(job, pods, cluster) if ended is None else None,
    )


def _cited(dataset: Dataset, cluster: Cluster) -> list[str]:
    versions = [
        (each["spec"].get("lineage") or {}).get("datasetVersion")
        for each in cluster.referrers(MODEL_VERSION, dataset.reference)
    ]
    for experiment in cluster.referrers(EXPERIMENT, dataset.reference):
        versions.append(experiment["spec"].get("datasetVersion"))
        versions.append(((experiment.get("status") or {}).get("data") or {}).get("version"))
    return [version for version in versions if version]
