"""The requests on which champion and challenger differ most, as JSON for users and for the canary judge."""

import math
from bisect import insort
from collections.abc import Callable
from typing import Any

import orjson

from flywheel_serving.model.datatypes import Array

MAX_EXAMPLES = 20
MAX_EXAMPLE_BYTES = 1024
MAX_EXAMPLE_VALUES = 512  # more never fit in MAX_EXAMPLE_BYTES

Example = dict[str, Any]


class TopDifferences:
    """At most 20 examples, the largest difference first."""

    def __init__(self) -> None:
        self._ranked: list[tuple[float, Example]] = []

    def add(self, difference: float, make_example: Callable[[], Example]) -> None:
        """Adds an example if it belongs to the largest; `make_example` is called only then."""
        if len(self._ranked) == MAX_EXAMPLES:
            if difference <= self._ranked[-1][0]:
                return
            self._ranked.pop()
        # JSON cannot express infinity.
        shown = {"difference": difference if math.isfinite(difference) else None}
        insort(self._ranked, (difference, {**make_example(), **shown}), key=lambda ranked: -ranked[0])

    def examples(self) -> list[Example]:
        return [example for _, example in self._ranked]


def example_values(array: Array) -> list[Any]:
    """The array's values, flat, as many as fit in 1 KiB of JSON; a single long text is cut. NaN becomes null."""
    values: list[Any] = array.ravel()[:MAX_EXAMPLE_VALUES].tolist()
    while len(orjson.dumps(values)) > MAX_EXAMPLE_BYTES:
        if len(values) > 1:
            values = values[: len(values) // 2]
        else:
            values = [str(values[0])[: min(MAX_EXAMPLE_BYTES, len(str(values[0])) // 2)]]
    return values
