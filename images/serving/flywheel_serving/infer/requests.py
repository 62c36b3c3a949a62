"""A decoded inference request and its response, whichever transport brought them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from flywheel_serving.errors import RequestError
from flywheel_serving.model.datatypes import Array
from flywheel_serving.model.signature import TensorSpec

# How a request was answered: without a route, by the local model although a route is active, by the challenger, or by
# the local model because the challenger failed.
DIRECT, NOT_FORWARDED, FORWARDED, FELL_BACK = "Direct", "Kept", "Forwarded", "FellBack"
# Marks a request that another server's route sent here. It is not forwarded or logged again.
FORWARDED_HEADER = b"x-flywheel-forwarded"
# Requests the names of the classes with the response: the other server learns them once, to name this version's scores.
CLASS_NAMES_HEADER = b"x-flywheel-class-names"
# "true" requests the contributions of the columns with the response.
EXPLAIN_HEADER = b"x-flywheel-explain"
CHAMPION_ARM, CHALLENGER_ARM = "Champion", "Challenger"  # of an A/B test


@dataclass(frozen=True, slots=True)
class Assignment:
    """The arm to which an A/B test assigns a request, whoever answers it in the end. `unit` stands for the user or key that is assigned.

    Both are empty where the request names no unit: then it is no part of the test.
    """

    test: str
    unit: str = ""
    arm: str = ""


@dataclass(slots=True, eq=False)
class InputLayout:
    """Inputs of one datatype and shape, in one order, as earlier requests had them.

    `fits` is true once the data plane has seen that the model takes them unchanged, as so many `rows`.
    """

    fits: bool = field(default=False, kw_only=True)
    rows: int = field(default=0, kw_only=True)


@dataclass(slots=True)
class InferRequest:
    """Named tensors; `outputs` names the requested ones, empty for all; `timeout` is in seconds.

    `headers` are REST headers or gRPC metadata, names in lower case; `pinned` is whether the client named the version.
    `peer` is the client's address, among which the server is shared fairly. `explain`: the response has the contributions of its columns.
    If `layout` is given, `block` holds the numbers of all inputs, [input, *shape], and `tensors` are views of it.
    """

    id: str
    tensors: dict[str, Array]
    outputs: list[str]
    timeout: float | None = None
    parameters: dict[str, Any] | None = None
    body_bytes: int = 0
    layout: InputLayout | None = None
    block: Array | None = None
    headers: Mapping[bytes, bytes] | None = None
    pinned: bool = False
    peer: str = ""
    explain: bool = False

    @property
    def is_forwarded(self) -> bool:
        """Whether another server's route sent this request."""
        return self.headers is not None and FORWARDED_HEADER in self.headers


@dataclass(slots=True)
class InferResponse:
    """`version` computed the outputs; `route` is DIRECT, NOT_FORWARDED, FORWARDED or FELL_BACK.

    `explanation` is for a request that asked for it: `rows`, or `reason` and `message`.
    """

    id: str
    outputs: list[tuple[TensorSpec, Array]]
    version: str
    route: str
    explanation: dict[str, Any] | None = None


ResponseCallback = Callable[[InferResponse | RequestError], None]
