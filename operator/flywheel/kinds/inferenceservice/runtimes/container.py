"""Other serving runtimes in the pod of our server, with the same fetch, the same ports of the Service and the same readiness.

| | flywheel | triton | custom |
|---|---|---|---|
| the artifact | /flywheel/inputs/model | /flywheel/repository, laid out by an init container | /flywheel/inputs/model |
| ready | after a warm-up request | strict readiness, after its own warm-up | as its endpoint reports |
| stops | drains by itself | a pause before SIGTERM, while endpoints are removed | as triton |
"""

from collections.abc import Mapping
from typing import Any

from flywheel.core.pods.fetch import ROOT
from flywheel.core.pods.pod_spec import container_security_context, literal_env, module_command, user_env
from flywheel.core.settings import Settings
from flywheel.kinds.inferenceservice.schema import InferenceService
from flywheel.kinds.inferenceservice.schema.runtimes import CustomRuntime, Runtime, TritonRuntime

HTTP_PORT, GRPC_PORT, TRITON_METRICS_PORT, HEALTH_PORT = 8080, 8081, 8082, 8083
# Of our own server. Probes have a port of their own, which no flood of the others starves; the NetworkPolicy admits no client to it.
SERVER_PORTS = {"http": HTTP_PORT, "grpc": GRPC_PORT, "health": HEALTH_PORT}
DRAIN_SECONDS, FINISH_SECONDS = 5, 20
REPOSITORY = f"{ROOT}/repository"


def is_ours(runtime: Runtime | None) -> bool:
    """Whether our own server serves the model."""
    return runtime is None or runtime.flywheel is not None


def container_ports(service: InferenceService) -> dict[str, int]:
    """The ports on which the server listens, by the names that the Service's target ports use."""
    runtime = service.spec.runtime
    if runtime and runtime.custom:
        grpc = {"grpc": runtime.custom.ports.grpc} if runtime.custom.ports.grpc else {}
        return {"http": runtime.custom.ports.http, **grpc}
    metrics = {"metrics": TRITON_METRICS_PORT} if runtime and runtime.triton else {}
    return {"http": HTTP_PORT, "grpc": GRPC_PORT, **metrics}


def runtime_inputs(service: InferenceService) -> dict[str, Any]:
    """The inputs of the pod template; nothing for our own server, named or not, so that naming it restarts no server."""
    runtime = service.spec.runtime
    if runtime is None or is_ours(runtime):
        return {}
    return {"runtime": runtime.model_dump(mode="json", by_alias=True, exclude_defaults=True)}


def init_containers(service: InferenceService, fetch: Mapping[str, Any], settings: Settings) -> list[dict[str, Any]]:
    """Init containers between `fetch` and the server: one lays out Triton's model repository."""
    runtime = service.spec.runtime
    if runtime is None or runtime.triton is None:
        return []
    shared = {
        key: fetch[key] for key in ("imagePullPolicy", "securityContext", "resources", "terminationMessagePolicy")
    }
    return [
        {
            **shared,
            "name": "repository",
            "image": settings.runtime_image,
            "command": [*module_command("flywheel_runtime"), "triton"],
            "env": literal_env({"FLYWHEEL_MODEL_NAME": service.name}),
            "volumeMounts": [{"name": "flywheel", "mountPath": ROOT}, {"name": "tmp", "mountPath": "/tmp"}],
        }
    ]


def runtime_container(ours: dict[str, Any], service: InferenceService, version: str) -> dict[str, Any]:
    """The container of our server, or of the runtime that replaces it."""
    runtime = service.spec.runtime
    if runtime is not None and runtime.triton is not None:
        return {**_other_runtime(ours, service, version, runtime.triton.image), **_triton(runtime.triton)}
    if runtime is not None and runtime.custom is not None:
        return {**_other_runtime(ours, service, version, runtime.custom.image), **_custom(runtime.custom)}
    return ours


def _other_runtime(ours: dict[str, Any], service: InferenceService, version: str, image: str) -> dict[str, Any]:
    variables = {
        "FLYWHEEL_MODEL_DIR": f"{ROOT}/inputs/model",
        "FLYWHEEL_MODEL_NAME": service.name,
        "FLYWHEEL_MODEL_VERSION": version,
    }
    live = {"httpGet": {"path": "/v2/health/live", "port": "http"}}
    ready = {**ours["readinessProbe"], "httpGet": {"path": f"/v2/models/{service.name}/ready", "port": "http"}}
    return {
        **{key: value for key, value in ours.items() if key not in ("command", "args")},
        "image": image,
        "env": [*literal_env(variables), *user_env(service.spec.env)],
        "ports": [
            {"name": name, "containerPort": port, "protocol": "TCP"} for name, port in container_ports(service).items()
        ],
        "securityContext": container_security_context(read_only=False),
        "startupProbe": {**ours["startupProbe"], **live},
        "readinessProbe": ready,
        "livenessProbe": {**ours["livenessProbe"], **live},
        # Not every server handles requests after SIGTERM, and the nodes' proxies need a moment to stop sending them here.
        "lifecycle": {"preStop": {"sleep": {"seconds": DRAIN_SECONDS}}},
    }


def _triton(runtime: TritonRuntime) -> dict[str, Any]:
    flags = {
        "model-repository": REPOSITORY,
        "strict-readiness": "true",
        "exit-on-error": "true",
        "http-port": HTTP_PORT,
        "grpc-port": GRPC_PORT,
        "metrics-port": TRITON_METRICS_PORT,
        "exit-timeout-secs": FINISH_SECONDS,
    }
    return {
        "command": ["tritonserver"],
        "args": [*(f"--{name}={value}" for name, value in flags.items()), *runtime.args],
    }


def _custom(runtime: CustomRuntime) -> dict[str, Any]:
    return {
        **({"command": list(runtime.command)} if runtime.command else {}),
        **({"args": list(runtime.args)} if runtime.args else {}),
    }
