"""Everything that matters to an InferenceService, in one look."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from flywheel.core.diagnosis import pending
from flywheel.core.diagnosis.pending import Diagnosis
from flywheel.core.resource.api import DEPLOYMENT, MODEL_VERSION, Manifest, Reference
from flywheel.core.resource.kind import Cluster
from flywheel.core.resource.model_reference import Missing, Target, offered
from flywheel.core.settings import Settings
from flywheel.kinds.inferenceservice import slots
from flywheel.kinds.inferenceservice.logging import prediction_logging
from flywheel.kinds.inferenceservice.rollout.observe import Facts, Mark, active_slot, gather, is_ours, pods_of
from flywheel.kinds.inferenceservice.scaling.observe import Autoscaler, observe_autoscaler
from flywheel.kinds.inferenceservice.schema import InferenceService
from flywheel.kinds.inferenceservice.servers import Servers, servers
from flywheel.kinds.modelversion.schema.status import ModelVersionStatus


@dataclass(frozen=True)
class Seen:
    """`wanted` or `missing`: what the spec asks for, or why that cannot be had. `servers`: None where there is no Deployment.

    `servers` and `diagnosis` are of those to whom the front Service leads; what else there is, `rollout` knows.
    """

    now: datetime
    settings: Settings
    wanted: Target | None = None
    missing: Missing | None = None
    servers: Servers | None = None
    diagnosis: Diagnosis | None = None
    note: str = ""  # what the server does without, and why
    autoscaler: Autoscaler = field(default_factory=Autoscaler)
    rollout: Facts = field(default_factory=Facts)


def observe(service: InferenceService, cluster: Cluster) -> Seen:
    """One look at the Model or version, the Deployment, all its pods, and what scales them."""
    active = active_slot(service, cluster)
    deployment = cluster.get(Reference(DEPLOYMENT, service.namespace, slots.deployment_name(service, active)))
    if deployment is not None and not is_ours(service, deployment):
        deployment = None  # somebody else's: the engine says NameTaken
    pods = pods_of(service, cluster, active)

    def events(uid: str) -> Sequence[Manifest]:
        return cluster.events(service.namespace, uid)

    found = offered(service.namespace, service.spec.model, service.spec.version, cluster)
    wanted = found if isinstance(found, Target) else None
    return Seen(
        now=cluster.now,
        settings=cluster.settings,
        wanted=wanted,
        missing=found if isinstance(found, Missing) else None,
        autoscaler=observe_autoscaler(service, cluster),
        servers=servers(deployment) if deployment else None,
        diagnosis=pending.diagnose(deployment, pods, events, cluster.now) if deployment else None,
        note=_note(service, found, cluster),
        rollout=gather(service, cluster, active, _mark(service, cluster, wanted)),
    )


def _note(service: InferenceService, found: Target | Missing, cluster: Cluster) -> str:
    """What of spec.logging does not fit the version that is asked for, as far as its status tells its signature."""
    if service.spec.logging is None or isinstance(found, Missing):
        return ""
    version = cluster.get(Reference(MODEL_VERSION, service.namespace, found.version)) or {}
    signature = ModelVersionStatus.model_validate(version.get("status") or {}).signature
    tensors = (*signature.inputs, *signature.outputs) if signature else ()
    return prediction_logging.misfit(service.spec.logging, {each.name: each.datatype for each in tensors})


def _mark(service: InferenceService, cluster: Cluster, wanted: Target | None) -> Mark:
    """What the wanted version says of itself; whoever has no rollout does not ask."""
    if wanted is None or service.spec.rollout is None:
        return Mark()
    version = cluster.get(Reference(MODEL_VERSION, service.namespace, wanted.version)) or {}
    status = ModelVersionStatus.model_validate(version.get("status") or {})
    finding = status.rejection.message if status.rejection else None
    return Mark(finding, status.rejection_cleared.at if status.rejection_cleared else None)
