"""The pod of one server: `fetch` downloads the artifact by its digest, then the server loads it."""

from itertools import chain
from typing import Any

from flywheel.core.pods.bounds import bound_server_resources, bound_volume, inputs_volume
from flywheel.core.pods.fetch import ROOT, SERVED_FILES, Input, fetch_container, fetch_limit
from flywheel.core.pods.pod_spec import (
    pod_security_context,
    pull_secret_fields,
    resource_fields,
    scheduling_fields,
    serving_container,
    step_env,
    user_env,
)
from flywheel.core.pods.store_secret import store_volume
from flywheel.core.resource import names
from flywheel.core.resource.model_reference import ResolvedVersion
from flywheel.core.resource.values import parse_quantity
from flywheel.core.settings import Settings
from flywheel.kinds.inferenceservice import explanations
from flywheel.kinds.inferenceservice.auth import authentication
from flywheel.kinds.inferenceservice.auth.authentication import SERVER_ACCOUNT, reviews_tokens
from flywheel.kinds.inferenceservice.environment import allowed_variables
from flywheel.kinds.inferenceservice.logging import prediction_logging
from flywheel.kinds.inferenceservice.runtimes import container
from flywheel.kinds.inferenceservice.schema import InferenceService
from flywheel.kinds.inferenceservice.schema.spec import Batching

GRACE_SECONDS = container.DRAIN_SECONDS + container.FINISH_SECONDS + 5
MAX_RUN_SECONDS = 12 * 3600
# Not below /flywheel: that volume is read-only here, and nothing can be mounted into it.
ROUTE_FOLDER = "/etc/flywheel/route"


def server_pod(service: InferenceService, target: ResolvedVersion, route: str, settings: Settings) -> dict[str, Any]:
    """The pod's spec; `route` is the ConfigMap that tells its server which requests to forward."""
    spec = service.spec
    variables = step_env(service, "serve", settings)
    limit, memory = fetch_limit(spec.resources, settings), {"medium": "Memory", "sizeLimit": spec.shared_memory}
    files = SERVED_FILES if container.is_ours(spec.runtime) else ()
    files = tuple(sorted((*files, *explanations.FILES))) if spec.explain else files
    fetch = fetch_container((Input("model", artifact=target.digest, files=files),), settings, variables, limit)
    return {
        # The service's own account has no rights.
        "serviceAccountName": SERVER_ACCOUNT if reviews_tokens(spec.auth) else names.child(service),
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": GRACE_SECONDS + prediction_logging.extra_grace_seconds(spec.logging),
        "securityContext": pod_security_context(),
        **scheduling_fields(spec.placement),
        **pull_secret_fields(spec.image_pull_secrets, settings),
        "initContainers": [fetch, *container.init_containers(service, fetch, settings)],
        "containers": [
            container.runtime_container(_server(service, target, settings), service, target.version),
            *prediction_logging.sinks(_log(service, target), settings),
            *explanations.containers(spec.explain, settings),
        ],
        "volumes": [
            {"name": "flywheel", **inputs_volume(spec.resources, settings, restores_checkpoint=False)},
            {"name": "tmp", **bound_volume(spec.resources, settings.tmp_limit)},
            store_volume(settings),
            # Optional, and mounted from the first pod on, so that a later rollout restarts no server.
            {"name": "route", "configMap": {"name": route, "optional": True}},
            *authentication.volumes(spec.auth),
            *([{"name": "shared-memory", "emptyDir": memory}] if spec.shared_memory else []),
            *prediction_logging.volumes(spec.logging),
            *explanations.volumes(spec.explain),
        ],
    }


def service_host(service: InferenceService) -> str:
    """The Service's DNS name."""
    return f"{names.child(service)}.{service.namespace}.svc"


def _server(service: InferenceService, target: ResolvedVersion, settings: Settings) -> dict[str, Any]:
    spec = service.spec
    env = [*prediction_logging.variables(spec.logging), *user_env(allowed_variables(service, settings))]
    # What another runtime needs, only its author knows.
    resources = bound_server_resources(spec.resources, settings) if container.is_ours(spec.runtime) else spec.resources
    return {
        **serving_container("server", "flywheel_serving", [*chain(*_flags(service, target).items())], settings),
        **({"env": env} if env else {}),
        "ports": [
            {"name": name, "containerPort": port, "protocol": "TCP"} for name, port in container.SERVER_PORTS.items()
        ],
        **resource_fields(resources),
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
            *explanations.mounts(spec.explain),
        ],
    }


def _flags(service: InferenceService, target: ResolvedVersion) -> dict[str, str]:
    spec = service.spec
    return {
        "--model": f"{ROOT}/inputs/model",
        "--name": service.name,
        "--version": target.version,
        "--http": f"0.0.0.0:{container.HTTP_PORT}",
        "--grpc": f"0.0.0.0:{container.GRPC_PORT}",
        "--health": f"0.0.0.0:{container.HEALTH_PORT}",
        "--drain-seconds": str(container.DRAIN_SECONDS),
        "--grace-seconds": str(container.FINISH_SECONDS),
        **(
            {"--max-run-seconds": str(min(spec.request_timeout.seconds, MAX_RUN_SECONDS))}
            if spec.request_timeout
            else {}
        ),
        **({"--max-body-bytes": str(int(parse_quantity(spec.max_body_size)))} if spec.max_body_size else {}),
        **_batching_flags(spec.batching),
        **authentication.flags(spec.auth, service.namespace, service.name, service_host(service)),
        **prediction_logging.flags(_log(service, target)),
        **explanations.flags(spec.explain),
    }


def _log(service: InferenceService, target: ResolvedVersion) -> prediction_logging.Log | None:
    spec = service.spec
    if spec.logging is None:
        return None
    explained = spec.explain is not None and spec.explain.sample is not None
    return prediction_logging.Log(spec.logging, service.name, service.namespace, target.digest, explained)


def _batching_flags(batching: Batching | None) -> dict[str, str]:
    if batching is None:
        return {}
    latency = {"--max-batch-wait-seconds": f"{batching.max_latency.seconds:g}"} if batching.max_latency else {}
    return {"--max-batch-rows": str(batching.max_batch_size), **latency}


def _probe(endpoint: str, *, period: int, timeout: int, failures: int) -> dict[str, Any]:
    return {
        "httpGet": {"path": f"/v2/health/{endpoint}", "port": "health"},
        "periodSeconds": period,
        "timeoutSeconds": timeout,
        "failureThreshold": failures,
    }
