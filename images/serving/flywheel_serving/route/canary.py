"""Canary: the challenger answers its share; whenever it does not answer rightly and in time, the champion does.

chosen -> room and breaker allow? -> challenger asked -> right answer ------------------> client
               `- no: kept                           `- failed, late, nonsense -> champion -> client
"""

import logging
import time
from dataclasses import dataclass

import numpy as np

from flywheel_serving.batcher import Outputs
from flywheel_serving.datatypes import Array
from flywheel_serving.errors import ModelFailed, RequestError
from flywheel_serving.route import wire
from flywheel_serving.route.champion import FELL_BACK, FORWARDED, KEPT, Asked, Champion
from flywheel_serving.route.file import Route
from flywheel_serving.route.link import Link
from flywheel_serving.route.pool import Trouble
from flywheel_serving.route.share import Share

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Judged:
    """What came back. `doubtful`: wrong unless the champion does the same, so it settles only when the champion has answered."""

    outcome: str
    finding: str
    outputs: list[Array] | None = None
    doubtful: bool = False


class Canary:
    def __init__(self, champion: Champion, route: Route, link: Link) -> None:
        self._champion = champion
        self._route = route
        self._link = link
        self._share = Share(route)
        # A challenger that hangs holds its requests until they are late: most places stay for those that are kept.
        self._room = max(1, champion.in_flight // 4)

    def submit(self, asked: Asked) -> None:
        """`asked.answer` is called once, later; never with an error that only the challenger has."""
        if asked.pinned or wire.FORWARDED in asked.headers:
            self._champion.submit(asked.call)
        elif self._share.takes(asked.headers) and self._may_ask():
            self._forward(asked)
        else:
            self._keep(asked)

    def close(self) -> None:
        """Another one follows; what is under way ends here."""

    def _may_ask(self) -> bool:
        return self._link.pool.under_way < self._room and self._link.allows()

    def _keep(self, asked: Asked) -> None:
        self._link.counts.kept += 1
        call, answer, version = asked.call, asked.answer, self._champion.version
        call.answer = lambda found: answer(found, version, KEPT)
        self._champion.submit(call)

    def _forward(self, asked: Asked) -> None:
        # Half of the client's time, so that the champion has the other half.
        seconds = min(self._route.timeout, (asked.deadline - time.perf_counter()) / 2)
        call, link = asked.call, self._link
        try:
            inputs = self._champion.inputs(call)
            payload = link.question.encode(asked.id, inputs, call.outputs, seconds, asked.headers)
        except Exception:  # the client must get its answer whatever is wrong here
            log.exception("a request for version %s could not be written", link.challenger.version)
            link.untold()
            self._keep(asked)
            return
        whole = seconds == self._route.timeout
        link.pool.ask(payload, max(0.0, seconds), lambda found: self._received(asked, found, whole=whole))

    def _received(self, asked: Asked, found: wire.Reply | Trouble, *, whole: bool) -> None:
        """`whole`: the challenger had all of its time, so that being late is its own doing."""
        try:
            judged = self._judge(asked, found)
        except Exception as error:  # the last door: the client must get its answer
            log.exception("an answer of version %s could not be read", self._link.challenger.version)
            judged = Judged("Invalid", f"{type(error).__name__}: {error}")
        if judged.outcome == "Answered" and judged.outputs is not None:
            self._settle(judged)
            asked.answer(judged.outputs, self._link.challenger.version, FORWARDED)
            return
        if judged.outcome == "Late" and not whole:
            self._says_nothing()
        elif not judged.doubtful:
            self._settle(judged)
        self._fall_back(asked, judged)

    def _judge(self, asked: Asked, found: wire.Reply | Trouble) -> Judged:
        if isinstance(found, Trouble):
            return Judged("Late" if found.late else "Failed", found.finding)
        if found.status != 200:
            finding = f"status {found.status}: {found.body[:200].decode('utf-8', 'replace')}"
            # 504 is the challenger's own word for late; 500 says that its model failed on this input.
            return Judged("Late" if found.status == 504 else "Failed", finding, doubtful=found.status == 500)
        call, champion = asked.call, self._champion
        specs = [champion.specs[name] for name in call.outputs]
        wanted = wire.Wanted(self._link.challenger.version, specs, call.rows if champion.row_by_row else None)
        try:
            outputs = wire.decode(found, wanted)
        except wire.Nonsense as nonsense:
            return Judged("Invalid", str(nonsense))
        for spec, array in zip(specs, outputs, strict=True):
            if array.dtype.kind == "f" and not np.isfinite(array).all():
                return Judged("Invalid", f"output {spec.name[:100]!r}: not every number is finite", outputs, True)
        return Judged("Answered", "", outputs)

    def _fall_back(self, asked: Asked, judged: Judged) -> None:
        """The champion answers."""
        now = time.perf_counter()
        call, version = asked.call, self._champion.version

        def answer(found: Outputs) -> None:
            if not judged.doubtful:
                asked.answer(found, version, FELL_BACK, now)
            elif judged.outputs is not None and not isinstance(found, RequestError) and _fits(judged.outputs, found):
                self._settle(Judged("Answered", ""))
                asked.answer(judged.outputs, self._link.challenger.version, FORWARDED)
            else:
                if judged.outputs is None and isinstance(found, ModelFailed):
                    self._says_nothing()
                else:
                    self._settle(judged)
                asked.answer(found, version, FELL_BACK, now)

        call.answer = answer
        call.expires = min(asked.deadline, now + self._champion.patience)
        self._champion.submit(call)

    def _settle(self, judged: Judged) -> None:
        self._link.counts.forwarded[judged.outcome] += 1
        self._link.record(judged.outcome, judged.finding)

    def _says_nothing(self) -> None:
        """It was sent, but its end is the request's own doing: as if it had been kept."""
        self._link.counts.kept += 1
        self._link.untold()


def _fits(challenger: list[Array], champion: list[Array]) -> bool:
    """Whether the challenger has NaN and infinity only where the champion has them too."""
    for left, right in zip(challenger, champion, strict=True):
        if left.dtype.kind != "f":
            continue
        if left.shape != right.shape or not (np.isfinite(left) | ~np.isfinite(right)).all():
            return False
    return True
