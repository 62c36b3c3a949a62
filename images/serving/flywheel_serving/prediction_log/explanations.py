"""Explanations of logged rows: a sample of the requests that are logged waits for them, for a bounded time."""

import logging
from collections.abc import Callable
from functools import partial

import orjson

from flywheel_serving.explanation.sidecar.client import Explained, ExplainerClient
from flywheel_serving.explanation.sidecar.config import ExplainConfig
from flywheel_serving.model.signature import Signature
from flywheel_serving.prediction_log.batches import LoggedRequest
from flywheel_serving.prediction_log.config import LogConfig, sample_position, sample_threshold
from flywheel_serving.prediction_log.metrics import LogMetrics

MAX_BYTES = 512 * 1024  # of one request's explanations, which share a message with its rows
CLOSE_SECONDS = 1.0

log = logging.getLogger(__name__)


class LoggedExplanations:
    """Belongs to the event loop. Each request is logged once, with the explanation or without."""

    def __init__(self, client: ExplainerClient, explain: ExplainConfig, version: str) -> None:
        self._client, self._version = client, version
        self._threshold, self._seconds = sample_threshold(explain.sample), explain.log_seconds

    def bind(self, send: Callable[[list[LoggedRequest]], None], metrics: LogMetrics) -> None:
        """`send` logs requests; `metrics` counts the rows that wait."""
        self._send, self._metrics = send, metrics

    def take(self, requests: list[LoggedRequest]) -> list[LoggedRequest]:
        """Asks for the explanations of those in the sample, which are logged later; returns the others."""
        others = []
        for request in requests:
            if request.version != self._version or sample_position(request.id) >= self._threshold:
                others.append(request)
                continue
            self._metrics.unexplained_rows += request.rows
            try:
                self._client.explain(request.feeds, request.rows, self._seconds, partial(self._on_result, request))
            except Exception:  # a fault here must not cost the row
                log.exception("request %r is logged without its explanation", request.id)
                self._metrics.unexplained_rows -= request.rows
                others.append(request)
        return others

    async def close(self) -> None:
        """Waits a moment for what was asked; the rest is logged without."""
        await self._client.close(CLOSE_SECONDS)

    def _on_result(self, request: LoggedRequest, found: Explained) -> None:
        self._metrics.unexplained_rows -= request.rows
        request.explanations = self._texts(request, found)
        self._send([request])

    def _texts(self, request: LoggedRequest, found: Explained) -> list[str] | None:
        """The explanation of each row as it is logged; None without one."""
        if found.rows is None:
            return None
        try:
            texts = [orjson.dumps(row).decode() for row in found.rows]
        except orjson.JSONEncodeError:  # what explained is not trusted
            log.warning("the explanation of request %r cannot be read; it is logged without", request.id)
            return None
        return texts if sum(map(len, texts)) <= MAX_BYTES else None


def is_protected(signature: Signature, config: LogConfig) -> bool:
    """Whether the log protects an input or output: then no row is explained, and the server's log says so.

    Contributions add up to the answer, so those of the other columns and the answer tell that of a protected one; and a feature that the
    model computes of inputs tells of each of them.
    """
    protected = [spec.name for spec in (*signature.inputs, *signature.outputs) if config.rule(spec.name)]
    if protected:
        message = (
            "logged rows are not explained: the log protects column %r, and contributions would tell of its values"
        )
        log.warning(message, protected[0])
    return bool(protected)
