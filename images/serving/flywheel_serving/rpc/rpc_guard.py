"""Authentication of RPCs."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from typing import Any

import grpc
import grpc.aio

from flywheel_serving.auth.authenticator import Authenticator
from flywheel_serving.auth.open_endpoints import OPEN_METHODS
from flywheel_serving.auth.verdict import AuthResult, Verdict, unavailable_verdict
from flywheel_serving.errors import TooManyRequests
from flywheel_serving.http.connection_table import ConnectionTable
from flywheel_serving.infer.admission import REFUSAL_DELAY_SECONDS
from flywheel_serving.metrics.server_metrics import ServerMetrics
from flywheel_serving.rpc.calls import REFUSED, Context, RpcCall

CODES = {
    AuthResult.UNAUTHENTICATED: grpc.StatusCode.UNAUTHENTICATED,
    AuthResult.FORBIDDEN: grpc.StatusCode.PERMISSION_DENIED,
    AuthResult.UNAVAILABLE: grpc.StatusCode.UNAVAILABLE,
}


class RpcGuard(grpc.aio.ServerInterceptor):  # type: ignore[misc]  # grpcio ships no types
    """Checks the token before a method's request is read."""

    def __init__(self, authenticator: Authenticator, metrics: ServerMetrics, max_calls: int) -> None:
        self._authenticator = authenticator
        self._metrics = metrics
        self._calls: ConnectionTable[RpcCall] = ConnectionTable(max_calls)  # whose token is being reviewed

    async def intercept_service(self, continuation: Callable[[Any], Awaitable[Any]], details: Any) -> Any:
        handler = await continuation(details)
        if details.method in OPEN_METHODS:
            return handler
        token = authorization(details.invocation_metadata)
        verdict = self._authenticator.cached_verdict(token)
        if verdict is not None and verdict.result is AuthResult.ALLOWED:
            return handler
        # Clients can make up methods; they must not make up series.
        method = details.method if handler is not None else "/(no service)/(no method)"
        return self._guarded_handler(handler, method, token)

    def _guarded_handler(self, handler: Any, method: str, token: bytes | None) -> Any:
        """Reviews the token, then does what `handler` does. grpc names the client to a handler alone, not to an interceptor.

        The call is a stream in, as those of `handler` are: it fits every client, and reads nothing before the verdict.
        """
        if handler is not None and not handler.response_streaming:

            async def answer(messages: AsyncIterator[Any], context: Context) -> Any:
                await self._admit(method, token, context)
                return await handler.stream_unary(messages, context)

            return grpc.stream_unary_rpc_method_handler(
                answer, handler.request_deserializer, handler.response_serializer
            )

        async def stream(messages: AsyncIterator[Any], context: Context) -> AsyncIterator[Any]:
            await self._admit(method, token, context)
            if handler is None:
                await context.abort(grpc.StatusCode.UNIMPLEMENTED, "this server has no such method")
            async with aclosing(handler.stream_stream(messages, context)) as responses:
                async for response in responses:
                    yield response

        if handler is None:
            return grpc.stream_stream_rpc_method_handler(stream)
        return grpc.stream_stream_rpc_method_handler(stream, handler.request_deserializer, handler.response_serializer)

    async def _admit(self, method: str, token: bytes | None, context: Context) -> None:
        """Returns if the token is admitted; else ends the call, later if its client has sent many made-up tokens."""
        call = RpcCall(context)
        try:
            verdict = await call.wait_for(self._review(token, call))
        except TooManyRequests as error:
            verdict = unavailable_verdict(str(error))
            await asyncio.sleep(REFUSAL_DELAY_SECONDS)
        finally:
            self._calls.remove(call)
        if verdict.result is not AuthResult.ALLOWED:
            await self._refuse(verdict, method, context)

    async def _review(self, token: bytes | None, call: RpcCall) -> Verdict:
        """Raises TooManyRequests if its client has too many calls whose tokens are being reviewed."""
        if not self._calls.add(call):
            raise TooManyRequests(REFUSED)
        verdict = await self._authenticator.verdict(token, call.peer)
        if verdict.result is not AuthResult.ALLOWED:
            await asyncio.sleep(self._authenticator.refusal_delay_seconds(call.peer))
        return verdict

    async def _refuse(self, verdict: Verdict, method: str, context: Context) -> None:
        service, _, name = method.lstrip("/").partition("/")
        code = CODES[verdict.result]
        self._metrics.rpc_started("UNARY", service, name)
        self._metrics.rpc_handled("UNARY", service, name, code.name)
        await context.abort(code, verdict.message)


def authorization(metadata: Any) -> bytes | None:
    """The value of the header; repeated headers are joined, so that none of them is taken for a token."""
    values = [value for name, value in metadata or () if name == "authorization"]
    if not values:
        return None
    return b", ".join(value if isinstance(value, bytes) else value.encode() for value in values)
