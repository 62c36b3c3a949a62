"""What an InferenceService becomes: a Deployment whose pods fetch one artifact and serve it, and what stands around it."""

from collections.abc import Mapping
from typing import Any

from flywheel.core.resource import names
from flywheel.core.resource.api import (
    CONFIG_MAP,
    DEPLOYMENT,
    HORIZONTAL_POD_AUTOSCALER,
    JOB,
    NETWORK_POLICY,
    POD_DISRUPTION_BUDGET,
    SERVICE,
    SERVICE_ACCOUNT,
    Api,
)
from flywheel.core.resource.model_reference import Target
from flywheel.core.resource.plan import Child, Kept
from flywheel.core.settings import Settings
from flywheel.kinds.inferenceservice import slots
from flywheel.kinds.inferenceservice.auth import authentication
from flywheel.kinds.inferenceservice.pod import server_pod
from flywheel.kinds.inferenceservice.runtimes import container
from flywheel.kinds.inferenceservice.runtimes import ports as server_ports
from flywheel.kinds.inferenceservice.runtimes.ports import GRPC_PORT, HTTP_PORT
from flywheel.kinds.inferenceservice.scaling import autoscaler
from flywheel.kinds.inferenceservice.scaling import replicas as scaling
from flywheel.kinds.inferenceservice.schema import InferenceService
from flywheel.kinds.inferenceservice.slots import PLAIN, ROLE_LABEL, ROLES, Arrangement, Slot, selector

VERSION_ANNOTATION = "flywheel.ml/version"
DIGEST_ANNOTATION = "flywheel.ml/digest"
SURGING = {"maxSurge": 1, "maxUnavailable": 0}
ONE_BY_ONE = {"maxSurge": 0, "maxUnavailable": 1}


def everything(
    service: InferenceService, target: Target, settings: Settings, arrangement: Arrangement = PLAIN
) -> tuple[Child | Kept, ...]:
    """All children, in the order in which they are applied."""
    slot = arrangement.active
    around = (service_account(service), network_policy(service, arrangement), front(service, slot))
    budget = (disruption_budget(service, slot),) if scaling.most(service) > 1 else ()
    count = scaling.wanted(service, arrangement.running)
    yields = scaling.is_automatic(service) or arrangement.autoscaled
    servers = deployment(service, target, settings, slot, count, one_by_one=arrangement.one_by_one, yields=yields)
    scaled = autoscaler.autoscalers(service, slots.deployment_name(service, slot))
    return (*around, *budget, servers, *arrangement.more, *scaled)


def replicas(service: InferenceService) -> int:
    """How many servers should run now. Under an autoscaler: as many as there were when the status was written, within its limits."""
    return scaling.wanted(service, service.status.replicas or 0)


def inputs(service: InferenceService, target: Target, settings: Settings) -> Mapping[str, Any]:
    """All that the pod template depends on, but for images: a new operator brings a new serving image, and restarts nobody for it.

    What is not said in the spec is left out, so that a field that a later operator knows changes nothing for those who do not use it.
    """
    fields = {"resources", "env", "image_pull_secrets", "placement", "shared_memory", "logging", "batching"}
    return {
        "version": target.version,
        "digest": target.digest,
        "store": settings.store_secret,
        "spec": {
            **service.spec.model_dump(mode="json", by_alias=True, exclude_defaults=True, include=fields),
            **authentication.inputs(service.spec.auth),
        },
        **container.chosen(service),
    }


def deployment(
    service: InferenceService,
    target: Target,
    settings: Settings,
    slot: Slot = "a",
    count: int | None = None,
    *,
    one_by_one: bool = False,
    yields: bool = False,
) -> Child:
    """A new pod answers before an old one goes; where both do not fit (`one_by_one`), an old one goes first. `yields`: an autoscaler changes their number."""
    served = {VERSION_ANNOTATION: target.version, DIGEST_ANNOTATION: target.digest}
    labels = {
        ROLE_LABEL: ROLES[slot],
        # By these, dashboards and tools made for KServe find the pods.
        "serving.kserve.io/inferenceservice": names.within(service.name, names.LONGEST),
        "component": "predictor",
    }
    scraped = {
        "prometheus.io/scrape": "true",
        "prometheus.io/port": str(server_ports.metrics_port(service)),
        "prometheus.io/path": "/metrics",
    }
    template = {
        "metadata": {"labels": labels, "annotations": {**served, **scraped}},
        "spec": {
            **server_pod(service, target.version, target.digest, slots.route_name(service, slot), settings),
            "topologySpreadConstraints": spread(service, slot),
        },
    }
    spec = {
        "replicas": replicas(service) if count is None else count,
        "revisionHistoryLimit": 2,
        "selector": {"matchLabels": selector(service, slot)},
        "strategy": {"type": "RollingUpdate", "rollingUpdate": ONE_BY_ONE if one_by_one else SURGING},
        "template": template,
    }
    child = named(DEPLOYMENT, slots.deployment_name(service, slot), {"spec": spec}, served)
    handed = ("replicas",) if yields else ()
    return Child(DEPLOYMENT, child.manifest, inputs=inputs(service, target, settings), yields=handed)


def spread(service: InferenceService, slot: Slot = "a") -> list[dict[str, Any]]:
    """Over nodes and zones as far as that goes: a server that can only run beside another one runs there."""
    return [
        {
            "maxSkew": 1,
            "topologyKey": key,
            "whenUnsatisfiable": "ScheduleAnyway",
            "labelSelector": {"matchLabels": selector(service, slot)},
            # Servers that are about to be replaced do not count.
            "matchLabelKeys": ["pod-template-hash"],
        }
        for key in ("kubernetes.io/hostname", "topology.kubernetes.io/zone")
    ]


def front(service: InferenceService, slot: Slot = "a") -> Child:
    """The Service, which leads to one slot's servers."""
    return _child(SERVICE, service, {"spec": {"ports": ports(), "selector": selector(service, slot)}})


def ports() -> list[dict[str, Any]]:
    """With the numbers that KServe's have."""
    return [
        {"name": "http", "port": HTTP_PORT, "targetPort": "http", "protocol": "TCP", "appProtocol": "http"},
        {
            "name": "grpc",
            "port": GRPC_PORT,
            "targetPort": "grpc",
            "protocol": "TCP",
            "appProtocol": "kubernetes.io/h2c",
        },
    ]


def service_account(service: InferenceService) -> Child:
    """Without a token and without rights: a name of its own, for policies and audit."""
    return _child(SERVICE_ACCOUNT, service, {"automountServiceAccountToken": False})


def disruption_budget(service: InferenceService, slot: Slot = "a") -> Child:
    """A drain takes one server at a time. Those that are not ready may always go."""
    spec = {
        "maxUnavailable": 1,
        "selector": {"matchLabels": selector(service, slot)},
        "unhealthyPodEvictionPolicy": "AlwaysAllow",
    }
    return _child(POD_DISRUPTION_BUDGET, service, {"spec": spec})


def network_policy(service: InferenceService, arrangement: Arrangement = PLAIN) -> Child:
    """Nothing but the server's ports is reachable. What goes out is left open: fetch needs DNS and the store, whose address only pods know."""
    reachable = [{"protocol": "TCP", "port": port} for port in server_ports.ports(service).values()]
    everybody = {
        "matchLabels": {names.UID_LABEL: service.uid},
        "matchExpressions": [{"key": ROLE_LABEL, "operator": "In", "values": sorted(ROLES.values())}],
    }
    spec = {
        "podSelector": everybody if arrangement.both else {"matchLabels": selector(service)},
        "policyTypes": ["Ingress"],
        "ingress": [{"ports": reachable}],
    }
    return _child(NETWORK_POLICY, service, {"spec": spec})


def _child(
    api: Api, service: InferenceService, content: Mapping[str, Any], annotations: Mapping[str, str] | None = None
) -> Child:
    return named(api, names.child(service), content, annotations)


def named(api: Api, name: str, content: Mapping[str, Any], annotations: Mapping[str, str] | None = None) -> Child:
    """A child of that name."""
    noted = {"annotations": dict(annotations)} if annotations else {}
    return Child(api, {"apiVersion": api.api_version, "kind": api.kind, "metadata": {"name": name, **noted}, **content})


OWNS = (
    CONFIG_MAP,
    DEPLOYMENT,
    HORIZONTAL_POD_AUTOSCALER,
    JOB,
    NETWORK_POLICY,
    POD_DISRUPTION_BUDGET,
    SERVICE,
    SERVICE_ACCOUNT,
)
