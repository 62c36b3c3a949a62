"""Shadow: the champion answers; a copy of the request goes to the challenger afterwards, and the two answers are compared.

champion's answer -> client
                 `-> queue (bounded, else Dropped) -> challenger asked -> compared -> counts, worst examples
"""

import asyncio
import logging
from collections import deque
from dataclasses import dataclass

from flywheel_serving.batcher import Outputs
from flywheel_serving.datatypes import Array
from flywheel_serving.errors import RequestError
from flywheel_serving.route import wire
from flywheel_serving.route.champion import Asked, Champion
from flywheel_serving.route.compare import Comparison, compare
from flywheel_serving.route.file import Route
from flywheel_serving.route.link import Link
from flywheel_serving.route.pool import Trouble
from flywheel_serving.route.share import Share
from flywheel_serving.route.worst import VALUE_BYTES, Example, value

AT_ONCE = 8
QUEUED = 256
QUEUED_BYTES = 32 * 1024 * 1024
TEXT_BYTES = 64  # of one text, about, besides its letters

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, eq=False)
class Copy:
    """`outputs` is what the champion answered; `size` is in bytes, about."""

    asked: Asked
    outputs: list[Array]
    size: int


class Shadow:
    def __init__(self, champion: Champion, route: Route, link: Link) -> None:
        self._champion = champion
        self._route = route
        self._link = link
        self._share = Share(route)
        self._queue: deque[Copy] = deque()
        self._held = 0  # bytes of the copies that wait or are under way
        self._under_way = 0

    def submit(self, asked: Asked) -> None:
        call, answer, version = asked.call, asked.answer, self._champion.version
        if not asked.pinned and wire.FORWARDED not in asked.headers and self._share.takes(asked.headers):

            def answered(found: Outputs) -> None:
                answer(found, version)
                if not isinstance(found, RequestError):
                    self._offer(asked, found)

            call.answer = answered
        self._champion.submit(call)

    def close(self) -> None:
        """No copy is sent from now on."""
        self._link.counts.compared["Dropped"] += len(self._queue)
        self._queue.clear()

    def _offer(self, asked: Asked, outputs: list[Array]) -> None:
        size = sum(map(_size, (*asked.call.feeds.values(), *outputs)))
        if len(self._queue) >= QUEUED or self._held + size > QUEUED_BYTES:
            self._link.counts.compared["Dropped"] += 1
            return
        self._held += size
        self._queue.append(Copy(asked, outputs, size))
        asyncio.get_running_loop().call_soon(self._send)  # the client's answer is written first

    def _send(self) -> None:
        while self._queue and self._under_way < AT_ONCE:
            self._ask(self._queue.popleft())

    def _ask(self, copy: Copy) -> None:
        asked, seconds = copy.asked, self._route.timeout
        self._under_way += 1
        try:
            inputs = self._champion.inputs(asked.call)
            payload = self._link.question.encode(asked.id, inputs, asked.call.outputs, seconds, asked.headers)
        except Exception as error:  # as below
            log.exception("a copy for version %s could not be written", self._link.challenger.version)
            self._received(copy, Trouble(f"{type(error).__name__}: {error}"))
            return
        self._link.pool.ask(payload, seconds, lambda found: self._received(copy, found))

    def _received(self, copy: Copy, found: wire.Reply | Trouble) -> None:
        self._under_way -= 1
        self._held -= copy.size
        try:
            outcome = self._judged(copy, found)
        except Exception:  # the last door: the copies behind this one must go on
            log.exception("an answer of version %s could not be compared", self._link.challenger.version)
            outcome = "Failed"
        self._link.counts.compared[outcome] += 1
        self._send()

    def _judged(self, copy: Copy, found: wire.Reply | Trouble) -> str:
        link, call = self._link, copy.asked.call
        if isinstance(found, Trouble):
            link.tell("Late" if found.late else "Failed", found.finding)
            return "Late" if found.late else "Failed"
        if found.status != 200:
            outcome = "Late" if found.status == 504 else "Failed"
            link.tell(outcome, f"status {found.status}: {found.body[:200].decode('utf-8', 'replace')}")
            return outcome
        specs = [self._champion.specs[name] for name in call.outputs]
        rows = call.rows if self._champion.row_by_row else None
        try:
            outputs = wire.decode(found, wire.Wanted(link.challenger.version, specs, rows))
        except wire.Nonsense as nonsense:
            link.tell("Failed", str(nonsense))
            return "Failed"
        result = compare(copy.outputs, outputs, self._route.absolute, self._route.relative)
        link.counts.difference = max(link.counts.difference, result.difference)
        if result.agrees:
            return "Agreed"
        link.counts.worst.offer(result.difference, lambda: self._example(copy, outputs, result))
        return "Disagreed"

    def _example(self, copy: Copy, outputs: list[Array], result: Comparison) -> Example:
        """The worst row of the request; all of it where outputs do not have the inputs' rows."""
        row = slice(result.row, result.row + 1) if self._champion.row_by_row else slice(None)
        call = copy.asked.call
        return {
            "id": copy.asked.id[:VALUE_BYTES],
            "inputs": {name: value(array[row]) for name, array in call.feeds.items()},
            "champion": {name: value(a[row]) for name, a in zip(call.outputs, copy.outputs, strict=True)},
            "challenger": {name: value(a[row]) for name, a in zip(call.outputs, outputs, strict=True)},
        }


def _size(array: Array) -> int:
    if array.dtype.kind != "O":
        return array.nbytes
    return sum(map(len, array.ravel().tolist())) + TEXT_BYTES * array.size
