"""The RPCs in progress by peer, bounded in all and for each peer. Those whose message is still being received make room for others.

grpc shows neither connections nor bytes: a call is seen from its headers on, and its message when it is complete.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable
from typing import Any, TypeVar

import grpc
import grpc.aio

from flywheel_serving.errors import DeadlineExceeded, InvalidRequest, RequestError, TooManyRequests
from flywheel_serving.http.config import BUFFERED_BODIES
from flywheel_serving.http.connection_table import WAITING_FOR_CLIENT, ConnectionTable, Idleness
from flywheel_serving.peers import peer_of_rpc

T = TypeVar("T")
Context = Any  # grpc.aio.ServicerContext; grpcio ships no types
CHECK_INTERVAL_SECONDS = 0.5
# A message that takes longer is slow. As many may be slow as REST holds bodies of the largest size.
SLOW_SECONDS = 2.0
REFUSED = "as many calls are in progress as one client may have, or all clients; retry in a second"
EVICTED = (
    "other clients needed the room of this call, which waited for its client, and this client had the most; "
    "retry in a second, and make fewer calls at once"
)


class RpcCall:
    """A call of the task that makes it. `may_end`: it waits for its client, and is ended when others need its room."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self.peer = peer_of_rpc(context.peer())
        self.started = time.monotonic()
        self.may_end = True
        self.ending: RequestError | None = None
        self._task = asyncio.current_task()

    @property
    def idleness(self) -> Idleness | None:
        """Of ConnectionTable."""
        return (WAITING_FOR_CLIENT, self.started) if self.may_end else None

    def evict(self) -> None:
        self.end(TooManyRequests(EVICTED))

    def end(self, error: RequestError) -> None:
        """Ends the call with that error."""
        if self.ending is None and self._task is not None:
            self.ending = error
            self._task.cancel()

    async def wait_for(self, awaited: Awaitable[T]) -> T:
        """The result of what is awaited. Raises RequestError if the call was ended meanwhile."""
        try:
            return await awaited
        except asyncio.CancelledError:
            if self.ending is None or self._task is None:
                raise
            self._task.uncancel()
            raise self.ending from None

    async def receive(self) -> Any:
        """Its message. Raises RequestError if it is none, or if the call was ended meanwhile."""
        message = await self.wait_for(self.context.read())
        self.may_end = False
        if message is grpc.aio.EOF:
            raise InvalidRequest("the call has no message; send one")
        if isinstance(message, InvalidRequest):
            raise message
        return message

    async def abort(self, code: grpc.StatusCode) -> None:
        """Sends the error with which the call was ended, after the cancellation that this caused."""
        if self._task is not None:
            self._task.uncancel()
        await self.context.abort(code, str(self.ending))


class CallTable:
    """At most `max_calls`, of which each message must be complete after `receive_seconds`."""

    def __init__(self, max_calls: int, receive_seconds: float) -> None:
        self._calls: ConnectionTable[RpcCall] = ConnectionTable(max_calls)
        self._receive_seconds = receive_seconds

    async def receive(self, call: RpcCall) -> Any:
        """The message of a new call, which `remove` must follow. Raises RequestError, also if there is no room for the call."""
        if not self._calls.add(call):
            self._calls.remove(call)
            raise TooManyRequests(REFUSED)
        return await call.receive()

    def remove(self, call: RpcCall) -> None:
        self._calls.remove(call)

    async def end_slow_calls(self) -> None:
        """Ends calls whose message is late, and the oldest slow ones of the peer with the most, for ever."""
        while True:
            await asyncio.sleep(CHECK_INTERVAL_SECONDS)
            self._end_late(time.monotonic())

    def _end_late(self, now: float) -> None:
        slow = [call for call in self._calls.all() if call.may_end and now - call.started > SLOW_SECONDS]
        slow.sort(key=lambda call: call.started)
        seconds = self._receive_seconds
        for call in slow:
            if now - call.started > seconds:
                call.end(DeadlineExceeded(f"the message was not complete after {seconds:g} seconds; send it again"))
        slow = [call for call in slow if call.ending is None]
        count = Counter(call.peer for call in slow)
        for _ in range(len(slow) - BUFFERED_BODIES):
            greediest = max(count, key=count.__getitem__)
            oldest = next(call for call in slow if call.peer == greediest and call.ending is None)
            oldest.evict()
            count[greediest] -= 1
