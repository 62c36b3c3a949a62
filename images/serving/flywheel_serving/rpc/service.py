"""GRPCInferenceService and grpc.health.v1.Health on grpc.aio."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import grpc
import grpc.aio
from google.protobuf.message import DecodeError

from flywheel_serving import errors
from flywheel_serving.auth.authenticator import Authenticator
from flywheel_serving.flag_types import Address
from flywheel_serving.infer.admission import REFUSAL_DELAY_SECONDS
from flywheel_serving.infer.dataplane import DataPlane
from flywheel_serving.infer.requests import InferRequest
from flywheel_serving.peers import peer_of_rpc
from flywheel_serving.protocol import health_pb2 as health
from flywheel_serving.protocol import open_inference_pb2 as pb
from flywheel_serving.rpc import codec
from flywheel_serving.rpc.rpc_guard import RpcGuard

INFERENCE_SERVICE = "inference.GRPCInferenceService"
HEALTH_SERVICE = "grpc.health.v1.Health"
WATCH_INTERVAL_SECONDS = 0.5
WATCH_PART = 8  # of all calls, one in so many may be a watch, which ends when its client wants
HANDSHAKE_SECONDS, IDLE_SECONDS = 10, 300
CODES = {
    errors.InvalidRequest: grpc.StatusCode.INVALID_ARGUMENT,
    errors.NotFound: grpc.StatusCode.NOT_FOUND,
    errors.RequestTooLarge: grpc.StatusCode.RESOURCE_EXHAUSTED,
    errors.UnsupportedEncoding: grpc.StatusCode.UNIMPLEMENTED,
    errors.TooManyRequests: grpc.StatusCode.UNAVAILABLE,  # as gRPC maps 429; with RESOURCE_EXHAUSTED clients would not retry
    errors.Overloaded: grpc.StatusCode.UNAVAILABLE,
    errors.ModelFailed: grpc.StatusCode.INTERNAL,
    errors.ModelCrashed: grpc.StatusCode.INTERNAL,
    errors.DeadlineExceeded: grpc.StatusCode.DEADLINE_EXCEEDED,
    errors.TimeLimitExceeded: grpc.StatusCode.DEADLINE_EXCEEDED,
}

Context = Any  # grpc.aio.ServicerContext; grpcio ships no types
Method = Callable[[Any, Any], Awaitable[Any]]  # a message and its Context


class RpcServer:
    """Both services on one port."""

    def __init__(
        self,
        dataplane: DataPlane,
        max_body_bytes: int,
        max_connections: int,
        authenticator: Authenticator | None = None,
    ) -> None:
        self._dataplane = dataplane
        self._stopping = asyncio.Event()
        self._watches, self._max_watches = 0, max(1, max_connections // WATCH_PART)
        self._server = grpc.aio.server(
            options=[
                ("grpc.max_receive_message_length", max_body_bytes),
                ("grpc.max_send_message_length", -1),
                ("grpc.so_reuseport", 0),
                # By default gRPC's core cancels calls at random once a thousand wait, and clients do not retry those.
                ("grpc.server.max_pending_requests", max_connections),
                ("grpc.server.max_pending_requests_hard_limit", max_connections),
                ("grpc.max_allowed_incoming_connections", max_connections),
                ("grpc.server_handshake_timeout_ms", 1_000 * HANDSHAKE_SECONDS),
                ("grpc.max_connection_idle_ms", 1_000 * IDLE_SECONDS),  # its client connects again when it needs to
            ],
            maximum_concurrent_rpcs=max_connections,
            interceptors=[] if authenticator is None else [RpcGuard(authenticator, dataplane.metrics)],
        )
        self._server.add_generic_rpc_handlers((self._inference(), self._health()))

    async def start(self, address: Address) -> int:
        """Listens on `address` and returns its port. Raises RuntimeError if it is taken."""
        host, port = address
        bound: int = self._server.add_insecure_port(f"[{host}]:{port}" if ":" in host else f"{host}:{port}")
        await self._server.start()
        return bound

    async def stop(self, seconds: float) -> None:
        """Accepts no call, lets those in flight end for `seconds`, then cancels the others."""
        self._stopping.set()
        await self._server.stop(seconds)

    def _inference(self) -> Any:
        methods: dict[str, Method] = {
            "ServerLive": self._server_live,
            "ServerReady": self._server_ready,
            "ModelReady": self._model_ready,
            "ServerMetadata": self._server_metadata,
            "ModelMetadata": self._model_metadata,
            "ModelInfer": self._model_infer,
            "ModelStatistics": self._model_statistics,
        }
        handlers = {name: self._unary(name, method, getattr(pb, f"{name}Request")) for name, method in methods.items()}
        return grpc.method_handlers_generic_handler(INFERENCE_SERVICE, handlers)

    async def _server_live(self, _request: Any, _context: Context) -> Any:
        return pb.ServerLiveResponse(live=True)

    async def _server_ready(self, _request: Any, _context: Context) -> Any:
        return pb.ServerReadyResponse(ready=self._dataplane.ready)

    async def _model_ready(self, request: Any, _context: Context) -> Any:
        self._dataplane.check_model(request.name, request.version)
        return pb.ModelReadyResponse(ready=self._dataplane.ready)

    async def _server_metadata(self, _request: Any, _context: Context) -> Any:
        return pb.ServerMetadataResponse(**self._dataplane.server_metadata())

    async def _model_metadata(self, request: Any, _context: Context) -> Any:
        self._dataplane.check_model(request.name, request.version)
        return pb.ModelMetadataResponse(**self._dataplane.model_metadata())

    async def _model_infer(self, request: Any, context: Context) -> Any:
        dataplane = self._dataplane
        dataplane.check_model(request.model_name, request.model_version)
        peer = peer_of_rpc(context.peer())
        dataplane.admit(peer)
        decoded, raw = codec.decode(request)
        decoded.peer = peer
        _set_timeout(decoded, context)
        if dataplane.route is not None:
            _set_route_fields(decoded, request, context)
        return codec.encode(await dataplane.infer(decoded), raw, dataplane.name)

    async def _model_statistics(self, request: Any, _context: Context) -> Any:
        if request.name:
            self._dataplane.check_model(request.name, request.version)
        return pb.ModelStatisticsResponse(**self._dataplane.statistics())

    def _unary(self, name: str, method: Method, request_type: Any, service: str = INFERENCE_SERVICE) -> Any:
        metrics = self._dataplane.metrics

        async def call(request: Any, context: Context) -> Any:
            metrics.rpc_started("UNARY", service, name)
            code = grpc.StatusCode.UNKNOWN
            try:
                if isinstance(request, errors.InvalidRequest):
                    raise request
                response = await method(request, context)
            except errors.RequestError as error:
                code = CODES[type(error)]
                if isinstance(error, errors.TooManyRequests):
                    await asyncio.sleep(REFUSAL_DELAY_SECONDS)
                await context.abort(code, str(error))
                raise AssertionError("abort raises") from error
            except asyncio.CancelledError:
                code = grpc.StatusCode.CANCELLED
                raise
            else:
                code = grpc.StatusCode.OK
                return response
            finally:
                metrics.rpc_handled("UNARY", service, name, code.name)

        return grpc.unary_unary_rpc_method_handler(
            call, request_deserializer=_deserializer(request_type), response_serializer=_serialize
        )

    def _health(self) -> Any:
        async def check(request: Any, _context: Context) -> Any:
            if request.service not in ("", INFERENCE_SERVICE, HEALTH_SERVICE):
                raise errors.NotFound(
                    f"service {request.service[:200]!r} is not served here; check {INFERENCE_SERVICE!r} or ''"
                )
            return self._health_status()

        async def watch(request: Any, context: Context) -> AsyncIterator[Any]:
            if isinstance(request, errors.InvalidRequest):
                await context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(request))
            if self._watches >= self._max_watches:
                finding = f"{self._watches} clients watch this server already; call Check instead"
                await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, finding)
            self._watches += 1
            try:
                async for status in self._watch_health(request.service):
                    yield status
            finally:
                self._watches -= 1

        handlers = {
            "Check": self._unary("Check", check, health.HealthCheckRequest, HEALTH_SERVICE),
            "Watch": grpc.unary_stream_rpc_method_handler(
                watch,
                request_deserializer=_deserializer(health.HealthCheckRequest),
                response_serializer=_serialize,
            ),
        }
        return grpc.method_handlers_generic_handler(HEALTH_SERVICE, handlers)

    async def _watch_health(self, service: str) -> AsyncIterator[Any]:
        """Yields the status at first and whenever it has changed, until the server stops."""
        known = service in ("", INFERENCE_SERVICE, HEALTH_SERVICE)
        last = None
        while not self._stopping.is_set():
            status = self._health_status() if known else health.HealthCheckResponse(status="SERVICE_UNKNOWN")
            if status != last:
                yield status
            last = status
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), WATCH_INTERVAL_SECONDS)

    def _health_status(self) -> Any:
        return health.HealthCheckResponse(status="SERVING" if self._dataplane.ready else "NOT_SERVING")


def _set_timeout(decoded: InferRequest, context: Context) -> None:
    """Bounds the timeout by the RPC's deadline."""
    seconds_left = context.time_remaining()
    if seconds_left is not None:
        decoded.timeout = min(max(seconds_left, 1e-6), decoded.timeout or seconds_left)


def _set_route_fields(decoded: InferRequest, request: Any, context: Context) -> None:
    """Sets what a route decides by."""
    decoded.headers = {
        name.encode(): value.encode() if isinstance(value, str) else value
        for name, value in context.invocation_metadata() or ()
    }
    decoded.pinned = bool(request.model_version)


def _deserializer(request_type: Any) -> Callable[[bytes], Any]:
    """A function from a message's bytes to the message, or to InvalidRequest: gRPC answers an exception here with UNKNOWN."""

    def deserialize(content: bytes) -> Any:
        try:
            return request_type.FromString(content)
        except DecodeError as error:
            name = request_type.DESCRIPTOR.full_name
            return errors.InvalidRequest(f"the message is no {name} ({error}); encode it by open_inference.proto")

    return deserialize


def _serialize(message: Any) -> bytes:
    data: bytes = message.SerializeToString()
    return data
