"""The gate before the gRPC methods."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import grpc
import grpc.aio

from flywheel_serving.auth import public
from flywheel_serving.auth.gate import Gate
from flywheel_serving.auth.verdict import Outcome, Verdict
from flywheel_serving.metrics import Metrics

CODES = {
    Outcome.UNAUTHENTICATED: grpc.StatusCode.UNAUTHENTICATED,
    Outcome.FORBIDDEN: grpc.StatusCode.PERMISSION_DENIED,
    Outcome.UNAVAILABLE: grpc.StatusCode.UNAVAILABLE,
}


class RpcGuard(grpc.aio.ServerInterceptor):  # type: ignore[misc]  # grpcio ships no types
    """Asks before a method's request is read."""

    def __init__(self, gate: Gate, metrics: Metrics) -> None:
        self._gate = gate
        self._metrics = metrics

    async def intercept_service(self, continuation: Callable[[Any], Awaitable[Any]], details: Any) -> Any:
        handler = await continuation(details)
        if details.method in public.METHODS:
            return handler
        verdict = await self._gate.verdict(authorization(details.invocation_metadata))
        if verdict.outcome is Outcome.ALLOWED:
            return handler
        # Clients can make up methods; they must not make up series.
        return self._refusing(verdict, details.method if handler is not None else "/(no service)/(no method)")

    def _refusing(self, verdict: Verdict, method: str) -> Any:
        """A stream in and out fits every client, and reads nothing before it answers."""
        service, _, name = method.lstrip("/").partition("/")

        async def refuse(_requests: AsyncIterator[bytes], context: Any) -> None:
            code = CODES[verdict.outcome]
            self._metrics.rpc_started("UNARY", service, name)
            self._metrics.rpc_handled("UNARY", service, name, code.name)
            await context.abort(code, verdict.message)

        return grpc.stream_stream_rpc_method_handler(refuse)


def authorization(metadata: Any) -> bytes | None:
    """The value of the header; two of them are none that could be believed."""
    found = [value for name, value in metadata or () if name == "authorization"]
    if not found:
        return None
    return b", ".join(value if isinstance(value, bytes) else value.encode() for value in found)
