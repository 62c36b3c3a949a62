"""The pod of one server: `fetch` brings the artifact by its digest, then the server answers from it."""

from typing import Any

from flywheel.core.pods.fetch import ROOT, Input, fetch_container, fetch_limit
from flywheel.core.pods.pod_spec import container_security, environment, needs, placed, pod_security, pulls
from flywheel.core.resource import names
from flywheel.core.settings import Settings
from flywheel.kinds.inferenceservice.auth import authentication
from flywheel.kinds.inferenceservice.logging import prediction_logging
from flywheel.kinds.inferenceservice.runtimes import container
from flywheel.kinds.inferenceservice.runtimes.container import DRAIN_SECONDS, FINISH_SECONDS
from flywheel.kinds.inferenceservice.runtimes.ports import GRPC_PORT, HTTP_PORT
from flywheel.kinds.inferenceservice.schema import InferenceService, InferenceServiceSpec
from flywheel.kinds.inferenceservice.schema.spec import Batching

GRACE_SECONDS = DRAIN_SECONDS + FINISH_SECONDS + 5
# Not below /flywheel: that volume is read-only here, and nothing can be mounted into it.
ROUTE_FOLDER = "/etc/flywheel/route"


def server_pod(
    service: InferenceService,
    version: str,
    digest: str,
    route: str,
    settings: Settings,
) -> dict[str, Any]:
    """The pod's spec."""
    spec = service.spec
    variables = {
        "FLYWHEEL_KIND": service.api.kind,
        "FLYWHEEL_NAME": service.name,
        "FLYWHEEL_NAMESPACE": service.namespace,
        "FLYWHEEL_UID": service.uid,
        "FLYWHEEL_STEP": "serve",
        "FLYWHEEL_STORE_SECRET": settings.store_secret,
    }
    limit = fetch_limit(spec.resources, settings)
    fetch = fetch_container((Input("model", artifact=digest),), settings, variables, limit)
    return {
        "serviceAccountName": authentication.account(spec.auth, names.child(service)),
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": GRACE_SECONDS + prediction_logging.grace(spec.logging),
        "securityContext": pod_security(),
        **placed(spec.placement),
        **pulls(spec.image_pull_secrets, settings),
        "initContainers": [fetch, *container.preparations(service, fetch, settings)],
        "containers": [container.adapted(_server(service, version, digest, settings), service, version)],
        "volumes": [
            {"name": "flywheel", "emptyDir": {}},
            {"name": "tmp", "emptyDir": {}},
            # Optional, and there from the first pod on: a canary that comes later restarts nobody.
            {"name": "route", "configMap": {"name": route, "optional": True}},
            *authentication.volumes(spec.auth),
            *_shared_memory(spec),
            *prediction_logging.volumes(spec.logging, settings),
        ],
    }


def _server(service: InferenceService, version: str, digest: str, settings: Settings) -> dict[str, Any]:
    spec = service.spec
    ports = (("http", HTTP_PORT), ("grpc", GRPC_PORT))
    flags = {
        "--model": f"{ROOT}/inputs/model",
        "--name": service.name,
        "--version": version,
        **{f"--{name}": f"0.0.0.0:{port}" for name, port in ports},
        "--drain-seconds": str(DRAIN_SECONDS),
        "--grace-seconds": str(FINISH_SECONDS),
        **_batching(spec.batching),
        **authentication.flags(spec.auth, service.namespace, service.name, host(service)),
        **prediction_logging.flags(spec.logging, service.name, service.namespace, digest),
    }
    env = [*prediction_logging.variables(spec.logging), *environment(spec.env)]
    return {
        "name": "server",
        "image": settings.serving_image,
        "imagePullPolicy": "IfNotPresent",
        "command": ["python3", "-m", "flywheel_serving"],
        "args": [word for flag in flags.items() for word in flag],
        **({"env": env} if env else {}),
        "ports": [{"name": name, "containerPort": port, "protocol": "TCP"} for name, port in ports],
        **({"resources": needs(spec.resources)} if needs(spec.resources) else {}),
        "securityContext": container_security(),
        "terminationMessagePolicy": "FallbackToLogsOnError",
        # A big model may load for ten minutes; a small one is found ready within a second.
        "startupProbe": _probe("live", period=1, timeout=1, failures=600),
        "readinessProbe": _probe("ready", period=1, timeout=3, failures=3),
        "livenessProbe": _probe("live", period=10, timeout=5, failures=3),
        "volumeMounts": [
            {"name": "flywheel", "mountPath": ROOT, "readOnly": True},
            {"name": "route", "mountPath": ROUTE_FOLDER, "readOnly": True},
            {"name": "tmp", "mountPath": "/tmp"},
            *authentication.mounts(spec.auth),
            *([{"name": "shared-memory", "mountPath": "/dev/shm"}] if spec.shared_memory else []),
            *prediction_logging.mounts(spec.logging),
        ],
    }


def _batching(batching: Batching | None) -> dict[str, str]:
    if batching is None:
        return {}
    latency = {"--max-batch-wait-seconds": f"{batching.max_latency.seconds:g}"} if batching.max_latency else {}
    return {"--max-batch-rows": str(batching.max_batch_size), **latency}


def host(service: InferenceService) -> str:
    """The Service's DNS name."""
    return f"{names.child(service)}.{service.namespace}.svc"


def _probe(question: str, *, period: int, timeout: int, failures: int) -> dict[str, Any]:
    return {
        "httpGet": {"path": f"/v2/health/{question}", "port": "http"},
        "periodSeconds": period,
        "timeoutSeconds": timeout,
        "failureThreshold": failures,
    }


def _shared_memory(spec: InferenceServiceSpec) -> list[dict[str, Any]]:
    if spec.shared_memory is None:
        return []
    return [{"name": "shared-memory", "emptyDir": {"medium": "Memory", "sizeLimit": spec.shared_memory}}]
