"""What `decide` may know of a FeatureSet: its check Jobs, its Datasets, and the Models whose versions pin it."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from flywheel.core.diagnosis.attempt_state import AttemptState, read_job
from flywheel.core.resource import conditions, names
from flywheel.core.resource.api import DATASET, JOB, MODEL, MODEL_VERSION, POD, Manifest, Reference
from flywheel.core.resource.kind import Cluster, Observation, observe_basics
from flywheel.kinds.featureset.children import CAUSE_ANNOTATION, CHECK, FeatureSet
from flywheel.kinds.featureset.schema.current_pin import ready_version
from flywheel.kinds.featureset.schema.pins import DatasetPin
from flywheel.kinds.featureset.schema.status import LastCheck


@dataclass(frozen=True, kw_only=True)
class CheckJob(AttemptState):
    """The Job of one check, and the check as it was when the Job was made."""

    name: str
    check: LastCheck


@dataclass(frozen=True)
class DatasetState:
    """A Dataset that exists: its current version if it is Ready, else why it is not."""

    version: DatasetPin | None
    message: str = ""


@dataclass(frozen=True)
class Seen(Observation):
    """`checks` are by number; `datasets` are those that exist, by name. `models` have a version that pins the FeatureSet, and the champion
    of those in `needed_by` does."""

    checks: tuple[CheckJob, ...] = ()
    datasets: Mapping[str, DatasetState] = field(default_factory=dict)
    models: tuple[str, ...] = ()
    needed_by: tuple[str, ...] = ()


def observe(featureset: FeatureSet, cluster: Cluster) -> Seen:
    """Read the Jobs of a FeatureSet, its Datasets, and the Models that need it."""
    pods = cluster.children(featureset.uid, POD)
    jobs = [
        job for job in cluster.children(featureset.uid, JOB) if job["metadata"]["labels"].get(names.STEP_LABEL) == CHECK
    ]
    found = {name: cluster.get(Reference(DATASET, featureset.namespace, name)) for name in featureset.spec.datasets}
    versions = cluster.referrers(MODEL_VERSION, featureset.reference)
    return Seen(
        **observe_basics(cluster),
        checks=tuple(sorted((_check_job(job, pods, cluster) for job in jobs), key=lambda job: job.check.number)),
        datasets={name: _dataset(manifest) for name, manifest in found.items() if manifest is not None},
        models=tuple(sorted({str(each["spec"]["model"]) for each in versions})),
        needed_by=tuple(sorted({str(each["spec"]["model"]) for each in versions if _is_champion(each, cluster)})),
    )


def _check_job(job: Manifest, pods: Sequence[Manifest], cluster: Cluster) -> CheckJob:
    metadata = job["metadata"]
    cause = json.loads((metadata.get("annotations") or {}).get(CAUSE_ANNOTATION, "{}"))
    started = {"number": int(metadata["labels"][names.ATTEMPT_LABEL]), "result": "Running", "retries": 0}
    check = LastCheck.model_validate({"generation": 0, **cause, **started})
    return CheckJob(name=metadata["name"], check=check, **vars(read_job(job, pods, cluster)))


def _dataset(manifest: Manifest) -> DatasetState:
    version = ready_version(manifest)
    return DatasetState(version, "" if version else str(conditions.find_condition(manifest).get("message", "")))


def _is_champion(version: Manifest, cluster: Cluster) -> bool:
    metadata = version["metadata"]
    model = cluster.get(Reference(MODEL, metadata["namespace"], version["spec"]["model"])) or {}
    return bool((model.get("status") or {}).get("champion") == metadata["name"])
