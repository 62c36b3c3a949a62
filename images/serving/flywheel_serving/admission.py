"""Who may join the requests under way.

A queue that stands makes everybody wait and nobody be done sooner: more is asked than the model can answer, and whoever joins the
queue only makes it longer. So when it has stood for a tenth of a second, no more are let in than keep the model busy, and the rest are
refused before their bodies are read. A burst is not that: it is answered in one go, and then the queue is short.
"""

import time

from flywheel_serving.errors import TooMany

LONG = 128  # requests that wait for one call of a quick model; sixteen keep it busy already
ENOUGH = 24
STANDS_SECONDS = 0.1
PAUSE_SECONDS = 0.02  # without a call: the queue was empty between
SHUT_SECONDS = 0.2  # since somebody was last refused
# How long a refusal is held back. A client that asks again at once would take the time of those who are served.
HELD_SECONDS = 0.1


class Admission:
    """At most `most` requests under way, and fewer while the queue stands. Belongs to one event loop."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._enough = min(ENOUGH, most)
        self._shut_until = 0.0
        self._long_since = self._emptied = float("-inf")  # on time.perf_counter's clock, like all here

    def check(self, under_way: int) -> None:
        """Raises TooMany if no more may join those under way."""
        if under_way < self._enough:
            return
        if self._shut_until:
            now = time.perf_counter()
            if now < self._shut_until:
                self._shut_until = now + SHUT_SECONDS
                raise TooMany("more is asked than the model can answer; ask again in a second, or have more replicas")
            self._shut_until = 0.0
        if under_way >= self._most:
            raise TooMany(f"{under_way} inferences are under way, the limit; ask again in a second")

    def emptied(self, waited: int) -> None:
        """The queue was emptied, in which `waited` requests were."""
        now = time.perf_counter()
        if waited < LONG or now - self._emptied > PAUSE_SECONDS:
            self._long_since = now
        elif now - self._long_since > STANDS_SECONDS:
            self._shut_until = now + SHUT_SECONDS
        self._emptied = now
