"""The requests on which champion and challenger differ most, as JSON for people and for the judge."""

import math
from bisect import insort
from collections.abc import Callable
from typing import Any

import orjson

from flywheel_serving.datatypes import Array

MOST = 20
VALUE_BYTES = 1024
VALUES = 512  # more never fit in VALUE_BYTES

Example = dict[str, Any]


class Worst:
    """At most 20, the largest difference first."""

    def __init__(self) -> None:
        self._found: list[tuple[float, Example]] = []

    def offer(self, difference: float, example: Callable[[], Example]) -> None:
        """`example` is made only if it belongs here."""
        if len(self._found) == MOST:
            if difference <= self._found[-1][0]:
                return
            self._found.pop()
        # JSON has no word for infinity.
        shown = {"difference": difference if math.isfinite(difference) else None}
        insort(self._found, (difference, {**example(), **shown}), key=lambda found: -found[0])

    def examples(self) -> list[Example]:
        return [example for _, example in self._found]


def value(array: Array) -> list[Any]:
    """The array's values, flat, as many as fit in 1 KiB of JSON; one long text is cut. NaN is null."""
    values: list[Any] = array.ravel()[:VALUES].tolist()
    while len(orjson.dumps(values)) > VALUE_BYTES:
        if len(values) > 1:
            values = values[: len(values) // 2]
        else:
            values = [str(values[0])[: min(VALUE_BYTES, len(str(values[0])) // 2)]]
    return values
