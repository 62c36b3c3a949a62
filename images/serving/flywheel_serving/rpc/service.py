"""GRPCInferenceService and grpc.health.v1.Health on grpc.aio."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import grpc
import grpc.aio
from google.protobuf.json_format import ParseDict
from google.protobuf.message import DecodeError

from flywheel_serving import errors
from flywheel_serving.auth.authenticator import Authenticator
from flywheel_serving.flag_types import Address
from flywheel_serving.http.config import HttpLimits
from flywheel_serving.http.connection_table import ConnectionTable
from flywheel_serving.infer.admission import REFUSAL_DELAY_SECONDS
from flywheel_serving.infer.dataplane import DataPlane
from flywheel_serving.infer.requests import EXPLAIN_HEADER, InferRequest
from flywheel_serving.protocol import health_pb2 as health
from flywheel_serving.protocol import open_inference_pb2 as pb
from flywheel_serving.rpc import codec
from flywheel_serving.rpc.calls import CallTable, Context, RpcCall
from flywheel_serving.rpc.rpc_guard import RpcGuard

INFERENCE_SERVICE = "inference.GRPCInferenceService"
HEALTH_SERVICE = "grpc.health.v1.Health"
WATCH_INTERVAL_SECONDS = 0.5
ALL_CALLS = 2  # times the calls in progress: with watches, and those that are being refused
WATCH_FRACTION = 1 / 8  # of all calls may be watches, which end when their clients want
HANDSHAKE_SECONDS, IDLE_SECONDS = 10, 60
KEEPALIVE_SECONDS, KEEPALIVE_TIMEOUT_SECONDS = 30, 10
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
EXPLAIN_METADATA = EXPLAIN_HEADER.decode()
TOO_MANY_WATCHES = "as many watches are in progress as one client may have, or all clients; call Check instead"

Method = Callable[[Any, RpcCall], Awaitable[Any]]  # of a message


class RpcServer:
    """Both services on one port."""

    def __init__(
        self,
        dataplane: DataPlane,
        limits: HttpLimits,
        authenticator: Authenticator | None = None,
    ) -> None:
        max_body_bytes, max_connections = limits.body_bytes, limits.connections
        self._dataplane = dataplane
        self._stopping = asyncio.Event()
        self._calls = CallTable(max_connections, limits.request_seconds)
        self._watches: ConnectionTable[RpcCall] = ConnectionTable(max(1, int(max_connections * WATCH_FRACTION)))
        self._server = grpc.aio.server(
            options=[
                ("grpc.max_receive_message_length", max_body_bytes),
                ("grpc.max_send_message_length", -1),
                ("grpc.so_reuseport", 0),
                # By default gRPC's core cancels calls at random once a thousand wait, and clients do not retry those.
                ("grpc.server.max_pending_requests", ALL_CALLS * max_connections),
                ("grpc.server.max_pending_requests_hard_limit", ALL_CALLS * max_connections),
                ("grpc.max_allowed_incoming_connections", max_connections),
                ("grpc.server_handshake_timeout_ms", 1_000 * HANDSHAKE_SECONDS),
                ("grpc.max_connection_idle_ms", 1_000 * IDLE_SECONDS),  # its client connects again when it needs to
                ("grpc.keepalive_time_ms", 1_000 * KEEPALIVE_SECONDS),  # a client that is gone holds no connection
                ("grpc.keepalive_timeout_ms", 1_000 * KEEPALIVE_TIMEOUT_SECONDS),
            ],
            maximum_concurrent_rpcs=ALL_CALLS * max_connections,
            interceptors=[] if authenticator is None else [RpcGuard(authenticator, dataplane.metrics, max_connections)],
        )
        self._slow_calls: asyncio.Task[None] | None = None
        self._server.add_generic_rpc_handlers((self._inference(), self._health()))

    async def start(self, address: Address) -> int:
        """Listens on `address` and returns its port. Raises RuntimeError if it is taken."""
        host, port = address
        bound: int = self._server.add_insecure_port(f"[{host}]:{port}" if ":" in host else f"{host}:{port}")
        await self._server.start()
        self._slow_calls = asyncio.create_task(self._calls.end_slow_calls())
        return bound

    async def stop(self, seconds: float) -> None:
        """Accepts no call, lets those in flight end for `seconds`, then cancels the others."""
        self._stopping.set()
        await self._server.stop(seconds)
        if self._slow_calls is not None:
            self._slow_calls.cancel()

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

    async def _server_live(self, _request: Any, _call: RpcCall) -> Any:
        return pb.ServerLiveResponse(live=True)

    async def _server_ready(self, _request: Any, _call: RpcCall) -> Any:
        return pb.ServerReadyResponse(ready=self._dataplane.ready)

    async def _model_ready(self, request: Any, _call: RpcCall) -> Any:
        self._dataplane.check_model(request.name, request.version)
        return pb.ModelReadyResponse(ready=self._dataplane.ready)

    async def _server_metadata(self, _request: Any, _call: RpcCall) -> Any:
        return pb.ServerMetadataResponse(**self._dataplane.server_metadata())

    async def _model_metadata(self, request: Any, _call: RpcCall) -> Any:
        self._dataplane.check_model(request.name, request.version)
        # The message has no field for a tensor's parameters.
        return ParseDict(self._dataplane.model_metadata(), pb.ModelMetadataResponse(), ignore_unknown_fields=True)

    async def _model_infer(self, request: Any, call: RpcCall) -> Any:
        dataplane = self._dataplane
        dataplane.check_model(request.model_name, request.model_version)
        dataplane.admit(call.peer)
        decoded, raw = codec.decode(request)
        decoded.peer = call.peer
        _set_timeout(decoded, call.context)
        decoded.explain = _asks_for_explanation(call.context)
        if dataplane.route is not None:
            _set_route_fields(decoded, request, call.context)
        return codec.encode(await dataplane.infer(decoded), raw, dataplane.name)

    async def _model_statistics(self, request: Any, _call: RpcCall) -> Any:
        if request.name:
            self._dataplane.check_model(request.name, request.version)
        return pb.ModelStatisticsResponse(**self._dataplane.statistics())

    def _unary(self, name: str, method: Method, request_type: Any, service: str = INFERENCE_SERVICE) -> Any:
        """A method of one message and one response. To grpc it is one of a stream, so that it is seen before its message has come."""
        metrics, calls = self._dataplane.metrics, self._calls

        async def answer(_messages: AsyncIterator[Any], context: Context) -> Any:
            metrics.rpc_started("UNARY", service, name)
            code = grpc.StatusCode.UNKNOWN
            call = RpcCall(context)
            try:
                response = await method(await calls.receive(call), call)
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
                calls.remove(call)
                metrics.rpc_handled("UNARY", service, name, code.name)

        return grpc.stream_unary_rpc_method_handler(
            answer, request_deserializer=_deserializer(request_type), response_serializer=_serialize
        )

    def _health(self) -> Any:
        async def check(request: Any, _context: Context) -> Any:
            if request.service not in ("", INFERENCE_SERVICE, HEALTH_SERVICE):
                raise errors.NotFound(
                    f"service {request.service[:200]!r} is not served here; check {INFERENCE_SERVICE!r} or ''"
                )
            return self._health_status()

        async def watch(_messages: AsyncIterator[Any], context: Context) -> AsyncIterator[Any]:
            call = RpcCall(context)
            try:
                request = await self._calls.receive(call)
                self._calls.remove(call)
                call.may_end = True  # until its client ends it, there is nothing to wait for
                if not self._watches.add(call):
                    await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, TOO_MANY_WATCHES)
                async for status in self._watch_health(request.service):
                    yield status
            except errors.RequestError as error:
                await context.abort(CODES[type(error)], str(error))
            except asyncio.CancelledError:
                if call.ending is None:
                    raise
                await call.abort(grpc.StatusCode.UNAVAILABLE)
            finally:
                self._calls.remove(call)
                self._watches.remove(call)

        handlers = {
            "Check": self._unary("Check", check, health.HealthCheckRequest, HEALTH_SERVICE),
            "Watch": grpc.stream_stream_rpc_method_handler(
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


def _asks_for_explanation(context: Context) -> bool:
    """Whether the call's metadata has the header of REST."""
    return any(name == EXPLAIN_METADATA and value == "true" for name, value in context.invocation_metadata() or ())


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
