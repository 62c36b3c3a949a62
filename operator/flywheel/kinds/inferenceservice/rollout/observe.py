"""What a rollout observes."""

from dataclasses import dataclass, field
from datetime import timedelta

from flywheel.core.diagnosis.attempt_state import AttemptState, find_job
from flywheel.core.diagnosis.workload_diagnosis import Diagnosis, diagnose_workload
from flywheel.core.resource import names
from flywheel.core.resource.api import DEPLOYMENT, MODEL, MODEL_VERSION, POD, SERVICE, Manifest, Reference
from flywheel.core.resource.kind import Cluster
from flywheel.kinds.inferenceservice.schema import InferenceService
from flywheel.kinds.inferenceservice.schema.rollout import RolloutStatus
from flywheel.kinds.inferenceservice.servers import NO_SERVERS, Servers, read_servers
from flywheel.kinds.inferenceservice.slots import Slot, deployment_name, is_owned, other_slot, selected_slot, slot_of
from flywheel.kinds.model.schema.spec import Rollback
from flywheel.kinds.modelversion.schema.status import ModelVersionStatus

ABORT_ANNOTATION = "flywheel.ml/abort-rollout"
ROUTE_ANNOTATION = "flywheel.ml/route"  # the digest of the route that a server's pod was last given


@dataclass(frozen=True)
class RolloutSeen:
    """The facts of a rollout.

    `active`: the slot that the front Service selects; `other`: the Deployment of the other slot and its `diagnosis`.
    `judge`: the judge Job that runs or comes next; `abort`: the version that the annotation names.
    `version`: the status of the wanted ModelVersion, for its rejection by a rollout of this or another service.
    `bake_time`: how long the Model takes a new champion back, so that the one before it must stay on standby.
    `model`: the Model of the wanted version.
    `terminating`: pods of the other slot that are being deleted; clients that hold a connection still reach them.
    """

    active: Slot = "a"
    other: Servers = NO_SERVERS
    diagnosis: Diagnosis | None = None
    judge: AttemptState = field(default_factory=AttemptState)
    pods: tuple[Manifest, ...] = ()
    version: ModelVersionStatus = field(default_factory=ModelVersionStatus)
    abort: str = ""
    terminating: int = 0
    model: str = ""
    bake_time: timedelta = timedelta(0)


def active_slot(service: InferenceService, cluster: Cluster) -> Slot:
    """The slot that the live front Service selects; without one, that of the status."""
    front = cluster.get(Reference(SERVICE, service.namespace, names.child(service)))
    if front is not None and is_owned(service, front):
        return selected_slot(front)
    return "b" if service.status.slot == "b" else "a"


def observe_slot(
    service: InferenceService, cluster: Cluster, slot: Slot
) -> tuple[Servers, Diagnosis | None, list[Manifest]]:
    """The servers of a slot, their diagnosis, and their pods that are not being deleted."""
    pods = cluster.children(service.uid, POD)
    present = [each for each in pods if slot_of(each) == slot and "deletionTimestamp" not in each["metadata"]]
    deployment = cluster.get(Reference(DEPLOYMENT, service.namespace, deployment_name(service, slot)))
    if deployment is None or not is_owned(service, deployment):
        return NO_SERVERS, None, present
    return read_servers(deployment), diagnose_workload(deployment, present, cluster), present


def observe_rollout(
    service: InferenceService, cluster: Cluster, active: Slot, pods: list[Manifest], version: ModelVersionStatus
) -> RolloutSeen:
    """Read the other slot and the judge; nothing for a service without a rollout. `pods` are those of the active slot."""
    if service.spec.rollout is None:
        return RolloutSeen(active=active)
    other = other_slot(active)
    servers, diagnosis, others = observe_slot(service, cluster, other)
    status = service.status.rollout
    return RolloutSeen(
        active=active,
        other=servers,
        diagnosis=diagnosis,
        judge=find_job(service, judge_name(service, status), cluster) if status is not None else AttemptState(),
        pods=(*pods, *others),
        version=version,
        bake_time=_bake_time(service, cluster),
        model=_model(service, cluster),
        abort=service.annotations.get(ABORT_ANNOTATION, ""),
        terminating=sum(slot_of(each) == other for each in cluster.children(service.uid, POD)) - len(others),
    )


def _model(service: InferenceService, cluster: Cluster) -> str:
    """The Model whose versions are served; that of the version that the spec names."""
    if service.spec.model is not None:
        return str(service.spec.model)
    version = cluster.get(Reference(MODEL_VERSION, service.namespace, str(service.spec.version)))
    return str((version or {"spec": {}})["spec"].get("model") or "")


def _bake_time(service: InferenceService, cluster: Cluster) -> timedelta:
    model = cluster.get(Reference(MODEL, service.namespace, service.spec.model)) if service.spec.model else None
    rollback = (model or {"spec": {}})["spec"].get("rollback")
    return Rollback.model_validate(rollback).bake_time.timedelta if rollback else timedelta(0)


def judge_step(status: RolloutStatus) -> str:
    """The step's name, which differs for each rollout, so that the outcome of an earlier one is not taken for this one's."""
    return f"judge-{names.digest(f'{status.digest} {status.mode} {status.started.isoformat()}')[:6]}"


def judge_name(service: InferenceService, status: RolloutStatus) -> str:
    """The judge Job that runs or comes next."""
    return names.job(service, judge_step(status), (status.judgements or 0) + 1)
