"""What features plug into the data plane: a route for its requests, and a recorder of its predictions."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from flywheel_serving.infer.batcher import Batch, BatchItem
from flywheel_serving.infer.requests import InferRequest
from flywheel_serving.infer.runner import ModelResult
from flywheel_serving.model.datatypes import Array


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


class Route(Protocol):
    """Takes every request while it is active."""

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
    ) -> Completion:
        """`complete`, which also logs what it is given if the request `is_sampled`, and counts it unless `item.counted`."""

    def count_batch(self, batch: Batch, outputs: list[Array]) -> None:
        """Counts the values of the direct requests of one call of the model; of the others `record_on` does."""
