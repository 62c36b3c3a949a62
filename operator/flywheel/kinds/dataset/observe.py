"""What `decide` may know of a Dataset: its check Jobs, the ticks of its schedule, and who cites its versions."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from flywheel.core.diagnosis.attempt_state import AttemptState, read_job
from flywheel.core.pods import cron_job
from flywheel.core.pods.cron_job import Tick
from flywheel.core.resource import names
from flywheel.core.resource.api import BATCH_INFERENCE, EXPERIMENT, JOB, MODEL_VERSION, POD, Manifest
from flywheel.core.resource.kind import Cluster, Observation, observe_basics
from flywheel.kinds.dataset.children import CAUSE_ANNOTATION, CHECK, Dataset
from flywheel.kinds.dataset.schema.status import LastCheck


@dataclass(frozen=True, kw_only=True)
class CheckJob(AttemptState):
    """The Job of one check, and the check as it was when the Job was made."""

    name: str
    check: LastCheck


@dataclass(frozen=True)
class Seen(Observation):
    """`checks` are by number; `ticks` are those that are not finished, oldest first; `cited` are the versions that other resources name."""

    checks: tuple[CheckJob, ...] = ()
    ticks: tuple[Tick, ...] = ()
    cited: frozenset[str] = frozenset()


def observe(dataset: Dataset, cluster: Cluster) -> Seen:
    """Read the Jobs of a Dataset, and who cites its versions."""
    jobs = cluster.children(dataset.uid, JOB)
    pods = cluster.children(dataset.uid, POD)
    checks = [
        _check_job(job, pods, cluster) for job in jobs if job["metadata"]["labels"].get(names.STEP_LABEL) == CHECK
    ]
    return Seen(
        **observe_basics(cluster),
        checks=tuple(sorted(checks, key=lambda job: job.check.number)),
        ticks=cron_job.pending_ticks(jobs),
        cited=frozenset(_cited(dataset, cluster)),
    )


def _check_job(job: Manifest, pods: Sequence[Manifest], cluster: Cluster) -> CheckJob:
    metadata = job["metadata"]
    cause = json.loads((metadata.get("annotations") or {}).get(CAUSE_ANNOTATION, "{}"))
    started = {"number": int(metadata["labels"][names.ATTEMPT_LABEL]), "result": "Running", "retries": 0}
    check = LastCheck.model_validate({"generation": 0, **cause, **started})
    return CheckJob(name=metadata["name"], check=check, **vars(read_job(job, pods, cluster)))


def _cited(dataset: Dataset, cluster: Cluster) -> list[str]:
    versions = []
    for each in cluster.referrers(MODEL_VERSION, dataset.reference):
        lineage = each["spec"].get("lineage") or {}
        versions += [lineage.get("datasetVersion"), *_looked_up(dataset, lineage)]
    for experiment in cluster.referrers(EXPERIMENT, dataset.reference):
        status = experiment.get("status") or {}
        versions.append(experiment["spec"].get("datasetVersion"))
        for data in (status.get("data") or {}, (status.get("join") or {}).get("data") or {}):
            versions += [data.get("version"), *_looked_up(dataset, data)]
    for batch in cluster.referrers(BATCH_INFERENCE, dataset.reference):
        versions += _looked_up(dataset, (batch.get("status") or {}).get("run") or {})
    return [version for version in versions if version]


def _looked_up(dataset: Dataset, data: Mapping[str, Any]) -> list[str]:
    """Its versions in which features of FeatureSets were looked up."""
    pins = [pin for each in data.get("featureSets") or () for pin in each.get("datasets") or ()]
    return [str(pin["version"]) for pin in pins if pin["name"] == dataset.name]
