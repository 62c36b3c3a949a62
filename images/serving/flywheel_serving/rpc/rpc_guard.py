"""Authentication of RPCs."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import grpc
import grpc.aio

from flywheel_serving.auth.authenticator import Authenticator
from flywheel_serving.auth.open_endpoints import OPEN_METHODS
from flywheel_serving.auth.verdict import AuthResult, Verdict
from flywheel_serving.metrics.server_metrics import ServerMetrics

CODES = {
    AuthResult.UNAUTHENTICATED: grpc.StatusCode.UNAUTHENTICATED,
    AuthResult.FORBIDDEN: grpc.StatusCode.PERMISSION_DENIED,
    AuthResult.UNAVAILABLE: grpc.StatusCode.UNAVAILABLE,
}

# grpc names a call's client only to its handler, and the token is checked before. So all RPC clients are one peer.
RPC_PEER = "rpc"


class RpcGuard(grpc.aio.ServerInterceptor):  # type: ignore[misc]  # grpcio ships no types
    """Checks the token before a method's request is read."""

    def __init__(self, authenticator: Authenticator, metrics: ServerMetrics) -> None:
        self._authenticator = authenticator
        self._metrics = metrics

    async def intercept_service(self, continuation: Callable[[Any], Awaitable[Any]], details: Any) -> Any:
        handler = await continuation(details)
        if details.method in OPEN_METHODS:
            return handler
        verdict = await self._authenticator.verdict(authorization(details.invocation_metadata), RPC_PEER)
        if verdict.result is AuthResult.ALLOWED:
            return handler
        # Clients can make up methods; they must not make up series.
        await asyncio.sleep(self._authenticator.refusal_delay_seconds(RPC_PEER))
        return self._refusal_handler(verdict, details.method if handler is not None else "/(no service)/(no method)")

    def _refusal_handler(self, verdict: Verdict, method: str) -> Any:
        """A stream in and out: it fits every client, and reads nothing before it refuses."""
        service, _, name = method.lstrip("/").partition("/")

        async def refuse(_requests: AsyncIterator[bytes], context: Any) -> None:
            code = CODES[verdict.result]
            self._metrics.rpc_started("UNARY", service, name)
            self._metrics.rpc_handled("UNARY", service, name, code.name)
            await context.abort(code, verdict.message)

        return grpc.stream_stream_rpc_method_handler(refuse)


def authorization(metadata: Any) -> bytes | None:
    """The value of the header; repeated headers are joined, so that none of them is taken for a token."""
    values = [value for name, value in metadata or () if name == "authorization"]
    if not values:
        return None
    return b", ".join(value if isinstance(value, bytes) else value.encode() for value in values)
