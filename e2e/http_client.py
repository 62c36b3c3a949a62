"""Asks a server everything it answers, over REST and gRPC, with a token or without."""

import http.client
from pathlib import Path

import grpc

from flywheel_serving.auth import open_endpoints
from flywheel_serving.infer.dataplane import DataPlane
from flywheel_serving.metrics.server_metrics import ServerMetrics
from flywheel_serving.protocol import health_pb2, open_inference_pb2
from flywheel_serving.rest.endpoints import Endpoints
from flywheel_serving.settings import parse

UNKNOWN = [("GET", "/v2/models/another"), ("GET", "/nowhere"), ("PUT", "/v2"), ("OPTIONS", "/v2")]


def guarded_rest_routes(model: Path, name: str, version: str = "1") -> list[tuple[str, str]]:
    """(method, path) of what is not for everybody, from the server's own table, and some that do not exist."""
    settings = parse(["--model", str(model), "--name", name, "--version", version])
    plane = DataPlane(settings.model, ServerMetrics(name, version))
    try:
        found = [
            (method, path)
            for method, path, pattern in Endpoints(plane).paths
            if pattern not in open_endpoints.OPEN_PATHS
        ]
    finally:
        plane.close()
    return [*found, *UNKNOWN]


def is_label_path(path: str) -> bool:
    """Whether callers need the verb `label` there, which those that may predict do not have."""
    return path.endswith("/feedback")


def guarded_grpc_methods() -> list[str]:
    """The same for gRPC, from the protocol's own descriptors: every method that could be served."""
    services = [
        service
        for module in (open_inference_pb2, health_pb2)
        for service in module.DESCRIPTOR.services_by_name.values()
    ]
    known = [f"/{service.full_name}/{method.name}" for service in services for method in service.methods]
    return [*(each for each in known if each not in open_endpoints.OPEN_METHODS), "/made.Up/Method"]


def request_rest(
    address: str, method: str, path: str, *tokens: str, body: bytes = b"{}", scheme: str = "Bearer "
) -> tuple[int, str, dict[str, str]]:
    """(status, body, headers)."""
    connection = http.client.HTTPConnection(address, timeout=30)
    try:
        connection.putrequest(method, path)
        connection.putheader("content-length", str(len(body)))
        for token in tokens:
            connection.putheader("authorization", f"{scheme}{token}")
        connection.endheaders(body)
        response = connection.getresponse()
        return response.status, response.read().decode(), {key.lower(): value for key, value in response.getheaders()}
    finally:
        connection.close()


def request_grpc(address: str, method: str, *tokens: str, request: bytes = b"") -> tuple[grpc.StatusCode, str]:
    """(code, details)."""
    with grpc.insecure_channel(address) as channel:
        metadata = [("authorization", f"Bearer {token}") for token in tokens]
        try:
            channel.unary_unary(method)(request, timeout=30, metadata=metadata)
        except grpc.RpcError as error:
            return error.code(), error.details() or ""
        return grpc.StatusCode.OK, ""
