"""Shadow: the local model answers; a copy of the request then goes to the challenger, and both responses are compared.

local model -> client
          `-> queue (bounded, else Dropped) -> challenger -> compare -> counts, top differences
"""

import asyncio
import logging
from collections import deque
from dataclasses import dataclass
from functools import partial

from flywheel_serving.errors import RequestError
from flywheel_serving.infer.extensions import RoutedRequest
from flywheel_serving.infer.local_model import LocalModel
from flywheel_serving.infer.requests import FORWARDED_HEADER, Assignment, InferRequest
from flywheel_serving.infer.runner import ModelResult
from flywheel_serving.model.datatypes import Array
from flywheel_serving.route.codec import PASSED_ON_HEADERS
from flywheel_serving.route.comparison import Comparison, compare, in_class_order
from flywheel_serving.route.route_file import Route
from flywheel_serving.route.top_differences import MAX_EXAMPLE_BYTES, Example, example_values
from flywheel_serving.route.traffic_split import TrafficSplit
from flywheel_serving.route.upstream import ForwardedRequest, ForwardResult, Upstream

MAX_COPIES_IN_FLIGHT = 8
MAX_QUEUED_COPIES = 256
MAX_QUEUED_BYTES = 32 * 1024 * 1024
TEXT_OVERHEAD_BYTES = 64  # of one Python text, approximately

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, eq=False)
class Copy:
    """The tensors of an answered request, without its body, which may be several times as large."""

    request: ForwardedRequest
    outputs: list[Array]  # of the local model
    approximate_bytes: int


class Shadow:
    """A route whose challenger gets copies of its share of the requests."""

    def __init__(self, local_model: LocalModel, route: Route, upstream: Upstream) -> None:
        self._local_model = local_model
        self._route = route
        self._upstream = upstream
        self._split = TrafficSplit(route)
        self._queue: deque[Copy] = deque()
        self._held_bytes = 0  # of the copies that wait or are in flight
        self._in_flight = 0

    def assign(self, _request: InferRequest, _row_keys: list[str] | None) -> Assignment | None:
        """None: a shadow is no A/B test."""
        return None

    def submit(self, request: RoutedRequest) -> None:
        """Lets the local model complete `request`, and copies it if the split selects it."""
        item, complete, version = request.item, request.complete, self._local_model.version
        if not request.pinned and FORWARDED_HEADER not in request.headers and self._split.selects(request.headers):

            def on_result(result: ModelResult) -> None:
                complete(result, version)
                if isinstance(result, RequestError):
                    return
                try:
                    self._copy(request, result)
                except Exception:  # a fault here must not reach the batch's other requests
                    log.exception("a request could not be copied for version %s", self._upstream.challenger.version)
                    self._upstream.counts.compared["Dropped"] += 1

            item.on_result = on_result
        self._local_model.submit(item)

    def close(self) -> None:
        """Drops the copies that wait."""
        self._upstream.counts.compared["Dropped"] += len(self._queue)
        self._held_bytes -= sum([copy.approximate_bytes for copy in self._queue])
        self._queue.clear()

    def _copy(self, request: RoutedRequest, outputs: list[Array]) -> None:
        item, headers = request.item, request.headers
        size = sum(map(_approximate_bytes, (*item.feeds.values(), *outputs)))
        if len(self._queue) >= MAX_QUEUED_COPIES or self._held_bytes + size > MAX_QUEUED_BYTES:
            self._upstream.counts.compared["Dropped"] += 1
            return
        self._held_bytes += size
        passed_on = {name: headers[name] for name in PASSED_ON_HEADERS if name in headers}
        copied = ForwardedRequest(request.id, passed_on, item.feeds, item.outputs, item.rows)
        self._queue.append(Copy(copied, outputs, size))
        asyncio.get_running_loop().call_soon(self._send_queued)  # the client's response is written first

    def _send_queued(self) -> None:
        while self._queue and self._in_flight < MAX_COPIES_IN_FLIGHT:
            copy = self._queue.popleft()
            self._in_flight += 1
            self._upstream.send(copy.request, self._route.timeout_seconds, partial(self._on_result, copy))

    def _on_result(self, copy: Copy, result: ForwardResult) -> None:
        self._in_flight -= 1
        self._held_bytes -= copy.approximate_bytes
        try:
            outcome = self._outcome(copy, result)
        except Exception:  # the copies behind this one must go on
            log.exception("a response of version %s could not be compared", self._upstream.challenger.version)
            outcome = "Failed"
        self._upstream.counts.compared[outcome] += 1
        self._send_queued()

    def _outcome(self, copy: Copy, result: ForwardResult) -> str:
        upstream, route = self._upstream, self._route
        if result.outputs is None:
            outcome = "Late" if result.outcome == "Late" else "Failed"
            upstream.log_first(outcome, result.finding)
            return outcome
        local_model, counts = self._local_model, upstream.counts
        classes = local_model.signature.class_names
        outputs = in_class_order(result.outputs, local_model.class_names(upstream.challenger.version), classes)
        if outputs is None:
            outputs, comparison = result.outputs, Comparison(False, float("inf"), 0)
        else:
            comparison = compare(copy.outputs, outputs, route.absolute_tolerance, route.relative_tolerance)
        counts.largest_difference = max(counts.largest_difference, comparison.difference)
        if comparison.agrees:
            return "Agreed"
        counts.top_differences.add(comparison.difference, lambda: self._example(copy, outputs, comparison))
        return "Disagreed"

    def _example(self, copy: Copy, outputs: list[Array], comparison: Comparison) -> Example:
        """The row that differs most; the whole request if the outputs' rows are not the inputs'."""
        independent = self._local_model.rows_are_independent
        row = slice(comparison.row, comparison.row + 1) if independent else slice(None)
        request = copy.request
        names = request.output_names
        return {
            "id": request.id[:MAX_EXAMPLE_BYTES],
            "inputs": {name: example_values(array[row]) for name, array in request.feeds.items()},
            "champion": {name: example_values(a[row]) for name, a in zip(names, copy.outputs, strict=True)},
            "challenger": {name: example_values(a[row]) for name, a in zip(names, outputs, strict=True)},
        }


def _approximate_bytes(array: Array) -> int:
    if array.dtype.kind != "O":
        return array.nbytes
    return sum(map(len, array.ravel().tolist())) + TEXT_OVERHEAD_BYTES * array.size
