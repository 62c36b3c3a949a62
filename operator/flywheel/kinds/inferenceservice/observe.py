"""Everything that matters to an InferenceService, in one look."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from flywheel.core import trouble
from flywheel.core.api import DEPLOYMENT, MODEL, MODEL_VERSION, POD, Manifest, Reference
from flywheel.core.kind import Cluster, Resource
from flywheel.core.settings import Settings
from flywheel.core.trouble import Trouble
from flywheel.kinds.inferenceservice.schema import InferenceServiceSpec, InferenceServiceStatus

InferenceService = Resource[InferenceServiceSpec, InferenceServiceStatus]


@dataclass(frozen=True)
class Version:
    """What can be served: a verified version and its artifact."""

    name: str
    digest: str


@dataclass(frozen=True)
class Servers:
    """The Deployment's own counts. `current`: of the newest template; `settled`: its controller has seen that template."""

    settled: bool
    total: int
    current: int
    ready: int
    current_ready: int


@dataclass(frozen=True)
class Seen:
    """`wanted` is what the spec asks to serve now, or why not in `missing`; `servers` is None where there is no Deployment."""

    now: datetime
    settings: Settings
    wanted: Version | None = None
    missing: Trouble | None = None
    servers: Servers | None = None
    trouble: Trouble | None = None


def observe(service: InferenceService, cluster: Cluster) -> Seen:
    """One look at the version to serve, at the Deployment and at all its pods."""
    deployments = cluster.children(service.uid, DEPLOYMENT)
    pods = cluster.children(service.uid, POD)

    def events(uid: str) -> Sequence[Manifest]:
        return cluster.events(service.namespace, uid)

    wanted = _wanted(service, cluster)
    found = wanted if isinstance(wanted, Version) else None
    return Seen(
        now=cluster.now,
        settings=cluster.settings,
        wanted=found,
        missing=None if isinstance(wanted, Version) else wanted,
        servers=_servers(deployments[0], pods) if deployments else None,
        trouble=trouble.find(deployments[0], _standing(pods), events, cluster.now) if deployments else None,
    )


def _wanted(service: InferenceService, cluster: Cluster) -> Version | Trouble:
    namespace, name = service.namespace, service.spec.version
    if name is None:
        model = cluster.get(Reference(MODEL, namespace, str(service.spec.model)))
        if model is None:
            return Trouble(
                "ModelNotFound",
                f"Waiting for Model '{service.spec.model}' in namespace '{namespace}'; create it or correct spec.model.",
            )
        name = (model.get("status") or {}).get("champion")
        if not name:
            return Trouble(
                "NoChampion",
                f"Model '{service.spec.model}' has no champion yet; see 'kubectl describe fwmodel {service.spec.model}'.",
            )
    version = cluster.get(Reference(MODEL_VERSION, namespace, name))
    if version is None:
        return Trouble(
            "VersionNotFound",
            f"Waiting for ModelVersion '{name}' in namespace '{namespace}'; create it or correct the spec.",
        )
    digest = (version.get("status") or {}).get("digest")
    if not digest:
        return Trouble(
            "VersionNotVerified", f"ModelVersion '{name}' is not verified yet; see 'kubectl describe fwver {name}'."
        )
    return Version(name, digest)


def _standing(pods: Sequence[Manifest]) -> list[Manifest]:
    """Pods that are not on their way out."""
    return [pod for pod in pods if "deletionTimestamp" not in pod["metadata"]]


def _servers(deployment: Manifest, pods: Sequence[Manifest]) -> Servers:
    status = deployment.get("status") or {}
    current = int(status.get("updatedReplicas") or 0)
    ready = int(status.get("readyReplicas") or 0)
    total = int(status.get("replicas") or 0)
    return Servers(
        settled=int(status.get("observedGeneration") or 0) >= int(deployment["metadata"].get("generation") or 1),
        total=total,
        current=current,
        ready=ready,
        # Old servers go last (maxUnavailable 0), so what is not current is ready; a bound, never too high.
        current_ready=max(0, ready - (total - current)),
    )
