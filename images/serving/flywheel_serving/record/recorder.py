"""The server's side of logging: an append for each answer, and a little work for every thousand values."""

import asyncio
import logging
import random
import secrets
import time
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson

from flywheel_serving.batcher import Call, Outputs, Run
from flywheel_serving.datatypes import Array
from flywheel_serving.errors import InvalidRequest, RequestError
from flywheel_serving.record import baseline, frames
from flywheel_serving.record.counts import Counts, Seen
from flywheel_serving.record.frames import Answer as Recorded
from flywheel_serving.record.frames import Packer, Shape
from flywheel_serving.record.layout import Layout, layout
from flywheel_serving.record.metrics import RecordMetrics
from flywheel_serving.record.order import Order, place, threshold
from flywheel_serving.record.pipe import Pipe
from flywheel_serving.route.champion import DIRECT, Answer
from flywheel_serving.signature import Signature

# Work is done for so many values at once: enough that numpy's fixed costs are shared, few enough that nobody waits 0.1 ms for it.
BATCH_VALUES = 4_096
BATCH_REQUESTS = 64  # what lives on after its request is work for the garbage collector
BATCH_BYTES = 1024 * 1024  # of request bodies, which binary tensors keep in memory
BATCH_SECONDS = 1.0
FRAME_BYTES = 2 * 1024 * 1024
KEPT_BYTES = 4 * 1024 * 1024  # of counts that the store has not acknowledged
KEY_LENGTH = 200

log = logging.getLogger(__name__)


class Recorder:
    """Belongs to the event loop. `record` never waits and never raises."""

    def __init__(self, order: Order, folder: Path, signature: Signature, version: str) -> None:
        """Reads the baseline in `folder`. An order that does not fit the model is said once, and then nothing is logged."""
        self.metrics = RecordMetrics()
        self._order, self._version, self._inputs = order, version, signature.names
        self._boot = secrets.token_hex(6)
        self._made = 0
        self._below = threshold(order.sample)
        self._pending: list[Recorded] = []
        self._uncounted: list[Seen] = []
        self._values = self._held = 0
        self._timer: asyncio.TimerHandle | None = None
        fitting = self._fitting(signature)
        self._packer = Packer(fitting) if fitting else None
        self._counts, self._baseline = self._counting(folder, signature)
        self._values_of_a_row = self._counts.values if self._counts else 1
        self._kept: dict[int, tuple[bytes, bool]] = {}  # windows of counts by number, and whether the sink has them
        self._window, self._since = 0, time.time()
        self._total_requests = self._total_rows = 0
        facts = {"version": version, "digest": order.digest, "baseline": self._baseline, "boot": self._boot}
        sink = {"order": order.document(), "layout": fitting.document() if fitting else None, **facts}
        self._pipe = Pipe([orjson.dumps(sink).decode()], self.metrics, self._hand_counts_again, self._count_written)

    def _fitting(self, signature: Signature) -> Layout | None:
        try:
            return layout(signature, self._order)
        except ValueError as error:
            log.error("predictions are not logged: %s; correct spec.logging.columns", error)  # noqa: TRY400  no bug of ours
            return None

    def _counting(self, folder: Path, signature: Signature) -> tuple[Counts | None, str]:
        try:
            found = baseline.read(folder / "baseline.json", signature)
        except baseline.BaselineInvalid as error:
            log.warning("requests are not counted: %s", error)
            return None, ""
        if found is None:
            log.info("requests are not counted: this model has no baseline.json; one trained by Flywheel has")
            return None, ""
        return Counts(found), found.digest

    def start(self) -> None:
        """Starts the sink and the clock of the counts' windows; on the event loop."""
        self._loop = asyncio.get_running_loop()
        self._pipe.start()
        self._tick_later()

    def keys(self, tensors: dict[str, Array], parameters: dict[str, Any] | None) -> list[str] | None:
        """The key of each row: from the parameter or the extra input of its name, which the model must not see.

        Raises InvalidRequest where it is neither text nor whole numbers.
        """
        name, inputs = self._order.key, self._inputs
        if not name:
            return None
        if name in tensors:
            array = tensors[name] if name in inputs else tensors.pop(name)
            if array.dtype.kind not in "Oiu" and name not in inputs:
                raise InvalidRequest(
                    f"input {name!r}: wanted BYTES or whole numbers, since it joins labels; found {array.dtype}"
                )
            rows = next((len(other) for given, other in tensors.items() if given != name and other.ndim), array.size)
            if array.size != rows:
                raise InvalidRequest(f"input {name!r}: {array.size} keys for {rows} rows; send one for each row")
            return [str(value)[:KEY_LENGTH] for value in array.ravel().tolist()]
        found = parameters.get(name) if parameters else None
        if found is None:
            return None
        if type(found) not in (str, int):
            raise InvalidRequest(f"parameters.{name}: wanted text or a whole number, since it joins labels")
        return [str(found)[:KEY_LENGTH]]

    def recording(
        self, call: Call, answer: Answer, request_id: str, size: int, keys: list[str] | None, *, is_direct: bool
    ) -> Answer:
        """`answer`, with what it is given recorded; `size` is the length of the request's body.

        Where `is_direct`, this server's model answers for sure, and the request is counted with all others of its run (`count`).
        """
        name = self._sampled(request_id)
        if is_direct:
            call.counted = True
            if not name:
                return answer
        # Not `call` itself: it will hold what is made here, and only the garbage collector would part them.
        feeds, names, rows, start = call.feeds, call.outputs, call.rows, call.submitted
        form, block = call.form, call.block

        def record(found: Outputs, version: str = self._version, route: str = DIRECT, began: float = start) -> None:
            answer(found, version, route, began)
            if isinstance(found, RequestError):
                return
            if not is_direct:
                self._see(feeds, names, found if version == self._version else None, rows, form, block)
            if name:
                now, seconds = time.time_ns() // 1000, time.perf_counter() - start
                given = dict(zip(names, found, strict=True))
                self._pending.append(Recorded(name, now, feeds, given, rows, seconds, version, route, keys))
                self._held += size
            self._when_enough()

        return record

    def count(self, run: Run, found: list[Array]) -> None:
        """The requests of one call of the model that are to be counted; `found` are its outputs."""
        if self._counts is None:
            return
        try:
            alike = [call for call in run.calls if call.counted and call.outputs == run.outputs]
            if len(alike) == len(run.calls):
                self._see(run.feeds, run.outputs, found, run.rows, run.form, run.block, len(run.calls))
            else:
                self._count_each(run, found)
            self._when_enough()
        except Exception:  # a fault of ours in what nobody waits for must not reach the requests that wait
            log.exception("%d requests were not counted", len(run.calls))

    def _count_each(self, run: Run, found: list[Array]) -> None:
        start, by_name = 0, dict(zip(run.outputs, found, strict=True))
        for call in run.calls:
            end = start + call.rows
            if call.counted:
                own = [by_name[name][start:end] for name in call.outputs]
                self._see(call.feeds, call.outputs, own, call.rows, call.form, call.block)
            start = end

    def _see(
        self,
        feeds: dict[str, Array],
        names: list[str],
        found: list[Array] | None,
        rows: int,
        form: object,
        block: Array | None,
        requests: int = 1,
    ) -> None:
        if self._counts is not None:
            self._uncounted.append(self._counts.seen(feeds, names, found, rows, form, block, requests))
            self._values += rows * self._values_of_a_row

    def _sampled(self, request_id: str) -> str:
        """The id under which a request is logged; empty where it is not. Nobody asks for a request without an id, so chance may pick it."""
        if request_id:
            return request_id if place(request_id) < self._below else ""
        if random.random() >= self._order.sample:
            return ""
        self._made += 1
        return f"{self._boot}-{self._made}"

    def _when_enough(self) -> None:
        if self._values >= BATCH_VALUES or self._held >= BATCH_BYTES or len(self._pending) >= BATCH_REQUESTS:
            self._work()
        elif self._timer is None and (self._values or self._pending):
            self._timer = self._loop.call_later(BATCH_SECONDS, self._work)

    def _work(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        batch, self._pending = self._pending, []
        uncounted, self._uncounted = self._uncounted, []
        self._values = self._held = 0
        self._total_requests += sum([seen.requests for seen in uncounted])
        self._total_rows += sum([seen.rows for seen in uncounted])
        try:
            if self._counts is not None and uncounted:
                self._counts.add(uncounted)
            self._log(batch)
        except Exception:  # a fault of ours in what nobody waits for must not reach a request
            log.exception("logging of predictions failed for %d requests", len(batch))

    def _log(self, batch: list[Recorded]) -> None:
        groups: dict[Shape | None, list[Recorded]] = {}
        packer = self._packer
        for answer in batch:
            groups.setdefault(packer.shape(answer) if packer else None, []).append(answer)
        for shape, answers in groups.items():
            self._send(shape, answers)

    def _send(self, shape: Shape | None, answers: list[Recorded]) -> None:
        rows = sum([answer.rows for answer in answers])
        if shape is None or self._packer is None:
            self.metrics.dropped["misconfigured"] += rows
            return
        frame = self._packer.pack(shape, answers)
        if len(frame) <= FRAME_BYTES:
            if not self._pipe.send(frame, rows):
                self.metrics.dropped["full"] += rows
        elif len(answers) > 1:  # only the one that is too large is left out
            for answer in answers:
                self._send(shape, [answer])
        else:
            self.metrics.dropped["too_large"] += rows

    def _tick_later(self) -> None:
        seconds = self._order.seconds
        self._tick = self._loop.call_later(seconds - time.time() % seconds, self._on_tick)

    def _on_tick(self) -> None:
        self._work()
        self._close_window()
        self._tick_later()

    def _close_window(self) -> None:
        """The counts since the last window become a document that is written once, under a name of its own."""
        if self._counts is not None and self._counts.requests:
            now = time.time()
            order = self._order
            document = {
                "v": 1,
                "service": order.service,
                "namespace": order.namespace,
                "pod": order.pod,
                "boot": self._boot,
                "window": self._window,
                "from": _time(self._since),
                "to": _time(now),
                "version": self._version,
                "digest": order.digest,
                "baseline": self._baseline,
                "sinceBoot": {"requests": self._total_requests, "rows": self._total_rows},
                **self._counts.take(),
            }
            head = {"kind": "counts", "window": self._window, "from": self._since, "document": document}
            self._kept[self._window] = (frames.pack(head), False)
            self._window, self._since = self._window + 1, now
        while sum(len(frame) for frame, _ in self._kept.values()) > KEPT_BYTES:
            self._kept.pop(next(iter(self._kept)))
            self.metrics.flushes["lost"] += 1
        self._hand_counts(window for window, (_, handed) in self._kept.items() if not handed)

    def _hand_counts(self, windows: Iterable[int]) -> None:
        for window in list(windows):
            frame, _ = self._kept[window]
            self._kept[window] = (frame, self._pipe.send(frame, 0))

    def _hand_counts_again(self) -> None:
        """A new sink knows nothing of what the old one had; a window that is in the store already stays as it is."""
        self._hand_counts(self._kept)

    def _count_written(self, answer: dict[str, Any]) -> None:
        if self._kept.pop(answer["window"], None) is not None:
            self.metrics.flushes[answer["outcome"]] += 1

    async def close(self) -> None:
        """Hands over what is left, and gives the sink its time to write it."""
        self._work()
        self._tick.cancel()
        self._close_window()
        await self._pipe.close(self._order.drain_seconds + 1)
        self.metrics.flushes["lost"] += len(self._kept)
        rows, dropped = self.metrics.rows, self.metrics.dropped.total()
        log.info("predictions logged", extra={"facts": {"rows": rows, "dropped": dropped, **self.metrics.flushes}})


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
