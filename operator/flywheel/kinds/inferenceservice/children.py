"""What an InferenceService becomes: a Deployment whose pods fetch one artifact and serve it, and the objects around it."""

from collections.abc import Mapping
from typing import Any

from flywheel.core.pods.store_secret import identity_annotations
from flywheel.core.resource import api, names
from flywheel.core.resource.api import Api
from flywheel.core.resource.model_reference import ResolvedVersion
from flywheel.core.resource.plan import Child, ExistingChild
from flywheel.core.settings import Settings
from flywheel.kinds.inferenceservice import slots
from flywheel.kinds.inferenceservice.auth import authentication
from flywheel.kinds.inferenceservice.runtimes import container
from flywheel.kinds.inferenceservice.scaling import replicas
from flywheel.kinds.inferenceservice.schema import InferenceService
from flywheel.kinds.inferenceservice.server_pod import server_pod
from flywheel.kinds.inferenceservice.slots import ROLE_LABEL, ROLES, Layout, Slot, slot_labels

VERSION_ANNOTATION = "flywheel.ml/version"
DIGEST_ANNOTATION = "flywheel.ml/digest"
SURGE = {"maxSurge": 1, "maxUnavailable": 0}
ONE_BY_ONE = {"maxSurge": 0, "maxUnavailable": 1}
SINGLE_SLOT = Layout()
# Fields of the spec that shape the pod. A field that is absent from the spec is absent here too, so that one which a later operator
# knows restarts no server that does not use it.
POD_FIELDS = {
    "resources",
    "env",
    "image_pull_secrets",
    "placement",
    "shared_memory",
    "logging",
    "explain",
    "batching",
    "request_timeout",
    "max_body_size",
}


def service_children(
    service: InferenceService, target: ResolvedVersion, settings: Settings, layout: Layout = SINGLE_SLOT
) -> tuple[Child | ExistingChild, ...]:
    """All children, in the order in which they are applied."""
    slot = layout.active
    front = selecting_service(service, names.child(service), slot)
    around = (service_account(service, settings), network_policy(service, layout), front)
    budget = (disruption_budget(service, slot),) if replicas.replica_limits(service)[1] > 1 else ()
    count = replicas.desired_replicas(service, layout.running)
    shared = replicas.has_autoscaler(service) or layout.autoscaled
    servers = deployment(service, target, settings, slot, count, one_by_one=layout.one_by_one, shares_replicas=shared)
    scaled = replicas.autoscalers(service, slots.deployment_name(service, slot))
    return (*around, *budget, servers, *layout.rollout_children, *scaled)


def template_inputs(service: InferenceService, target: ResolvedVersion, settings: Settings) -> Mapping[str, Any]:
    """All that the pod template depends on, except images: a new operator has a new serving image, and restarts no server for it."""
    return {
        "version": target.version,
        "digest": target.digest,
        "store": settings.store_secret,
        "spec": {
            **service.spec.model_dump(mode="json", by_alias=True, exclude_defaults=True, include=POD_FIELDS),
            **authentication.inputs(service.spec.auth),
        },
        **container.runtime_inputs(service),
    }


def deployment(
    service: InferenceService,
    target: ResolvedVersion,
    settings: Settings,
    slot: Slot = "a",
    count: int | None = None,
    *,
    one_by_one: bool = False,
    shares_replicas: bool = False,
) -> Child:
    """The servers of one slot.

    A new pod is ready before an old one stops; where both do not fit (`one_by_one`), an old one stops first.
    `shares_replicas`: an autoscaler changes their number.
    """
    served = {VERSION_ANNOTATION: target.version, DIGEST_ANNOTATION: target.digest}
    spec = {
        "replicas": replicas.last_desired_replicas(service) if count is None else count,
        "revisionHistoryLimit": 2,
        "selector": {"matchLabels": slot_labels(service, slot)},
        "strategy": {"type": "RollingUpdate", "rollingUpdate": ONE_BY_ONE if one_by_one else SURGE},
        "template": _template(service, target, settings, slot, served),
    }
    name = slots.deployment_name(service, slot)
    manifest = api.DEPLOYMENT.manifest(name, metadata={"annotations": served}, spec=spec)
    inputs, shared = template_inputs(service, target, settings), ("replicas",) if shares_replicas else ()
    return Child(api.DEPLOYMENT, manifest, inputs=inputs, shared_fields=shared)


def _template(
    service: InferenceService, target: ResolvedVersion, settings: Settings, slot: Slot, served: Mapping[str, str]
) -> dict[str, Any]:
    labels = {
        ROLE_LABEL: ROLES[slot],
        # By these, dashboards and tools made for KServe find the pods.
        "serving.kserve.io/inferenceservice": names.truncate(service.name, names.MAX_NAME_LENGTH),
        "component": "predictor",
    }
    ports = container.container_ports(service)
    scraped = {
        "prometheus.io/scrape": "true",
        "prometheus.io/port": str(ports.get("metrics", ports["http"])),
        "prometheus.io/path": "/metrics",
    }
    pod = server_pod(service, target, slots.route_name(service, slot), settings)
    return {
        "metadata": {"labels": labels, "annotations": {**served, **scraped, **identity_annotations(pod)}},
        "spec": {
            **pod,
            "topologySpreadConstraints": spread_constraints(service, slot),
        },
    }


def spread_constraints(service: InferenceService, slot: Slot = "a") -> list[dict[str, Any]]:
    """Servers spread over nodes and zones as far as possible; one that fits only beside another still runs there."""
    return [
        {
            "maxSkew": 1,
            "topologyKey": key,
            "whenUnsatisfiable": "ScheduleAnyway",
            "labelSelector": {"matchLabels": slot_labels(service, slot)},
            # Servers that are about to be replaced do not count.
            "matchLabelKeys": ["pod-template-hash"],
        }
        for key in ("kubernetes.io/hostname", "topology.kubernetes.io/zone")
    ]


def selecting_service(service: InferenceService, name: str, slot: Slot, **more: Any) -> Child:
    """A Service of that name for one slot's servers; `more` fields of its spec. The numbers of its ports are KServe's."""
    protocols = (("http", container.HTTP_PORT, "http"), ("grpc", container.GRPC_PORT, "kubernetes.io/h2c"))
    ports = [
        {"name": name, "port": port, "targetPort": name, "protocol": "TCP", "appProtocol": protocol}
        for name, port, protocol in protocols
    ]
    spec = {**more, "ports": ports, "selector": slot_labels(service, slot)}
    return Child(api.SERVICE, api.SERVICE.manifest(name, spec=spec))


def service_account(service: InferenceService, settings: Settings) -> Child:
    """A ServiceAccount without a token and without rights: an identity for policies and audit, and the installation's workload identity."""
    identity = settings.server_identity(service.namespace)
    given = {"annotations": dict(identity.annotations), "labels": dict(identity.labels)}
    metadata = {key: value for key, value in given.items() if value}
    return _child(api.SERVICE_ACCOUNT, service, metadata=metadata, automountServiceAccountToken=False)


def disruption_budget(service: InferenceService, slot: Slot = "a") -> Child:
    """A PodDisruptionBudget: a drain evicts one server at a time, and those that are not ready at any time."""
    spec = {
        "maxUnavailable": 1,
        "selector": {"matchLabels": slot_labels(service, slot)},
        "unhealthyPodEvictionPolicy": "AlwaysAllow",
    }
    return _child(api.POD_DISRUPTION_BUDGET, service, spec=spec)


def network_policy(service: InferenceService, layout: Layout = SINGLE_SLOT) -> Child:
    """A NetworkPolicy that admits traffic to the server's ports alone.

    Egress stays open: fetch needs DNS and the store, whose address only pods know.
    """
    reachable = [{"protocol": "TCP", "port": port} for port in container.container_ports(service).values()]
    both_slots = {
        "matchLabels": {names.UID_LABEL: service.uid},
        "matchExpressions": [{"key": ROLE_LABEL, "operator": "In", "values": sorted(ROLES.values())}],
    }
    spec = {
        "podSelector": both_slots if layout.both_slots else {"matchLabels": slot_labels(service)},
        "policyTypes": ["Ingress"],
        "ingress": [{"ports": reachable}],
    }
    return _child(api.NETWORK_POLICY, service, spec=spec)


def _child(kind: Api, service: InferenceService, **content: Any) -> Child:
    return Child(kind, kind.manifest(names.child(service), **content))


OWNS = (
    api.CONFIG_MAP,
    api.DEPLOYMENT,
    api.HORIZONTAL_POD_AUTOSCALER,
    api.JOB,
    api.NETWORK_POLICY,
    api.POD_DISRUPTION_BUDGET,
    api.SERVICE,
    api.SERVICE_ACCOUNT,
)
