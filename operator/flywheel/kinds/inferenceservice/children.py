"""What an InferenceService becomes. All builders are pure."""

from typing import Any

from flywheel.core import names, workloads
from flywheel.core.api import DEPLOYMENT, NETWORK_POLICY, POD_DISRUPTION_BUDGET, SERVICE, SERVICE_ACCOUNT, Api
from flywheel.core.plan import Child
from flywheel.core.settings import Settings
from flywheel.core.workloads import Input
from flywheel.kinds.inferenceservice.observe import InferenceService, Version

HTTP, GRPC = 8080, 8081
GRACE_SECONDS = 30  # 5 s in which endpoints are withdrawn, 20 s for requests in flight, and some


def all_of(service: InferenceService, version: Version, settings: Settings) -> tuple[Child, ...]:
    """In the order in which they are written."""
    budget = (disruption_budget(service),) if service.spec.replicas > 1 else ()
    return (
        service_account(service),
        network_policy(service),
        address(service),
        deployment(service, version, settings),
        *budget,
    )


def selector(service: InferenceService) -> dict[str, str]:
    """The labels that single out this service's servers; they never change."""
    return {names.UID_LABEL: service.uid}


def selector_text(service: InferenceService) -> str:
    """As autoscalers read it."""
    return ",".join(f"{key}={value}" for key, value in selector(service).items())


def _child(api: Api, service: InferenceService, spec: dict[str, Any], **more: Any) -> Child:
    manifest = {
        "apiVersion": api.api_version,
        "kind": api.kind,
        "metadata": {"name": names.child(service)},
        "spec": spec,
    }
    return Child(api, manifest, **more)


def service_account(service: InferenceService) -> Child:
    """An identity without rights, so that a NetworkPolicy or a mesh can name it."""
    manifest = {
        "apiVersion": SERVICE_ACCOUNT.api_version,
        "kind": SERVICE_ACCOUNT.kind,
        "metadata": {"name": names.child(service)},
        "automountServiceAccountToken": False,
    }
    return Child(SERVICE_ACCOUNT, manifest)


def address(service: InferenceService) -> Child:
    """REST and gRPC on one name."""
    ports = [
        {"name": "http", "port": HTTP, "targetPort": "http", "protocol": "TCP", "appProtocol": "http"},
        {"name": "grpc", "port": GRPC, "targetPort": "grpc", "protocol": "TCP", "appProtocol": "kubernetes.io/h2c"},
    ]
    return _child(SERVICE, service, {"selector": selector(service), "ports": ports})


def disruption_budget(service: InferenceService) -> Child:
    """A drained node takes one server at a time; with a single server it must not block the drain, so there is none."""
    return _child(POD_DISRUPTION_BUDGET, service, {"maxUnavailable": 1, "selector": {"matchLabels": selector(service)}})


def network_policy(service: InferenceService) -> Child:
    """Only the two ports may be reached. What goes out is left free: the store's address is in a Secret that the operator cannot read."""
    ports = [{"port": HTTP, "protocol": "TCP"}, {"port": GRPC, "protocol": "TCP"}]
    spec = {
        "podSelector": {"matchLabels": selector(service)},
        "policyTypes": ["Ingress"],
        "ingress": [{"ports": ports}],
    }
    return _child(NETWORK_POLICY, service, spec)


def deployment(service: InferenceService, version: Version, settings: Settings) -> Child:
    """The servers. The image is no input: a new operator, which knows a new one, restarts nothing (decision 3)."""
    spec = service.spec
    template_inputs = {
        "version": version.name,
        "digest": version.digest,
        **spec.model_dump(
            mode="json", by_alias=True, include={"resources", "env", "image_pull_secrets", "placement", "shared_memory"}
        ),
    }
    body = {
        "replicas": 0 if spec.suspend else spec.replicas,
        "revisionHistoryLimit": 3,
        "progressDeadlineSeconds": 600,
        "selector": {"matchLabels": selector(service)},
        # The new one answers before an old one goes, whatever the number of servers.
        "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}},
        "template": {"metadata": {"labels": pod_labels(service)}, "spec": _pod(service, version, settings)},
    }
    return _child(DEPLOYMENT, service, body, inputs=template_inputs)


def pod_labels(service: InferenceService) -> dict[str, str]:
    """KServe's label besides ours, since dashboards know it."""
    return {"serving.kserve.io/inferenceservice": names.within(service.name, names.LONGEST)}


def _pod(service: InferenceService, version: Version, settings: Settings) -> dict[str, Any]:
    spec = service.spec
    inputs = (Input("model", artifact=version.digest),)
    limit = workloads.fetch_limit(spec.resources, settings)
    shared = spec.shared_memory
    return {
        "serviceAccountName": names.child(service),
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": GRACE_SECONDS,
        "securityContext": workloads.pod_security(),
        **workloads.placed(spec.placement),
        **workloads.pulls(spec.image_pull_secrets, settings),
        "initContainers": [workloads.fetch_container(inputs, settings, _told(service), limit)],
        "containers": [_server(service, version, settings)],
        "volumes": [
            {"name": "flywheel", "emptyDir": {}},
            {"name": "tmp", "emptyDir": {}},
            # Optional and mounted from the first day, so that a canary later restarts no champion.
            {"name": "route", "configMap": {"name": names.child(service, "route"), "optional": True}},
            *([{"name": "shared-memory", "emptyDir": {"medium": "Memory", "sizeLimit": shared}}] if shared else []),
        ],
    }


def _told(service: InferenceService) -> dict[str, str]:
    return {
        "FLYWHEEL_KIND": service.api.kind,
        "FLYWHEEL_NAME": service.name,
        "FLYWHEEL_NAMESPACE": service.namespace,
        "FLYWHEEL_UID": service.uid,
    }


def _server(service: InferenceService, version: Version, settings: Settings) -> dict[str, Any]:
    spec = service.spec
    resources = workloads.needs(spec.resources)
    shared = [{"name": "shared-memory", "mountPath": "/dev/shm"}] if spec.shared_memory else []
    command = ["python3", "-m", "flywheel_serving", "--model", "/flywheel/inputs/model"]
    return {
        "name": "server",
        "image": settings.serving_image,
        "imagePullPolicy": "IfNotPresent",
        "command": [
            *command,
            "--name",
            service.name,
            "--version",
            version.name,
            "--http",
            f"0.0.0.0:{HTTP}",
            "--grpc",
            f"0.0.0.0:{GRPC}",
        ],
        "env": [*workloads.constants(_told(service)), *workloads.environment(spec.env)],
        **({"resources": resources} if resources else {}),
        "ports": [
            {"name": "http", "containerPort": HTTP, "protocol": "TCP"},
            {"name": "grpc", "containerPort": GRPC, "protocol": "TCP"},
        ],
        "securityContext": workloads.container_security(),
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "startupProbe": {
            "httpGet": {"path": "/v2/health/ready", "port": "http"},
            "periodSeconds": 1,
            "failureThreshold": 600,
        },
        "readinessProbe": {
            "httpGet": {"path": "/v2/health/ready", "port": "http"},
            "periodSeconds": 2,
            "failureThreshold": 2,
        },
        "livenessProbe": {
            "httpGet": {"path": "/v2/health/live", "port": "http"},
            "periodSeconds": 10,
            "timeoutSeconds": 5,
            "failureThreshold": 6,
        },
        "volumeMounts": [
            {"name": "flywheel", "mountPath": workloads.ROOT, "readOnly": True},
            {"name": "tmp", "mountPath": "/tmp"},
            {"name": "route", "mountPath": "/etc/flywheel/route", "readOnly": True},
            *shared,
        ],
    }
