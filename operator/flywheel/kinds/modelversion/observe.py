"""What `decide` may know of a ModelVersion: its Jobs, its Model, the rollouts that rejected it, and who uses it."""

from collections.abc import Iterator
from dataclasses import dataclass

from flywheel.core.diagnosis.attempt_state import AttemptState, find_job
from flywheel.core.resource import names
from flywheel.core.resource.api import BATCH_INFERENCE, INFERENCE_SERVICE, MODEL, MODEL_VERSION, Manifest, Reference
from flywheel.core.resource.kind import Cluster, Observation, observe_basics
from flywheel.core.resource.model_reference import find_users
from flywheel.kinds.batchinference.schema import versions_in_use as batchinference
from flywheel.kinds.inferenceservice import schema as inferenceservice
from flywheel.kinds.model.schema.spec import ModelSpec
from flywheel.kinds.model.schema.status import ModelStatus
from flywheel.kinds.modelversion.children import CLEAR_REJECTION_ANNOTATION, VERIFY, VERIFY_ANNOTATION, ModelVersion
from flywheel.kinds.modelversion.gates.gates_job import Measurement, MeasurementRequest, gates_step
from flywheel.kinds.modelversion.schema.spec import ModelVersionSpec
from flywheel.kinds.modelversion.schema.status import Rejection


@dataclass(frozen=True, kw_only=True)
class Seen(AttemptState, Observation):
    """`attempt` is the one that runs or comes next; `outcome` and `diagnosis` are of its Job.

    `verify_request` and `clear_request` are the values of the annotations by which users ask for another verification, and clear a
    rejection. `objective` is the Model's metric, for the summary. `rejections` are those of all rollouts, oldest first. `measurement` is
    what the Model needs measured; None where it needs nothing.
    """

    attempt: int
    verify_request: str
    is_champion: bool = False
    objective: str | None = None
    rejections: tuple[Rejection, ...] = ()
    clear_request: str = ""
    measurement: Measurement | None = None
    served_by: tuple[str, ...] = ()
    scored_by: tuple[str, ...] = ()


def observe(version: ModelVersion, cluster: Cluster) -> Seen:
    """Read the verify Job of the next attempt, the Model, and who uses the version."""
    attempt = (version.status.attempts or 0) + 1
    model = cluster.get(Reference(MODEL, version.namespace, version.spec.model)) or {}
    objective = ModelSpec.model_validate(model.get("spec") or {}).objective
    return Seen(
        **observe_basics(cluster),
        attempt=attempt,
        verify_request=version.annotations.get(VERIFY_ANNOTATION, "")[:128],
        is_champion=ModelStatus.model_validate(model.get("status") or {}).champion == version.name,
        objective=objective.metric if objective else None,
        rejections=tuple(sorted(_rejections(version, cluster), key=lambda each: each.at)),
        clear_request=version.annotations.get(CLEAR_REJECTION_ANNOTATION, "")[:128],
        measurement=_measurement(version, model, cluster),
        served_by=find_users(version.reference, INFERENCE_SERVICE, inferenceservice.versions_in_use, cluster)[:50],
        scored_by=find_users(version.reference, BATCH_INFERENCE, batchinference.versions_in_use, cluster)[:50],
        **vars(find_job(version, names.job(version, VERIFY, attempt), cluster)),
    )


def _measurement(version: ModelVersion, model: Manifest, cluster: Cluster) -> Measurement | None:
    """What is to be measured, if the Model nominates this version and its status is of its present gates."""
    status = ModelStatus.model_validate(model.get("status") or {})
    spec = ModelSpec.model_validate(model.get("spec") or {})
    challenger, data = status.challenger, version.spec.dataset_digest
    if challenger is None or challenger.version != version.name or challenger.gates != spec.gates_hash():
        return None
    if version.status.digest is None or data is None:
        return None
    request = MeasurementRequest(
        model=version.spec.model,
        digest=str(version.status.digest),
        data=str(data),
        champion=challenger.champion,
        champion_digest=challenger.champion_digest,
        champion_data=_dataset_digest_of(version, challenger.champion, cluster),
        gates=tuple(spec.measured_gates()),
        gates_hash=challenger.gates,
        objective=str(spec.objective.metric) if spec.objective else None,
    )
    retry = version.status.gates_retry
    attempt = retry.attempts + 1 if retry and retry.question == request.short else 1
    state = find_job(version, names.job(version, gates_step(request), attempt), cluster)
    return Measurement(request=request, attempt=attempt, **vars(state))


def _dataset_digest_of(version: ModelVersion, name: str | None, cluster: Cluster) -> str | None:
    manifest = cluster.get(Reference(MODEL_VERSION, version.namespace, name)) if name else None
    return ModelVersionSpec.model_validate(manifest["spec"]).dataset_digest if manifest else None


def _rejections(version: ModelVersion, cluster: Cluster) -> Iterator[Rejection]:
    """The rejections of this version, which each InferenceService has of its own rollouts."""
    for service in cluster.referrers(INFERENCE_SERVICE, version.reference):
        rollout = inferenceservice.InferenceServiceStatus.model_validate(service.get("status") or {}).rollout
        for each in rollout.rejected if rollout else ():
            if each.version == version.name:
                name = service["metadata"]["name"]
                yield Rejection(service=name, at=each.at, message=each.message, numbers=each.numbers)
