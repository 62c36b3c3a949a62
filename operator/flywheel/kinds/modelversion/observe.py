"""Everything that matters to a ModelVersion, in one look."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from flywheel.core.diagnosis import outcome, pending
from flywheel.core.diagnosis.outcome import Outcome
from flywheel.core.diagnosis.pending import Diagnosis
from flywheel.core.pods.pod_spec import pods_of_job
from flywheel.core.resource import names
from flywheel.core.resource.api import (
    BATCH_INFERENCE,
    INFERENCE_SERVICE,
    JOB,
    MODEL,
    MODEL_VERSION,
    POD,
    Manifest,
    Reference,
)
from flywheel.core.resource.kind import Cluster
from flywheel.core.resource.model_reference import find_users
from flywheel.core.settings import Settings
from flywheel.kinds.batchinference.schema import versions_in_use as batchinference
from flywheel.kinds.inferenceservice import schema as inferenceservice
from flywheel.kinds.model.schema.spec import ModelSpec
from flywheel.kinds.model.schema.status import ModelStatus
from flywheel.kinds.modelversion.children import VERIFY, ModelVersion
from flywheel.kinds.modelversion.gates.gates_job import Measurement, MeasurementRequest, gates_step
from flywheel.kinds.modelversion.schema.spec import ModelVersionSpec
from flywheel.kinds.modelversion.schema.status import Rejection

REQUEST_ANNOTATION = "flywheel.ml/verify-requested"
CLEAR_REJECTION_ANNOTATION = "flywheel.ml/clear-rejection"


@dataclass(frozen=True)
class Seen:
    """`attempt` is the one that runs or comes next; `outcome` is None until it has ended.
    `objective` is the Model's metric, for the summary. `rejections`: what rollouts found against it, oldest first;
    `clear`: the value by which somebody clears that. `gates`: what the Model would like to have measured; None where nothing."""

    now: datetime
    settings: Settings
    attempt: int
    requested: str
    outcome: Outcome | None = None
    diagnosis: Diagnosis | None = None
    champion: bool = False
    objective: str | None = None
    rejections: tuple[Rejection, ...] = ()
    clear: str = ""
    gates: Measurement | None = None
    served_by: tuple[str, ...] = ()
    scored_by: tuple[str, ...] = ()


def observe(version: ModelVersion, cluster: Cluster) -> Seen:
    """One look at the verify Job of the next attempt, and at the Model."""
    attempt = (version.status.attempts or 0) + 1
    ended, stuck = _ended(version, names.job(version, VERIFY, attempt), cluster)
    model = cluster.get(Reference(MODEL, version.namespace, version.spec.model)) or {}
    objective = ModelSpec.model_validate(model.get("spec") or {}).objective
    return Seen(
        now=cluster.now,
        settings=cluster.settings,
        attempt=attempt,
        requested=version.annotations.get(REQUEST_ANNOTATION, "")[:128],
        outcome=ended,
        diagnosis=stuck,
        champion=ModelStatus.model_validate(model.get("status") or {}).champion == version.name,
        objective=objective.metric if objective else None,
        rejections=tuple(sorted(_rejections(version, cluster), key=lambda each: each.at)),
        clear=version.annotations.get(CLEAR_REJECTION_ANNOTATION, "")[:128],
        gates=_gates(version, model, cluster),
        served_by=find_users(version.reference, INFERENCE_SERVICE, inferenceservice.versions_in_use, cluster)[:50],
        scored_by=find_users(version.reference, BATCH_INFERENCE, batchinference.versions_in_use, cluster)[:50],
    )


def _ended(version: ModelVersion, name: str, cluster: Cluster) -> tuple[Outcome | None, Diagnosis | None]:
    """How a Job ended, or what stands in its way."""
    job = cluster.get(Reference(JOB, version.namespace, name))
    if job is None:
        return None, None
    pods = pods_of_job(name, cluster.children(version.uid, POD))
    ended = outcome.job_outcome(job, pods)

    def events(uid: str) -> Sequence[Manifest]:
        return cluster.events(version.namespace, uid)

    return ended, pending.diagnose(job, pods, events, cluster.now) if ended is None else None


def _gates(version: ModelVersion, model: Manifest, cluster: Cluster) -> Measurement | None:
    """What is to be measured, if the Model names this version and its status speaks of its present gates."""
    status, spec = (
        ModelStatus.model_validate(model.get("status") or {}),
        ModelSpec.model_validate(model.get("spec") or {}),
    )
    challenger, lineage = status.challenger, version.spec.lineage
    if challenger is None or challenger.version != version.name or challenger.gates != spec.gates_hash():
        return None
    if version.status.digest is None or lineage is None or lineage.dataset_digest is None:
        return None
    question = MeasurementRequest(
        model=version.spec.model,
        digest=str(version.status.digest),
        data=str(lineage.dataset_digest),
        champion=challenger.champion,
        champion_digest=challenger.champion_digest,
        champion_data=_data_of(version, challenger.champion, cluster),
        gates=tuple(spec.measured_gates()),
        gates_hash=challenger.gates,
        objective=str(spec.objective.metric) if spec.objective else None,
    )
    retry = version.status.gates_retry
    attempt = retry.attempts + 1 if retry and retry.question == question.short else 1
    ended, stuck = _ended(version, names.job(version, gates_step(question), attempt), cluster)
    return Measurement(question, attempt, ended, stuck)


def _data_of(version: ModelVersion, name: str | None, cluster: Cluster) -> str | None:
    raw = cluster.get(Reference(MODEL_VERSION, version.namespace, name)) if name else None
    lineage = ModelVersionSpec.model_validate(raw["spec"]).lineage if raw else None
    return str(lineage.dataset_digest) if lineage is not None and lineage.dataset_digest is not None else None


def _rejections(version: ModelVersion, cluster: Cluster) -> Iterator[Rejection]:
    """Each InferenceService keeps those of its own rollouts."""
    for service in cluster.referrers(INFERENCE_SERVICE, version.reference):
        rollout = inferenceservice.InferenceServiceStatus.model_validate(service.get("status") or {}).rollout
        for each in rollout.rejected if rollout else ():
            if each.version == version.name:
                name = service["metadata"]["name"]
                yield Rejection(service=name, at=each.at, message=each.message, numbers=each.numbers)
