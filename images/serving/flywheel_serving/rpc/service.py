"""GRPCInferenceService and grpc.health.v1.Health on grpc.aio, answered from the dataplane."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TYPE_CHECKING, Any, NoReturn

import grpc
import grpc.aio

from flywheel_serving.admission import HELD_SECONDS
from flywheel_serving.dataplane import DataPlane, InferRequest
from flywheel_serving.errors import (
    InvalidRequest,
    Late,
    ModelFailed,
    NotFound,
    Overloaded,
    RequestError,
    TooLarge,
    TooMany,
    Unsupported,
)
from flywheel_serving.protocol import health_pb2 as health
from flywheel_serving.protocol import open_inference_pb2 as pb
from flywheel_serving.rpc import codec
from flywheel_serving.settings import Address, Limits

if TYPE_CHECKING:
    from flywheel_serving.auth.gate import Gate

INFERENCE = "inference.GRPCInferenceService"
HEALTH = "grpc.health.v1.Health"
WATCH_SECONDS = 0.5
CODES = {
    InvalidRequest: grpc.StatusCode.INVALID_ARGUMENT,
    NotFound: grpc.StatusCode.NOT_FOUND,
    TooLarge: grpc.StatusCode.RESOURCE_EXHAUSTED,
    Unsupported: grpc.StatusCode.UNIMPLEMENTED,
    TooMany: grpc.StatusCode.UNAVAILABLE,  # as gRPC maps 429; RESOURCE_EXHAUSTED would keep clients from trying again
    Overloaded: grpc.StatusCode.UNAVAILABLE,
    ModelFailed: grpc.StatusCode.INTERNAL,
    Late: grpc.StatusCode.DEADLINE_EXCEEDED,
}

Context = Any  # grpc.aio.ServicerContext; grpcio ships no types
Method = Callable[[Any, Any], Awaitable[Any]]  # a message and its Context


class RpcServer:
    """Both services on one port."""

    def __init__(self, dataplane: DataPlane, limits: Limits, gate: "Gate | None" = None) -> None:
        self._dataplane = dataplane
        self._stopping = asyncio.Event()
        self._server = grpc.aio.server(
            options=[
                ("grpc.max_receive_message_length", limits.body_bytes),
                ("grpc.max_send_message_length", -1),
                ("grpc.so_reuseport", 0),
                # Else gRPC's core cancels calls at random once a thousand wait to be taken up, and no client tries those again.
                ("grpc.server.max_pending_requests", limits.connections),
                ("grpc.server.max_pending_requests_hard_limit", limits.connections),
            ],
            maximum_concurrent_rpcs=limits.connections,
            interceptors=_guards(gate, dataplane),
        )
        self._server.add_generic_rpc_handlers((self._inference(), self._health()))

    async def start(self, address: Address) -> int:
        """Listens on `address` and returns its port. Raises RuntimeError if it is taken."""
        host, port = address
        bound: int = self._server.add_insecure_port(f"[{host}]:{port}" if ":" in host else f"{host}:{port}")
        await self._server.start()
        return bound

    async def stop(self, seconds: float) -> None:
        """Takes no new call, lets those in flight end for `seconds`, then cancels what is left."""
        self._stopping.set()
        await self._server.stop(seconds)

    def _inference(self) -> Any:
        plane = self._dataplane

        async def server_live(_request: Any, _context: Context) -> Any:
            return pb.ServerLiveResponse(live=True)

        async def server_ready(_request: Any, _context: Context) -> Any:
            return pb.ServerReadyResponse(ready=plane.ready)

        async def model_ready(request: Any, _context: Context) -> Any:
            plane.check_model(request.name, request.version)
            return pb.ModelReadyResponse(ready=plane.ready)

        async def server_metadata(_request: Any, _context: Context) -> Any:
            return pb.ServerMetadataResponse(**plane.server_metadata())

        async def model_metadata(request: Any, _context: Context) -> Any:
            plane.check_model(request.name, request.version)
            return pb.ModelMetadataResponse(**plane.model_metadata())

        async def model_infer(request: Any, context: Context) -> Any:
            plane.check_model(request.model_name, request.model_version)
            plane.admit()
            decoded, raw = codec.decode(request)
            _for_the_clock(decoded, context)
            if plane.router.active is not None:
                _for_the_route(decoded, request, context)
            return codec.encode(await plane.infer(decoded), raw, plane.name)

        async def model_statistics(request: Any, _context: Context) -> Any:
            if request.name:
                plane.check_model(request.name, request.version)
            return pb.ModelStatisticsResponse(**plane.statistics())

        methods = {
            "ServerLive": self._unary("ServerLive", server_live, pb.ServerLiveRequest),
            "ServerReady": self._unary("ServerReady", server_ready, pb.ServerReadyRequest),
            "ModelReady": self._unary("ModelReady", model_ready, pb.ModelReadyRequest),
            "ServerMetadata": self._unary("ServerMetadata", server_metadata, pb.ServerMetadataRequest),
            "ModelMetadata": self._unary("ModelMetadata", model_metadata, pb.ModelMetadataRequest),
            "ModelInfer": self._unary("ModelInfer", model_infer, pb.ModelInferRequest),
            "ModelStatistics": self._unary("ModelStatistics", model_statistics, pb.ModelStatisticsRequest),
        }
        return grpc.method_handlers_generic_handler(INFERENCE, methods)

    def _unary(self, name: str, method: Method, request_type: Any, service: str = INFERENCE) -> Any:
        metrics = self._dataplane.metrics

        async def call(request: Any, context: Context) -> Any:
            metrics.rpc_started("UNARY", service, name)
            code = grpc.StatusCode.UNKNOWN
            try:
                response = await method(request, context)
            except RequestError as refusal:
                code = CODES[type(refusal)]
                if isinstance(refusal, TooMany):
                    await asyncio.sleep(HELD_SECONDS)
                await _refuse(context, code, str(refusal))
            except asyncio.CancelledError:
                code = grpc.StatusCode.CANCELLED
                raise
            else:
                code = grpc.StatusCode.OK
                return response
            finally:
                metrics.rpc_handled("UNARY", service, name, code.name)

        return grpc.unary_unary_rpc_method_handler(
            call, request_deserializer=request_type.FromString, response_serializer=_serialize
        )

    def _health(self) -> Any:
        async def check(request: Any, _context: Context) -> Any:
            if request.service not in ("", INFERENCE, HEALTH):
                raise NotFound(f"service {request.service[:200]!r} is not served here; ask for {INFERENCE!r} or ''")
            return self._health_status()

        async def watch(request: Any, _context: Context) -> AsyncIterator[Any]:
            known = request.service in ("", INFERENCE, HEALTH)
            last = None
            while not self._stopping.is_set():
                answer = self._health_status() if known else health.HealthCheckResponse(status="SERVICE_UNKNOWN")
                if answer != last:
                    yield answer
                last = answer
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._stopping.wait(), WATCH_SECONDS)

        handlers = {
            "Check": self._unary("Check", check, health.HealthCheckRequest, HEALTH),
            "Watch": grpc.unary_stream_rpc_method_handler(
                watch, request_deserializer=health.HealthCheckRequest.FromString, response_serializer=_serialize
            ),
        }
        return grpc.method_handlers_generic_handler(HEALTH, handlers)

    def _health_status(self) -> Any:
        return health.HealthCheckResponse(status="SERVING" if self._dataplane.ready else "NOT_SERVING")


def _for_the_clock(decoded: InferRequest, context: Context) -> None:
    """How long the client waits."""
    left = context.time_remaining()
    if left is not None:
        decoded.timeout = min(max(left, 1e-6), decoded.timeout or left)


def _for_the_route(decoded: InferRequest, request: Any, context: Context) -> None:
    """What it decides by."""
    decoded.headers = {
        name.encode(): value.encode() if isinstance(value, str) else value
        for name, value in context.invocation_metadata() or ()
    }
    decoded.pinned = bool(request.model_version)


def _guards(gate: "Gate | None", dataplane: DataPlane) -> list[Any]:
    if gate is None:
        return []
    from flywheel_serving.auth.rpc import RpcGuard

    return [RpcGuard(gate, dataplane.metrics)]


async def _refuse(context: Context, code: grpc.StatusCode, message: str) -> NoReturn:
    await context.abort(code, message)
    raise AssertionError("abort raises")


def _serialize(message: Any) -> bytes:
    data: bytes = message.SerializeToString()
    return data
