"""The ports on which a server's pod listens."""

from flywheel.kinds.inferenceservice.schema import InferenceService

HTTP_PORT, GRPC_PORT, TRITON_METRICS_PORT = 8080, 8081, 8082


def ports(service: InferenceService) -> dict[str, int]:
    """What the pod listens on, by the names to which the Service's ports lead."""
    runtime = service.spec.runtime
    if runtime and runtime.custom:
        grpc = {"grpc": runtime.custom.ports.grpc} if runtime.custom.ports.grpc else {}
        return {"http": runtime.custom.ports.http, **grpc}
    metrics = {"metrics": TRITON_METRICS_PORT} if runtime and runtime.triton else {}
    return {"http": HTTP_PORT, "grpc": GRPC_PORT, **metrics}


def metrics_port(service: InferenceService) -> int:
    """Where /metrics is."""
    found = ports(service)
    return found.get("metrics", found["http"])
