"""The server's side of prediction logging: an append for each response, and a little work for every few thousand values."""

import asyncio
import logging
import secrets
import time
from pathlib import Path
from typing import Any

from flywheel_serving.errors import InvalidRequest, NotFound, RequestError
from flywheel_serving.infer.batcher import Batch, BatchItem
from flywheel_serving.infer.extensions import Completion
from flywheel_serving.infer.requests import DIRECT, Assignment, InferRequest
from flywheel_serving.infer.runner import ModelResult
from flywheel_serving.model.datatypes import Array
from flywheel_serving.model.signature import Signature
from flywheel_serving.prediction_log.batches import BatchEncoder, BatchShape, LoggedRequest, encode_message
from flywheel_serving.prediction_log.config import MAX_KEY_LENGTH, LogConfig, sample_position, sample_threshold
from flywheel_serving.prediction_log.count_windows import CountWindows
from flywheel_serving.prediction_log.counts import Counts, counts_of_baseline
from flywheel_serving.prediction_log.explanations import LoggedExplanations
from flywheel_serving.prediction_log.labels import LabelLog
from flywheel_serving.prediction_log.metrics import LogMetrics
from flywheel_serving.prediction_log.schema import usable_row_schema
from flywheel_serving.prediction_log.service_counts import ServiceCounts
from flywheel_serving.prediction_log.sink_connection import SinkConnection

BATCH_REQUESTS = 64  # objects that outlive their request are work for the garbage collector
BATCH_BYTES = 1024 * 1024  # of request bodies, which binary tensors keep in memory
BATCH_SECONDS = 1.0
MAX_MESSAGE_BYTES = 2 * 1024 * 1024

log = logging.getLogger(__name__)


class PredictionRecorder:
    """Belongs to the event loop. Nothing here waits, and only `row_keys` and `add_labels` raise."""

    def __init__(
        self,
        config: LogConfig,
        model_folder: Path,
        signature: Signature,
        version: str,
        service: ServiceCounts | None = None,
        explanations: LoggedExplanations | None = None,
    ) -> None:
        """Reads the baseline in `model_folder`. If `config` does not fit the model, this is logged and no row is."""
        self.metrics = LogMetrics()
        self._config, self._version, self._input_names = config, version, signature.input_names
        self._boot = secrets.token_hex(6)
        self._generated_ids, self._id_prefix = 0, self._boot
        self._threshold, self._samples_all = sample_threshold(config.sample), config.sample >= 1
        self._samples_none = not config.sample  # then no id has to be hashed
        self._unsent: list[LoggedRequest] = []
        self._held_bytes = 0
        self._timer: asyncio.TimerHandle | None = None
        schema = usable_row_schema(signature, config)
        self._encoder = BatchEncoder(schema) if schema else None
        self._explanations = explanations
        if explanations is not None:
            explanations.bind(self._send_by_shape, self.metrics)
        self._counts, baseline_digest = counts_of_baseline(model_folder, signature)
        described = {"boot": self._boot, "version": version, "digest": config.digest, "baseline": baseline_digest}
        identity = {"service": config.service, "namespace": config.namespace, "pod": config.pod, **described}
        self._windows = CountWindows(identity, self._send_message, self.metrics, service=service)
        self._labels = LabelLog(config, self._send_message, self.metrics)
        greeting = encode_message({"schema": schema, "version": version, "boot": self._boot})
        self._sink = SinkConnection(config.socket, greeting, self.metrics, self._resend, self._on_written)

    @property
    def key(self) -> str:
        """The input or parameter that joins labels; empty for none."""
        return self._config.key

    def start(self) -> None:
        """Connects to the sink and starts the clock of the windows; on the event loop."""
        self._loop = asyncio.get_running_loop()
        self._id_prefix = self._prefix_ids()
        self._sink.start()
        self._schedule_window()

    def row_keys(self, tensors: dict[str, Array], parameters: dict[str, Any] | None) -> list[str] | None:
        """The join key of each row: the configured parameter, or extra input, which is removed from `tensors`.

        Raises InvalidRequest if it is neither text nor whole numbers.
        """
        name = self._config.key
        if not name:
            return None
        if name in tensors:
            return self._tensor_keys(name, tensors)
        value = parameters.get(name) if parameters else None
        if value is None:
            return None
        if type(value) not in (str, int):
            raise InvalidRequest(f"parameters.{name}: wanted text or a whole number, since it joins labels")
        return [str(value)[:MAX_KEY_LENGTH]]

    def _tensor_keys(self, name: str, tensors: dict[str, Array]) -> list[str]:
        is_model_input = name in self._input_names
        array = tensors[name] if is_model_input else tensors.pop(name)
        if array.dtype.kind not in "Oiu" and not is_model_input:
            raise InvalidRequest(
                f"input {name!r}: wanted BYTES or whole numbers, since it joins labels; found {array.dtype}"
            )
        others = (other for other_name, other in tensors.items() if other_name != name and other.ndim)
        rows = next((len(other) for other in others), array.size)
        if array.size != rows:
            raise InvalidRequest(f"input {name!r}: {array.size} keys for {rows} rows; send one for each row")
        return [str(value)[:MAX_KEY_LENGTH] for value in array.ravel().tolist()]

    def add_labels(self, body: bytes, peer: str, caller: str) -> int:
        """Logs the labels in `body` and returns their number. Raises RequestError."""
        if self._encoder is None:
            raise NotFound(
                "labels: this service logs no predictions, since spec.logging.columns does not fit its model; correct it"
            )
        return self._labels.add(body, peer, caller)

    def record_on(
        self,
        complete: Completion,
        item: BatchItem,
        request: InferRequest,
        row_keys: list[str] | None,
        *,
        is_sampled: bool,
        assignment: Assignment | None = None,
    ) -> Completion:
        """`complete`, which also records what it is given: as in Recorder."""
        request_id, counts = request.id, None if item.counted else self._counts
        # Copied from `item`, which will hold `record`: the cycle would be work for the garbage collector.
        feeds, outputs, rows, start = item.feeds, item.outputs, item.rows, item.submitted
        layout, block, body_bytes = item.layout, item.block, request.body_bytes

        def record(
            result: ModelResult, version: str = self._version, route: str = DIRECT, started: float = start
        ) -> None:
            complete(result, version, route, started)
            if isinstance(result, RequestError):
                return
            try:
                if counts is not None:
                    own = result if version == self._version else None
                    if counts.observe(feeds, outputs, own, rows, layout, block):
                        self._count_observed(counts)
                if is_sampled:
                    now_us, latency = time.time_ns() // 1000, time.perf_counter() - start
                    arrays = dict(zip(outputs, result, strict=True))
                    logged = LoggedRequest(request_id, now_us, feeds, arrays, rows, latency, version, route, row_keys)
                    logged.assignment = assignment
                    self._unsent.append(logged)
                    self._held_bytes += body_bytes
                    self._send_if_enough()
            except Exception:  # a fault here must not reach the batch's other requests
                log.exception("request %r was not recorded", request_id)

        return record

    def count_batch(self, batch: Batch, outputs: list[Array]) -> None:
        """Counts the direct requests of one call of the model; `outputs` are the call's."""
        counts, items = self._counts, batch.items
        if counts is None:
            return
        try:
            names = batch.outputs
            for item in items:  # a generator in all() takes twice the time
                if not item.counted or item.outputs is not names:
                    is_due = self._observe_each(counts, batch, outputs)
                    break
            else:
                is_due = counts.observe(batch.feeds, names, outputs, batch.rows, batch.layout, batch.block, len(items))
            if is_due:
                self._count_observed(counts)
        except Exception:  # a fault here must not reach the requests that wait
            log.exception("%d requests were not counted", len(items))

    def _observe_each(self, counts: Counts, batch: Batch, outputs: list[Array]) -> bool:
        start, is_due, by_name = 0, False, dict(zip(batch.outputs, outputs, strict=True))
        for item in batch.items:
            end = start + item.rows
            if item.counted:
                own = [by_name[name][start:end] for name in item.outputs]
                is_due = counts.observe(item.feeds, item.outputs, own, item.rows, item.layout, item.block)
            start = end
        return is_due

    def _count_observed(self, counts: Counts) -> None:
        try:
            self._windows.add_totals(*counts.observed)
            counts.count_observed()
        except Exception:  # a fault here must not reach a request, nor end the windows
            log.exception("counting of predictions failed")

    def samples(self, request: InferRequest) -> bool:
        """Whether the request is in the sample, as in Recorder."""
        if not request.id:
            self._generated_ids += 1
            request.id = f"{self._id_prefix}-{self._generated_ids}"
        if self._samples_all or self._samples_none:
            return self._samples_all
        return sample_position(request.id) < self._threshold

    def _prefix_ids(self) -> str:
        """What generated ids begin with until the next window: a reader finds a row among thousands of files by the minute."""
        return f"{self._boot}-{int(time.time() // 60):x}"

    def _send_if_enough(self) -> None:
        if self._held_bytes >= BATCH_BYTES or len(self._unsent) >= BATCH_REQUESTS:
            self._send_rows()
        elif self._timer is None:
            self._timer = self._loop.call_later(BATCH_SECONDS, self._send_rows)

    def _send_rows(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        unsent, self._unsent = self._unsent, []
        self._held_bytes = 0
        try:
            if self._explanations is not None:
                unsent = self._explanations.take(unsent)
            self._send_by_shape(unsent)
        except Exception:  # a fault here must not reach a request
            log.exception("logging of predictions failed for %d requests", len(unsent))

    def _send_by_shape(self, requests: list[LoggedRequest]) -> None:
        encoder = self._encoder
        if encoder is None:
            self.metrics.dropped["misconfigured"] += sum([request.rows for request in requests])
            return
        groups: dict[BatchShape, list[LoggedRequest]] = {}
        for request in requests:
            groups.setdefault(encoder.shape(request), []).append(request)
        for shape, group in groups.items():
            self._send(encoder, shape, group)

    def _send(self, encoder: BatchEncoder, shape: BatchShape, requests: list[LoggedRequest]) -> None:
        rows = sum([request.rows for request in requests])
        message = encoder.encode(shape, requests)
        if len(message) <= MAX_MESSAGE_BYTES:
            if not self._send_message(message, rows):
                self.metrics.dropped["full"] += rows
        elif len(requests) > 1:  # only the request that is too large is dropped
            for request in requests:
                self._send(encoder, shape, [request])
        elif requests[0].explanations is not None:  # the row alone may fit
            requests[0].explanations = None
            self._send(encoder, shape, requests)
        else:
            self.metrics.dropped["too_large"] += rows

    def _send_message(self, message: bytes, rows: int) -> bool:
        return self._sink.send(message, rows)

    def _resend(self) -> None:
        self._windows.resend()
        self._labels.resend()

    def _on_written(self, acknowledgement: dict[str, Any]) -> None:
        if "labels" in acknowledgement:
            self._labels.on_written(acknowledgement["labels"])
        else:
            self._windows.on_written(acknowledgement)

    def _schedule_window(self) -> None:
        seconds = self._config.seconds
        self._window_timer = self._loop.call_later(seconds - time.time() % seconds, self._on_window_end)

    def _on_window_end(self) -> None:
        self._id_prefix = self._prefix_ids()
        self._close_window()
        self._labels.send_unsent()
        self._schedule_window()

    def _close_window(self) -> None:
        self._send_rows()
        if self._counts is not None:
            self._count_observed(self._counts)
        self._windows.close_window(self._counts)

    async def close(self) -> None:
        """Sends what is left, and gives the sink time to write it."""
        self._send_rows()
        if self._explanations is not None:
            await self._explanations.close()
        self._window_timer.cancel()
        self._close_window()
        await self._sink.close(self._config.drain_seconds + 1)
        self._windows.give_up()
        self._labels.give_up()
        rows, dropped = self.metrics.rows, self.metrics.dropped.total()
        log.info("predictions logged", extra={"facts": {"rows": rows, "dropped": dropped, **self.metrics.windows}})
