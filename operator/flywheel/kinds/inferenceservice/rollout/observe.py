"""What a rollout looks at."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from flywheel.core.diagnosis import outcome, pending
from flywheel.core.diagnosis.outcome import Outcome
from flywheel.core.diagnosis.pending import Diagnosis
from flywheel.core.pods.pod_spec import of_job
from flywheel.core.resource import names
from flywheel.core.resource.api import DEPLOYMENT, JOB, POD, SERVICE, Manifest, Reference
from flywheel.core.resource.kind import Cluster
from flywheel.kinds.inferenceservice import slots
from flywheel.kinds.inferenceservice.schema import InferenceService
from flywheel.kinds.inferenceservice.schema.rollout import RolloutStatus
from flywheel.kinds.inferenceservice.servers import Servers, servers
from flywheel.kinds.inferenceservice.slots import Slot

ABORT_ANNOTATION = "flywheel.ml/abort-rollout"
ROUTE_ANNOTATION = "flywheel.ml/route"


@dataclass(frozen=True)
class ServerPod:
    """One server, and the route that it was last pointed at."""

    name: str
    uid: str
    slot: Slot
    route: str


@dataclass(frozen=True)
class Mark:
    """What the wanted ModelVersion says of itself: the finding for which it was rolled back, and when such a finding was last cleared."""

    finding: str | None = None
    cleared_at: datetime | None = None


@dataclass(frozen=True)
class Facts:
    """`active`: whom the front Service leads to; `other`: the Deployment of the other slot, None where there is none.
    `outcome` and `judge_diagnosis` are of the judge Job that runs or comes next; `abort`: the version that somebody wants no more.
    `leaving`: servers of the other slot that are on their way out, and still answer whoever kept a connection to them."""

    active: Slot = "a"
    other: Servers | None = None
    diagnosis: Diagnosis | None = None
    outcome: Outcome | None = None
    judge_diagnosis: Diagnosis | None = None
    pods: tuple[ServerPod, ...] = ()
    mark: Mark = Mark()
    abort: str = ""
    leaving: int = 0


def active_slot(service: InferenceService, cluster: Cluster) -> Slot:
    """As the live front Service says; without one, as it was when the status was written."""
    front = cluster.get(Reference(SERVICE, service.namespace, names.child(service)))
    if front is not None and is_ours(service, front):
        return slots.pointed_at(front)
    return "b" if service.status.slot == "b" else "a"


def pods_of(service: InferenceService, cluster: Cluster, slot: Slot) -> list[Manifest]:
    """The servers of a slot that are not on their way out."""
    found = cluster.children(service.uid, POD)
    return [each for each in found if slots.slot_of(each) == slot and "deletionTimestamp" not in each["metadata"]]


def gather(service: InferenceService, cluster: Cluster, active: Slot, mark: Mark) -> Facts:
    """One look at the other slot, the judge and all servers; whoever has no rollout pays nothing for it."""
    if service.spec.rollout is None:
        return Facts(active=active)
    away = slots.other(active)
    deployment = cluster.get(Reference(DEPLOYMENT, service.namespace, slots.deployment_name(service, away)))
    if deployment is not None and not is_ours(service, deployment):
        deployment = None
    pods = {slot: pods_of(service, cluster, slot) for slot in (active, away)}

    def events(uid: str) -> Sequence[Manifest]:
        return cluster.events(service.namespace, uid)

    ended, stuck = _judgement(service, cluster)
    return Facts(
        active=active,
        other=servers(deployment) if deployment else None,
        diagnosis=pending.diagnose(deployment, pods[away], events, cluster.now) if deployment else None,
        outcome=ended,
        judge_diagnosis=stuck,
        pods=tuple(_pod(each, slot) for slot, every in pods.items() for each in every),
        mark=mark,
        abort=service.annotations.get(ABORT_ANNOTATION, ""),
        leaving=sum(slots.slot_of(each) == away for each in cluster.children(service.uid, POD)) - len(pods[away]),
    )


def judge_step(status: RolloutStatus) -> str:
    """The step's name, another one for each rollout: a result of an earlier one must not be taken for this one's."""
    return f"judge-{names.digest(f'{status.digest} {status.mode} {status.started.isoformat()}')[:6]}"


def judge_name(service: InferenceService, status: RolloutStatus) -> str:
    """The Job that runs or comes next."""
    return names.job(service, judge_step(status), (status.judgements or 0) + 1)


def is_ours(service: InferenceService, manifest: Manifest) -> bool:
    """Somebody else's is not looked at: the engine says NameTaken."""
    return bool((manifest["metadata"].get("labels") or {}).get(names.UID_LABEL) == service.uid)


def _judgement(service: InferenceService, cluster: Cluster) -> tuple[Outcome | None, Diagnosis | None]:
    status = service.status.rollout
    if status is None:
        return None, None
    name = judge_name(service, status)
    job = cluster.get(Reference(JOB, service.namespace, name))
    if job is None:
        return None, None
    pods = of_job(name, cluster.children(service.uid, POD))
    ended = outcome.read(job, pods)
    if ended is not None:
        return ended, None

    def events(uid: str) -> Sequence[Manifest]:
        return cluster.events(service.namespace, uid)

    return None, pending.diagnose(job, pods, events, cluster.now)


def _pod(manifest: Manifest, slot: Slot) -> ServerPod:
    metadata = manifest["metadata"]
    return ServerPod(
        metadata["name"], metadata["uid"], slot, (metadata.get("annotations") or {}).get(ROUTE_ANNOTATION, "")
    )
