"""Canary: the challenger answers its share; the local model answers whatever the challenger does not, or not validly or in time.

selected -> capacity and breaker allow? -> challenger -> valid response ------------------> client
                 `- no: local model -> client     `- failed, late, invalid -> local model -> client
"""

import hashlib
import time
from dataclasses import replace

import numpy as np

from flywheel_serving.errors import ModelFailed, RequestError
from flywheel_serving.infer.extensions import RoutedRequest
from flywheel_serving.infer.local_model import LocalModel
from flywheel_serving.infer.requests import (
    CHALLENGER_ARM,
    CHAMPION_ARM,
    FELL_BACK,
    FORWARDED,
    FORWARDED_HEADER,
    NOT_FORWARDED,
    Assignment,
    InferRequest,
)
from flywheel_serving.infer.runner import ModelResult
from flywheel_serving.model.datatypes import Array
from flywheel_serving.route.route_file import Route
from flywheel_serving.route.traffic_split import ALL_HUNDREDTHS, TrafficSplit
from flywheel_serving.route.upstream import NOT_SENT, ForwardedRequest, ForwardResult, Upstream

UNIT_BYTES = 16
POSITION_BYTES = 8  # of a unit, by which its arm is chosen


class Canary:
    """A route whose challenger answers its share of the requests."""

    def __init__(self, local_model: LocalModel, route: Route, upstream: Upstream) -> None:
        self._local_model = local_model
        self._route = route
        self._upstream = upstream
        self._split = TrafficSplit(route)
        # A challenger that hangs holds its requests until they are late: most of the capacity stays for the local model.
        self._max_forwarded = max(1, local_model.limits.in_flight // 4)

    def assign(self, _request: InferRequest, _row_keys: list[str] | None) -> Assignment | None:
        """None: a canary is no A/B test."""
        return None

    def submit(self, request: RoutedRequest) -> None:
        """Completes `request` once, later; never with an error that only the challenger has."""
        if request.pinned or FORWARDED_HEADER in request.headers:
            self._local_model.submit(request.item)
        elif self._selects(request) and self._may_forward():
            self._forward(request)
        else:
            self._answer_locally(request)

    def close(self) -> None:
        """Does nothing: requests in flight end here, though another route takes the next ones."""

    def _selects(self, request: RoutedRequest) -> bool:
        return self._split.selects(request.headers)

    def _may_forward(self) -> bool:
        return self._upstream.pool.in_flight < self._max_forwarded and self._upstream.allow()

    def _answer_locally(self, request: RoutedRequest) -> None:
        self._upstream.counts.not_forwarded += 1
        item, complete, version = request.item, request.complete, self._local_model.version
        item.on_result = lambda result: complete(result, version, NOT_FORWARDED)
        self._local_model.submit(item)

    def _forward(self, request: RoutedRequest) -> None:
        # Half of the client's time, so that the local model has the other half.
        route_timeout = self._route.timeout_seconds
        timeout = min(route_timeout, (request.deadline - time.perf_counter()) / 2)
        item, had_full_timeout = request.item, timeout == route_timeout
        self._upstream.send(
            ForwardedRequest(request.id, request.headers, item.feeds, item.outputs, item.rows),
            timeout,
            lambda result: self._on_result(request, _require_finite(result, item.outputs), had_full_timeout),
        )

    def _on_result(self, request: RoutedRequest, result: ForwardResult, had_full_timeout: bool) -> None:
        """`had_full_timeout`: the challenger had all of its time, so that it alone is to blame if it was late."""
        upstream = self._upstream
        if result.outcome == NOT_SENT:
            upstream.cancel()
            self._answer_locally(request)
            return
        if result.outcome == "Answered" and result.outputs is not None:
            self._count(result)
            request.complete(result.outputs, upstream.challenger.version, FORWARDED)
            return
        if result.outcome == "Late" and not had_full_timeout:
            # It does not count against the challenger; the breaker still spares other clients a wait in vain.
            upstream.counts.not_forwarded += 1
            upstream.record(result.outcome, result.finding)
        elif not result.needs_comparison:
            self._count(result)
        self._fall_back(request, result)

    def _fall_back(self, request: RoutedRequest, forwarded: ForwardResult) -> None:
        """Lets the local model answer."""
        now = time.perf_counter()
        item, version, upstream = request.item, self._local_model.version, self._upstream

        def on_result(result: ModelResult) -> None:
            if not forwarded.needs_comparison:
                request.complete(result, version, FELL_BACK, now)
            elif forwarded.outputs is not None and _is_finite_where(forwarded.outputs, result):
                self._count(ForwardResult("Answered", ""))
                request.complete(forwarded.outputs, upstream.challenger.version, FORWARDED)
            else:
                if forwarded.outputs is None and isinstance(result, ModelFailed):
                    upstream.counts.not_forwarded += 1  # both models fail on this request
                    upstream.cancel()
                else:
                    self._count(forwarded)
                request.complete(result, version, FELL_BACK, now)

        item.on_result = on_result
        item.deadline = min(request.deadline, now + self._local_model.limits.queue_seconds)
        self._local_model.submit(item)

    def _count(self, result: ForwardResult) -> None:
        self._upstream.counts.forwarded[result.outcome] += 1
        self._upstream.record(result.outcome, result.finding)


def _require_finite(result: ForwardResult, output_names: list[str]) -> ForwardResult:
    """`result`, or an invalid one if a number in its outputs is not finite."""
    for name, array in zip(output_names, result.outputs or (), strict=False):
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            finding = f"output {name[:100]!r}: not every number is finite"
            return replace(result, outcome="Invalid", finding=finding, needs_comparison=True)
    return result


def _is_finite_where(outputs: list[Array], result: ModelResult) -> bool:
    """Whether every number that is finite in the local model's `result` is finite in the challenger's `outputs` too."""
    if isinstance(result, RequestError):
        return False
    for left, right in zip(outputs, result, strict=True):
        if left.dtype.kind != "f":
            continue
        if left.shape != right.shape or not (np.isfinite(left) | ~np.isfinite(right)).all():
            return False
    return True


class ABTest(Canary):
    """A canary in which all requests of one unit (a user or key) have the same arm, and the log has the arm of each.

    A request belongs to the arm that it was assigned to, also where the champion answered for the challenger (intention to treat): who is asked
    must depend on nothing that a version does. A request without a unit, or with rows of several, is answered by the champion and left out.
    """

    def __init__(self, local_model: LocalModel, route: Route, upstream: Upstream) -> None:
        super().__init__(local_model, route, upstream)
        self._test = route.test
        self._header = route.sticky_header
        self._share_hundredths = route.share_hundredths
        # Another test has other units for the same users, so that the log does not follow them from test to test.
        self._salt = route.test.encode() + b"\0"

    def assign(self, request: InferRequest, row_keys: list[str] | None) -> Assignment | None:
        """The arm of the request's unit; None for one that names its version, or that another server forwarded."""
        if request.pinned or request.is_forwarded:
            return None
        value = self._unit_value(request, row_keys)
        if not value:
            return Assignment(self._test)
        digest = hashlib.blake2b(self._salt + value, digest_size=UNIT_BYTES).digest()
        position = int.from_bytes(digest[:POSITION_BYTES], "big") % ALL_HUNDREDTHS
        arm = CHALLENGER_ARM if position < self._share_hundredths else CHAMPION_ARM
        return Assignment(self._test, digest.hex(), arm)

    def _unit_value(self, request: InferRequest, row_keys: list[str] | None) -> bytes:
        if self._header is not None:
            return (request.headers or {}).get(self._header, b"")
        if not row_keys or row_keys.count(row_keys[0]) != len(row_keys):
            return b""
        return row_keys[0].encode()

    def _selects(self, request: RoutedRequest) -> bool:
        return request.assignment is not None and request.assignment.arm == CHALLENGER_ARM
