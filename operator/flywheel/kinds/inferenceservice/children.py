"""What an InferenceService becomes: a Deployment whose pods fetch one artifact and serve it, and what stands around it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from flywheel.core import names
from flywheel.core.api import (
    DEPLOYMENT,
    HORIZONTAL_POD_AUTOSCALER,
    NETWORK_POLICY,
    POD_DISRUPTION_BUDGET,
    SERVICE,
    SERVICE_ACCOUNT,
    Api,
)
from flywheel.core.kind import Resource
from flywheel.core.plan import Child
from flywheel.core.settings import Settings
from flywheel.kinds.inferenceservice import runtimes, scaling
from flywheel.kinds.inferenceservice.pod import server_pod
from flywheel.kinds.inferenceservice.runtimes import GRPC_PORT, HTTP_PORT
from flywheel.kinds.inferenceservice.schema import InferenceServiceSpec, InferenceServiceStatus

InferenceService = Resource[InferenceServiceSpec, InferenceServiceStatus]

VERSION_ANNOTATION = "flywheel.ml/version"
DIGEST_ANNOTATION = "flywheel.ml/digest"
ROLE_LABEL = "flywheel.ml/role"


@dataclass(frozen=True)
class Target:
    """What the servers should serve."""

    version: str
    digest: str


def everything(
    service: InferenceService, target: Target, settings: Settings, running: int = 0, *, autoscaled: bool = False
) -> tuple[Child, ...]:
    """All children, in the order in which they are applied. `running`: how many servers the Deployment is told to run now;
    `autoscaled`: an autoscaler is there, which decides that as long as it is."""
    around = (service_account(service), network_policy(service), front(service))
    budget = (disruption_budget(service),) if scaling.most(service) > 1 else ()
    servers = deployment(service, target, settings, running, autoscaled=autoscaled)
    return (*around, *budget, servers, *scaling.autoscalers(service))


def selector(service: InferenceService) -> dict[str, str]:
    """The labels by which the servers are found. A Deployment can never change its selector, so these stay as they are."""
    return {names.UID_LABEL: service.uid, ROLE_LABEL: "server"}


def inputs(service: InferenceService, target: Target, settings: Settings) -> Mapping[str, Any]:
    """All that the pod template depends on, but for images: a new operator brings a new serving image, and restarts nobody for it.

    What is not said in the spec is left out, so that a field that a later operator knows changes nothing for those who do not use it.
    """
    fields = {"resources", "env", "image_pull_secrets", "placement", "shared_memory"}
    return {
        "version": target.version,
        "digest": target.digest,
        "store": settings.store_secret,
        "spec": service.spec.model_dump(mode="json", by_alias=True, exclude_defaults=True, include=fields),
        **runtimes.chosen(service),
    }


def deployment(
    service: InferenceService, target: Target, settings: Settings, running: int = 0, *, autoscaled: bool = False
) -> Child:
    """A new pod answers before an old one goes."""
    served = {VERSION_ANNOTATION: target.version, DIGEST_ANNOTATION: target.digest}
    labels = {
        ROLE_LABEL: "server",
        # By these, dashboards and tools made for KServe find the pods.
        "serving.kserve.io/inferenceservice": names.within(service.name, names.LONGEST),
        "component": "predictor",
    }
    scraped = {
        "prometheus.io/scrape": "true",
        "prometheus.io/port": str(runtimes.metrics_port(service)),
        "prometheus.io/path": "/metrics",
    }
    template = {
        "metadata": {"labels": labels, "annotations": {**served, **scraped}},
        "spec": {
            **server_pod(service, target.version, target.digest, route_name(service), settings),
            "topologySpreadConstraints": spread(service),
        },
    }
    spec = {
        "replicas": scaling.wanted(service, running),
        "revisionHistoryLimit": 2,
        "selector": {"matchLabels": selector(service)},
        "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}},
        "template": template,
    }
    child = _child(DEPLOYMENT, service, {"spec": spec}, served)
    yields = ("replicas",) if scaling.is_automatic(service) or autoscaled else ()
    return Child(DEPLOYMENT, child.manifest, inputs=inputs(service, target, settings), yields=yields)


def spread(service: InferenceService) -> list[dict[str, Any]]:
    """Over nodes and zones as far as that goes: a server that can only run beside another one runs there."""
    return [
        {
            "maxSkew": 1,
            "topologyKey": key,
            "whenUnsatisfiable": "ScheduleAnyway",
            "labelSelector": {"matchLabels": selector(service)},
            # Servers that are about to be replaced do not count.
            "matchLabelKeys": ["pod-template-hash"],
        }
        for key in ("kubernetes.io/hostname", "topology.kubernetes.io/zone")
    ]


def route_name(service: InferenceService) -> str:
    """The ConfigMap that tells the servers to share their work with a challenger; every pod mounts it, present or not."""
    return names.child(service, "route")


def front(service: InferenceService) -> Child:
    """The Service; its ports have the numbers that KServe's have."""
    ports = [
        {"name": "http", "port": HTTP_PORT, "targetPort": "http", "protocol": "TCP", "appProtocol": "http"},
        {
            "name": "grpc",
            "port": GRPC_PORT,
            "targetPort": "grpc",
            "protocol": "TCP",
            "appProtocol": "kubernetes.io/h2c",
        },
    ]
    return _child(SERVICE, service, {"spec": {"ports": ports, "selector": selector(service)}})


def service_account(service: InferenceService) -> Child:
    """Without a token and without rights: a name of its own, for policies and audit."""
    return _child(SERVICE_ACCOUNT, service, {"automountServiceAccountToken": False})


def disruption_budget(service: InferenceService) -> Child:
    """A drain takes one server at a time. Those that are not ready may always go."""
    spec = {
        "maxUnavailable": 1,
        "selector": {"matchLabels": selector(service)},
        "unhealthyPodEvictionPolicy": "AlwaysAllow",
    }
    return _child(POD_DISRUPTION_BUDGET, service, {"spec": spec})


def network_policy(service: InferenceService) -> Child:
    """Nothing but the server's ports is reachable. What goes out is left open: fetch needs DNS and the store, whose address only pods know."""
    ports = [{"protocol": "TCP", "port": port} for port in runtimes.ports(service).values()]
    spec = {
        "podSelector": {"matchLabels": selector(service)},
        "policyTypes": ["Ingress"],
        "ingress": [{"ports": ports}],
    }
    return _child(NETWORK_POLICY, service, {"spec": spec})


def _child(
    api: Api, service: InferenceService, content: Mapping[str, Any], annotations: Mapping[str, str] | None = None
) -> Child:
    noted = {"annotations": dict(annotations)} if annotations else {}
    manifest = {"apiVersion": api.api_version, "kind": api.kind, "metadata": {"name": names.child(service), **noted}}
    return Child(api, {**manifest, **content})


OWNS = (DEPLOYMENT, HORIZONTAL_POD_AUTOSCALER, NETWORK_POLICY, POD_DISRUPTION_BUDGET, SERVICE, SERVICE_ACCOUNT)
