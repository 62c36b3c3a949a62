"""The way to one challenger: its connections, its breaker, and one line of log for each kind of trouble."""

import logging
import time

from flywheel_serving.route.breaker import Breaker
from flywheel_serving.route.file import Challenger
from flywheel_serving.route.metrics import Counts
from flywheel_serving.route.pool import Pool
from flywheel_serving.route.wire import Question

log = logging.getLogger(__name__)


class Link:
    """Lives as long as the challenger is the same, whatever its share."""

    def __init__(self, model: str, challenger: Challenger, body_bytes: int, counts: Counts) -> None:
        self.challenger = challenger
        self.question = Question(model, challenger)
        self.pool = Pool(challenger.host, challenger.port, body_bytes)
        self.counts = counts
        counts.breaker_open = False
        self._breaker = Breaker()
        self._told: set[str] = set()

    def allows(self) -> bool:
        """Whether a request may be sent; then `record` or `untold` must follow."""
        return self._breaker.allows(time.perf_counter())

    def untold(self) -> None:
        self._breaker.untold()

    def record(self, outcome: str, finding: str) -> None:
        """How a request ended; `finding` says what was wrong unless it was Answered."""
        was_open = self._breaker.is_open
        self._breaker.record(outcome == "Answered", time.perf_counter())
        is_open = self.counts.breaker_open = self._breaker.is_open
        if finding:
            self.tell(outcome, finding)
        if is_open and not was_open:
            log.warning("%s: forwarding stops until a trial is answered; the last was %s: %s", self, outcome, finding)
        elif was_open and not is_open:
            log.info("%s: a trial was answered, forwarding goes on", self)

    def tell(self, outcome: str, finding: str) -> None:
        """Logs the first finding of each outcome: a failing challenger must not fill the champion's log."""
        if outcome not in self._told:
            self._told.add(outcome)
            log.warning("%s: %s: %s; the champion answers", self, outcome, finding)

    def close(self) -> None:
        self.pool.close()

    def __str__(self) -> str:
        who = self.challenger
        return f"challenger {who.version!r} at {who.host}:{who.port}"
