"""One challenger as the champion's server uses it: connections, breaker, counts, and one log line for each kind of failure."""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from flywheel_serving.infer.local_model import LocalModel
from flywheel_serving.model.datatypes import Array
from flywheel_serving.route import codec
from flywheel_serving.route.breaker import Breaker
from flywheel_serving.route.connection_pool import ConnectionPool, NoResponse
from flywheel_serving.route.metrics import ChallengerCounts
from flywheel_serving.route.route_file import Challenger

NOT_SENT = "NotSent"

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, eq=False)
class ForwardedRequest:
    """What a challenger is sent; of `headers`, only those in PASSED_ON_HEADERS."""

    id: str
    headers: Mapping[bytes, bytes]
    feeds: Mapping[str, Array]
    output_names: Sequence[str]
    rows: int


@dataclass(frozen=True)
class ForwardResult:
    """What came of one request to a challenger.

    If `needs_comparison`, it counts as a failure only if the local model does not do the same with this request.
    """

    outcome: str  # NotSent, Answered, Failed, Late or Invalid
    finding: str
    outputs: list[Array] | None = None
    needs_comparison: bool = False


class Upstream:
    """Lives as long as the challenger is the same, whatever its share."""

    def __init__(
        self, local_model: LocalModel, challenger: Challenger, max_body_bytes: int, counts: ChallengerCounts
    ) -> None:
        self.challenger = challenger
        self.pool = ConnectionPool(challenger.host, challenger.port, max_body_bytes)
        self.counts = counts
        counts.breaker_open = False
        self._local_model = local_model
        self._encoder = codec.RequestEncoder(local_model.name, challenger)
        self._breaker = Breaker()
        self._logged_outcomes: set[str] = set()

    def send(
        self, request: ForwardedRequest, timeout_seconds: float, on_result: Callable[[ForwardResult], None]
    ) -> None:
        """Sends the request, and gives `on_result` what came of it: NOT_SENT at once, all else later."""
        try:
            inputs = {spec.name: (spec, request.feeds[spec.name]) for spec in self._local_model.signature.inputs}
            payload = self._encoder.encode(
                request.id,
                inputs,
                request.output_names,
                timeout_seconds,
                request.headers,
                with_class_names=self.challenger.version not in self._local_model.other_class_names,
            )
        except Exception as error:  # whatever is wrong here, the client must get its response
            log.exception("a request for version %s could not be encoded", self.challenger.version)
            on_result(ForwardResult(NOT_SENT, f"{type(error).__name__}: {error}"))
            return
        self.pool.send(
            payload, max(0.0, timeout_seconds), lambda received: on_result(self._read_safely(received, request))
        )

    def _read_safely(self, received: codec.UpstreamResponse | NoResponse, request: ForwardedRequest) -> ForwardResult:
        try:
            return self._read(received, request)
        except Exception as error:  # whatever is wrong here, the client must get its response
            log.exception("a response of version %s could not be decoded", self.challenger.version)
            return ForwardResult("Invalid", f"{type(error).__name__}: {error}")

    def _read(self, received: codec.UpstreamResponse | NoResponse, request: ForwardedRequest) -> ForwardResult:
        """The outputs of the response, or why there are none."""
        if isinstance(received, NoResponse):
            return ForwardResult("Late" if received.is_late else "Failed", received.finding)
        if received.status != 200:
            finding = f"status {received.status}: {received.body[:200].decode('utf-8', 'replace')}"
            # 504: the challenger itself was late. 500: its model failed on this input.
            outcome = "Late" if received.status == 504 else "Failed"
            return ForwardResult(outcome, finding, needs_comparison=received.status == 500)
        local_model = self._local_model
        specs = [local_model.output_specs[name] for name in request.output_names]
        rows = request.rows if local_model.signature.batched else None
        try:
            decoded = codec.decode(received, self.challenger.version, specs, rows)
        except codec.InvalidResponse as error:
            return ForwardResult("Invalid", str(error))
        if decoded.class_names is not None:
            local_model.other_class_names[self.challenger.version] = decoded.class_names
        return ForwardResult("Answered", "", decoded.outputs)

    def allow(self) -> bool:
        """Whether a request may be sent; then `record` or `cancel` must follow."""
        return self._breaker.allow(time.perf_counter())

    def cancel(self) -> None:
        """Ends an allowed request that showed nothing about the challenger."""
        self._breaker.cancel()

    def record(self, outcome: str, finding: str) -> None:
        """Notes how an allowed request ended; `finding` says what was wrong unless it was Answered."""
        was_open = self._breaker.is_open
        self._breaker.record(outcome == "Answered", time.perf_counter())
        is_open = self.counts.breaker_open = self._breaker.is_open
        if finding:
            self.log_first(outcome, finding)
        if is_open and not was_open:
            log.warning("%s: forwarding stops until a trial succeeds; the last was %s: %s", self, outcome, finding)
        elif was_open and not is_open:
            log.info("%s: a trial succeeded, forwarding continues", self)

    def log_first(self, outcome: str, finding: str) -> None:
        """Logs the first finding of each outcome: a failing challenger must not fill the champion's log."""
        if outcome not in self._logged_outcomes:
            self._logged_outcomes.add(outcome)
            log.warning("%s: %s: %s; the champion answers", self, outcome, finding)

    def close(self) -> None:
        self.pool.close()

    def __str__(self) -> str:
        challenger = self.challenger
        return f"challenger {challenger.version!r} at {challenger.host}:{challenger.port}"
