"""Everything that matters to an InferenceService, in one look."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from flywheel.core import names, trouble
from flywheel.core.api import DEPLOYMENT, MODEL, MODEL_VERSION, POD, Manifest, Reference
from flywheel.core.kind import Cluster
from flywheel.core.schema import Status
from flywheel.core.settings import Settings
from flywheel.core.trouble import Trouble
from flywheel.kinds.inferenceservice import autoscaler
from flywheel.kinds.inferenceservice.autoscaler import Autoscaler
from flywheel.kinds.inferenceservice.children import DIGEST_ANNOTATION, VERSION_ANNOTATION, InferenceService, Target
from flywheel.kinds.model.schema import ModelStatus
from flywheel.kinds.modelversion.schema import ModelVersionStatus


@dataclass(frozen=True)
class Missing:
    """Why what the spec asks for cannot be served yet."""

    reason: str
    message: str


@dataclass(frozen=True)
class Servers:
    """The Deployment as it is: what it was told to serve, by which inputs, and how far it is.

    `replicas` are told to run, `existing` do, `updated` of them have the newest template, `ready` of them answer, whatever template.
    `settled`: the Deployment's controller has seen its newest spec.
    """

    target: Target | None
    inputs: str
    settled: bool
    replicas: int = 0
    existing: int = 0
    updated: int = 0
    ready: int = 0


@dataclass(frozen=True)
class Seen:
    """`wanted` or `missing`: what the spec asks for, or why that cannot be had. `servers`: None where there is no Deployment."""

    now: datetime
    settings: Settings
    wanted: Target | None = None
    missing: Missing | None = None
    servers: Servers | None = None
    trouble: Trouble | None = None
    autoscaler: Autoscaler = field(default_factory=Autoscaler)


def observe(service: InferenceService, cluster: Cluster) -> Seen:
    """One look at the Model or version, the Deployment, all its pods, and what scales them."""
    deployment = cluster.get(Reference(DEPLOYMENT, service.namespace, names.child(service)))
    if deployment is not None and deployment["metadata"].get("labels", {}).get(names.UID_LABEL) != service.uid:
        deployment = None  # somebody else's: the engine says NameTaken
    pods = [pod for pod in cluster.children(service.uid, POD) if "deletionTimestamp" not in pod["metadata"]]

    def events(uid: str) -> Sequence[Manifest]:
        return cluster.events(service.namespace, uid)

    found = _version(service, cluster) if service.spec.version is not None else _champion(service, cluster)
    return Seen(
        now=cluster.now,
        settings=cluster.settings,
        wanted=found if isinstance(found, Target) else None,
        missing=found if isinstance(found, Missing) else None,
        servers=_servers(deployment) if deployment else None,
        autoscaler=autoscaler.look(service, cluster),
        trouble=trouble.find(deployment, pods, events, cluster.now) if deployment else None,
    )


def _champion(service: InferenceService, cluster: Cluster) -> Target | Missing:
    name = str(service.spec.model)
    model = cluster.get(Reference(MODEL, service.namespace, name))
    if model is None:
        finding = f"Model '{name}' does not exist in namespace '{service.namespace}'"
        return Missing("ModelNotFound", f"{finding}; create it or correct spec.model.")
    status = ModelStatus.model_validate(model.get("status") or {})
    if status.champion is None or status.champion_digest is None:
        return Missing("NoChampion", f"Model '{name}' has no champion yet. {_words(status)}".strip())
    return Target(status.champion, str(status.champion_digest))


def _version(service: InferenceService, cluster: Cluster) -> Target | Missing:
    name = str(service.spec.version)
    version = cluster.get(Reference(MODEL_VERSION, service.namespace, name))
    if version is None:
        finding = f"ModelVersion '{name}' does not exist in namespace '{service.namespace}'"
        return Missing("VersionNotFound", f"{finding}; create it or correct spec.version.")
    status = ModelVersionStatus.model_validate(version.get("status") or {})
    is_ready = any(condition.type == "Ready" and condition.status == "True" for condition in status.conditions)
    if status.digest is None or not is_ready:
        return Missing("VersionNotReady", f"ModelVersion '{name}' is not verified. {_words(status)}".strip())
    return Target(name, str(status.digest))


def _words(status: Status) -> str:
    return next((condition.message for condition in status.conditions if condition.type == "Ready"), "")


def _servers(deployment: Manifest) -> Servers:
    metadata, status = deployment["metadata"], deployment.get("status") or {}
    annotations = metadata.get("annotations") or {}
    version, digest = annotations.get(VERSION_ANNOTATION), annotations.get(DIGEST_ANNOTATION)
    return Servers(
        target=Target(version, digest) if version and digest else None,
        inputs=annotations.get(names.INPUTS_ANNOTATION, ""),
        settled=status.get("observedGeneration", 0) >= metadata.get("generation", 1),
        replicas=deployment["spec"].get("replicas", 1),
        existing=status.get("replicas", 0),
        updated=status.get("updatedReplicas", 0),
        ready=status.get("readyReplicas", 0),
    )
