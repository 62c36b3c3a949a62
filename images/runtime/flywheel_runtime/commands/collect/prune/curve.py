"""The objective's curve, read from `metrics.jsonl` while main still writes it."""

import json
import math
from contextlib import suppress
from pathlib import Path

from flywheel_runtime.contract.errors import UnsafeFile
from flywheel_runtime.contract.safe_files import open_regular_file

MOST_POINTS = 10_000  # of a longer curve the first ones count
MOST_BYTES = 4 << 20  # of one look; the rest at the next


class Curve:
    """The points of one metric so far, by step. Of two values at one step the first counts, as in Optuna."""

    def __init__(self, file: Path, metric: str) -> None:
        self._file = file
        self._metric = metric
        self._read = 0  # bytes
        self.points: dict[int, float] = {}

    def look(self) -> list[tuple[int, float]]:
        """The points that came since the last look, in their order. Lines that are no points are ignored."""
        new = []
        for line in self._lines():
            point = _point(line, self._metric)
            if point and point[0] not in self.points and len(self.points) < MOST_POINTS:
                self.points[point[0]] = point[1]
                new.append(point)
        return new

    def _lines(self) -> list[bytes]:
        text = b""
        with suppress(OSError, UnsafeFile), open_regular_file(self._file) as file:
            file.seek(self._read)
            text = file.read(MOST_BYTES)
        whole, end, _ = text.rpartition(b"\n")
        if not end and len(text) == MOST_BYTES:
            self._read += len(text)  # no line of ours is as long as this
        self._read += len(whole) + len(end)
        return whole.splitlines()


def _point(line: bytes, metric: str) -> tuple[int, float] | None:
    try:
        document = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(document, dict) or document.get("name") != metric:
        return None
    step, value = document.get("step"), document.get("value")
    if not isinstance(step, int) or isinstance(step, bool) or step < 0:
        return None
    return step, number(value)


def number(value: object) -> float:
    """A finite number as it is, anything else NaN."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return math.nan
    try:
        return float(value) if math.isfinite(value) else math.nan
    except OverflowError:  # a whole number beyond 1e308
        return math.nan
