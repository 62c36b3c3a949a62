"""Admission control: which requests may join those in flight.

A standing queue makes every request wait and none finish sooner: the demand exceeds what the model can answer. After
0.1 s of a standing queue, admission closes: only as many requests are in flight as keep the model busy, and the others
are refused before their bodies are read. A burst does not close it: one call answers it, and the queue is short again.

Open or closed, a quarter more than the limit is for clients with few requests, so that one client keeps no other out.
"""

import time
from collections.abc import Callable

from flywheel_serving.errors import TooManyRequests

STANDING_QUEUE_LENGTH = 128  # requests that wait for one call of a fast model
SATURATING_REQUESTS = 24  # in flight; 16 already keep a fast model busy
STANDING_SECONDS = 0.1
QUEUE_GAP_SECONDS = 0.02  # without a call: the queue was empty in between
CLOSED_SECONDS = 0.2  # since the last refusal
# Beyond the limit there is room for clients that have few requests: one that fills the limit keeps no other out.
RESERVED_FRACTION, FEW_FRACTION = 1 / 4, 1 / 8  # of the limit: so much more, for clients with less than that each
# A refusal is sent so much later: a client that retries at once would use the time of the admitted requests.
REFUSAL_DELAY_SECONDS = 0.1


class Admission:
    """Admits at most `max_in_flight` requests, and fewer while it is closed. Belongs to one event loop."""

    def __init__(self, max_in_flight: int) -> None:
        self._max_in_flight = max_in_flight
        self.count_queued: Callable[[str], int] = lambda _peer: 0  # the requests of a client that wait
        # With fewer in flight, every request may join: then `check` need not be called.
        self.always_admitted = min(SATURATING_REQUESTS, max_in_flight)
        # Times are of time.perf_counter's clock.
        self._closed_until = 0.0
        self._standing_since = self._drained_at = float("-inf")

    def check(self, in_flight: int, peer: str) -> None:
        """Raises TooManyRequests if no request of the client `peer` may join the `in_flight` ones."""
        if in_flight < self.always_admitted:
            return
        if self._closed_until:
            now = time.perf_counter()
            if now < self._closed_until:
                self._check_closed(in_flight, peer, now)
                return
            self._closed_until = 0.0
        if in_flight >= self._max_in_flight and not self._is_reserved(in_flight, self._max_in_flight, peer):
            raise TooManyRequests(f"{in_flight} inferences are in flight, the limit; retry in a second")

    def _check_closed(self, in_flight: int, peer: str, now: float) -> None:
        if not self._is_reserved(in_flight, self.always_admitted, peer):
            self._closed_until = now + CLOSED_SECONDS
            raise TooManyRequests("more requests arrive than the model can answer; retry in a second, or add replicas")

    def _is_reserved(self, in_flight: int, limit: int, peer: str) -> bool:
        """Whether the client has few requests that wait, and may join although the limit is reached."""
        return in_flight < limit + int(limit * RESERVED_FRACTION) and self.count_queued(peer) < int(
            limit * FEW_FRACTION
        )

    def queue_drained(self, length: int) -> None:
        """Notes that the queue was emptied, in which `length` requests waited."""
        now = time.perf_counter()
        if length < STANDING_QUEUE_LENGTH or now - self._drained_at > QUEUE_GAP_SECONDS:
            self._standing_since = now
        elif now - self._standing_since > STANDING_SECONDS:
            self._closed_until = now + CLOSED_SECONDS
        self._drained_at = now
