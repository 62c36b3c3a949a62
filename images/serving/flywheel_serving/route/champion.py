"""What the route knows of the server that it is in."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from flywheel_serving.batcher import Call, Outputs
from flywheel_serving.datatypes import Array
from flywheel_serving.signature import Signature, TensorSpec

# How an answer came about.
DIRECT, KEPT, FORWARDED, FELL_BACK = "Direct", "Kept", "Forwarded", "FellBack"


class Answer(Protocol):
    """Ends a request: `version` gave `outputs`, `began` is when it was asked (on time.perf_counter's clock)."""

    def __call__(self, outputs: Outputs, version: str = ..., route: str = ..., began: float = ..., /) -> None: ...


@dataclass(frozen=True, slots=True)
class Asked:
    """One request that was checked. `deadline` is when its client stops waiting (time.perf_counter's clock, or infinity)."""

    call: Call  # its `answer` is this server's own
    id: str
    headers: Mapping[bytes, bytes]  # names in lower case
    pinned: bool  # the client named the version
    deadline: float
    answer: Answer


@dataclass
class Champion:
    """`submit` gives a call to this server's own model; `patience` is how many seconds it may wait there."""

    name: str
    version: str
    signature: Signature
    submit: Callable[[Call], None]
    patience: float
    in_flight: int  # the server's bound
    body_bytes: int  # the largest body
    row_by_row: bool = False  # whether the outputs have the inputs' rows
    specs: dict[str, TensorSpec] = field(init=False)  # of the outputs

    def __post_init__(self) -> None:
        self.specs = {spec.name: spec for spec in self.signature.outputs}

    def inputs(self, call: Call) -> dict[str, tuple[TensorSpec, Array]]:
        return {spec.name: (spec, call.feeds[spec.name]) for spec in self.signature.inputs}
