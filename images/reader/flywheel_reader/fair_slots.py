"""Turns for work that holds megabytes: few at a time, of each namespace one, in turn among namespaces and their callers."""

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import NamedTuple

from flywheel_reader.errors import TooSlow

MAX_SLOTS = 2
MAX_SECONDS = 120.0  # of a turn: the store of a namespace may be slow
MAX_REMEMBERED = 1024  # namespaces and callers, by their last turn


class _Waiting(NamedTuple):
    namespace: str
    caller: str
    turn: asyncio.Future[None]


class FairSlots:
    """At most `max_slots` turns at a time. The next one is of the namespace, and in it of the caller, whose last turn is longest ago."""

    def __init__(self, max_slots: int = MAX_SLOTS) -> None:
        self._free = max_slots
        self._running: set[str] = set()  # namespaces: each has one turn at a time
        self._waiting: list[_Waiting] = []
        self._last: OrderedDict[tuple[str, ...], int] = OrderedDict()
        self._turns = 0

    @asynccontextmanager
    async def turn(self, namespace: str, caller: str = "") -> AsyncIterator[None]:
        """Waits for its turn, and ends it. Raises TooSlow if the work takes more than two minutes."""
        await self._wait(_Waiting(namespace, caller, asyncio.get_running_loop().create_future()))
        try:
            async with asyncio.timeout(MAX_SECONDS):
                yield
        except TimeoutError as error:
            raise TooSlow(
                f"the store of namespace '{namespace}' did not give what was wanted within {MAX_SECONDS:g} seconds; retry, or ask for less"
            ) from error
        finally:
            self._end(namespace)

    async def _wait(self, waiting: _Waiting) -> None:
        self._waiting.append(waiting)
        self._start_next()
        try:
            await waiting.turn
        except asyncio.CancelledError:
            if waiting in self._waiting:
                self._waiting.remove(waiting)
            else:
                self._end(waiting.namespace)
            raise

    def _end(self, namespace: str) -> None:
        self._running.discard(namespace)
        self._free += 1
        self._start_next()

    def _start_next(self) -> None:
        while self._free:
            possible = [each for each in self._waiting if each.namespace not in self._running]
            if not possible:
                return
            chosen = min(possible, key=self._last_turns)  # of equals the first
            self._waiting.remove(chosen)
            self._free -= 1
            self._running.add(chosen.namespace)
            self._remember((chosen.namespace,))
            self._remember((chosen.namespace, chosen.caller))
            chosen.turn.set_result(None)

    def _last_turns(self, waiting: _Waiting) -> tuple[int, int]:
        return self._last.get((waiting.namespace,), 0), self._last.get((waiting.namespace, waiting.caller), 0)

    def _remember(self, key: tuple[str, ...]) -> None:
        self._turns += 1
        self._last[key] = self._turns
        self._last.move_to_end(key)
        while len(self._last) > MAX_REMEMBERED:
            self._last.popitem(last=False)
