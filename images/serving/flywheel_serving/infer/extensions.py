"""What features plug into the data plane: a route for its requests, a recorder of its predictions, and explanations of its responses."""

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from flywheel_serving.errors import RequestError
from flywheel_serving.explanation.sidecar.client import Explained, ExplainerClient
from flywheel_serving.infer.batcher import Batch, BatchItem
from flywheel_serving.infer.requests import Assignment, InferRequest, InferResponse, ResponseCallback
from flywheel_serving.infer.runner import ModelResult
from flywheel_serving.model.datatypes import Array

FAILED = Explained(None, "Failed", "the explainer could not be asked; the server's log says why")
NOT_ENABLED = Explained(None, "NotEnabled", "the service explains no answers; set spec.explain.header to true")


log = logging.getLogger(__name__)


class Completion(Protocol):
    """Completes a request: `version` computed `result`, or failed with it.

    `route` is how the request went: DIRECT (the default), NOT_FORWARDED, FORWARDED or FELL_BACK of infer.requests. `started` is when
    `version` was asked (time.perf_counter's clock).
    """

    def __call__(self, result: ModelResult, version: str = ..., route: str = ..., started: float = ..., /) -> None: ...


@dataclass(frozen=True, slots=True)
class RoutedRequest:
    """One checked request. `deadline` is when its client stops waiting (time.perf_counter's clock, or infinity)."""

    item: BatchItem  # for the local model
    id: str
    headers: Mapping[bytes, bytes]  # names in lower case
    pinned: bool  # the client named the version
    deadline: float
    complete: Completion
    assignment: Assignment | None = None  # of an A/B test


class Route(Protocol):
    """Takes every request while it is active."""

    def assign(self, request: InferRequest, row_keys: list[str] | None) -> Assignment | None:
        """The arm of an A/B test to which the request belongs; None without a test. `row_keys`: the key of each row."""

    def submit(self, request: RoutedRequest) -> None:
        """Completes `request` once, at once or later."""


class Recorder(Protocol):
    """Records predictions. Nothing of it may wait, or fail a request that is answered."""

    @property
    def key(self) -> str:
        """The input or parameter that joins labels; empty for none."""

    def row_keys(self, tensors: dict[str, Array], parameters: dict[str, Any] | None) -> list[str] | None:
        """The key of each row, removed from `tensors` if the model does not take it. Raises InvalidRequest."""

    def add_labels(self, body: bytes, peer: str, caller: str) -> int:
        """Logs the labels that `caller` posted from the address `peer` for earlier predictions; their number. Raises RequestError."""

    def samples(self, request: InferRequest) -> bool:
        """Whether the rows of the request are logged. A request without an id gets one, which its response has too."""

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
        """`complete`, which also logs what it is given if the request `is_sampled`, and counts it unless `item.counted`.

        `assignment` is that of an A/B test.
        """

    def count_batch(self, batch: Batch, outputs: list[Array]) -> None:
        """Counts the values of the direct requests of one call of the model; of the others `record_on` does."""


class ExplainedResponses:
    """Asks the explainer for each response; `client` is None where the service answers none with contributions."""

    def __init__(self, version: str, client: ExplainerClient | None = None, answer_seconds: float = 0.0) -> None:
        self._version, self._client, self._answer_seconds = version, client, answer_seconds

    def explaining(
        self, request: InferRequest, feeds: dict[str, Array], rows: int, start: float, on_response: ResponseCallback
    ) -> ResponseCallback:
        """`on_response`, which is called with the explanation of `feeds`, at most `answer_seconds` later, and within the client's time."""

        def on_answer(response: InferResponse | RequestError) -> None:
            if isinstance(response, RequestError):
                on_response(response)
                return

            def on_explained(found: Explained) -> None:
                response.explanation = _document(found)
                on_response(response)

            if self._client is None:
                on_explained(NOT_ENABLED)
            elif response.version != self._version:
                on_explained(_of_another_version(response.version))
            else:
                seconds = self._answer_seconds
                if request.timeout is not None:
                    seconds = min(seconds, (start + request.timeout - time.perf_counter()) / 2)
                try:
                    self._client.explain(feeds, rows, seconds, on_explained, for_client=True)
                except Exception:  # a fault here must not cost the answer
                    log.exception("an answer goes without its explanation")
                    on_explained(FAILED)

        return on_answer


def _document(found: Explained) -> dict[str, object]:
    return {"reason": found.reason, "message": found.message} if found.rows is None else {"rows": found.rows}


def _of_another_version(version: str) -> Explained:
    message = (
        f"version {version!r} of a rollout answered, and these servers explain another; name the version in the URL"
    )
    return Explained(None, "OtherVersion", message)
