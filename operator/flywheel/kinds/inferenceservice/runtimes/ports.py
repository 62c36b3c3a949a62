"""The ports on which a server's pod listens."""

from flywheel.kinds.inferenceservice.schema import InferenceService

HTTP_PORT, GRPC_PORT, TRITON_METRICS_PORT = 8080, 8081, 8082


def container_ports(service: InferenceService) -> dict[str, int]:
    """The ports on which the server listens, by the names that the Service's target ports use."""
    runtime = service.spec.runtime
    if runtime and runtime.custom:
        grpc = {"grpc": runtime.custom.ports.grpc} if runtime.custom.ports.grpc else {}
        return {"http": runtime.custom.ports.http, **grpc}
    metrics = {"metrics": TRITON_METRICS_PORT} if runtime and runtime.triton else {}
    return {"http": HTTP_PORT, "grpc": GRPC_PORT, **metrics}


def metrics_port(service: InferenceService) -> int:
    """The port of /metrics."""
    found = container_ports(service)
    return found.get("metrics", found["http"])
