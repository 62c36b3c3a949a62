"""Curves of a trial from its metrics.jsonl: bounded memory, whatever the number of points."""

import json
import math
from typing import Any

import orjson

from flywheel_reader.tracking.nonfinite import finite_or_name

MAX_CURVES = 256
MAX_POINTS = 100_000  # of all curves together: some 20 MiB
MAX_LINE_BYTES = 64 << 10
MAX_NAME_CHARACTERS, MAX_TIME_CHARACTERS = 1024, 64
MAX_STEP = 2**53
Point = tuple[float | int, float | None, str | None]  # step, value, time


class Curve:
    """The points of one metric: all of them up to `max_points`, then the smallest and the largest of equal ranges."""

    def __init__(self, max_points: int) -> None:
        self.total = 0
        self._limit(max_points)
        self._width = 1  # points in each range
        self._ranges: list[tuple[Point, ...]] = []  # (smallest, largest), in the order of their steps
        self._open: list[Point] = []  # of the range that is not complete

    def add(self, point: Point) -> None:
        """Adds the next point."""
        self.total += 1
        if self._width == 1:
            self._ranges.append((point,))
            if len(self._ranges) > self._max_points:
                self._merge_pairs()
            return
        self._open = list(_extremes((*self._open, point)))
        if self.total % self._width == 0:
            self._ranges.append(tuple(self._open))
            self._open = []
            if len(self._ranges) > self._max_ranges:
                self._merge_pairs()

    def shrink(self, max_points: int) -> None:
        """Shows at most so many points from now on."""
        self._limit(max_points)
        if len(self._ranges) > (self._max_points if self._width == 1 else self._max_ranges):
            self._merge_pairs()

    def points(self) -> list[Point]:
        """What is shown."""
        return [point for each in (*self._ranges, tuple(self._open)) for point in each]

    def description(self) -> dict[str, Any] | None:
        """How the curve was reduced, None if it is complete."""
        if self._width == 1:
            return None
        ranges = len(self._ranges) + bool(self._open)
        method = f"min and max of each of {ranges} equal ranges"
        return {"points": self.total, "shown": len(self.points()), "method": method}

    def _limit(self, max_points: int) -> None:
        self._max_points = max(max_points, 4)
        self._max_ranges = self._max_points // 2 - 1  # two points each, and those of the open range

    def _merge_pairs(self) -> None:
        """Joins ranges two by two until there are at most half as many as points may be shown."""
        while len(self._ranges) > self._max_ranges:
            complete = len(self._ranges) // 2 * 2
            pairs = zip(self._ranges[0:complete:2], self._ranges[1:complete:2], strict=True)
            rest = self._ranges[complete:]
            self._ranges = [_extremes((*left, *right)) for left, right in pairs]
            self._width *= 2
            self._open = list(_extremes((*(rest[0] if rest else ()), *self._open)))


class CurveReader:
    """Reads metrics.jsonl chunk by chunk. `names` are the metrics to read, none means all."""

    def __init__(self, names: frozenset[str], max_points: int) -> None:
        self.curves: dict[str, Curve] = {}
        self.left_out: set[str] = set()
        self.unreadable_lines = 0
        self._names = names
        self._max_points = max_points
        self._rest = b""

    def feed(self, chunk: bytes) -> None:
        """Reads the complete lines so far."""
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        if len(self._rest) > MAX_LINE_BYTES:
            self._rest = self._rest[:MAX_LINE_BYTES]  # no line of ours: it will not be readable
        for line in lines:
            self._read_line(line)

    def close(self) -> None:
        """Reads a last line without its end."""
        self._read_line(self._rest)
        self._rest = b""

    def result(self) -> dict[str, Any]:
        """The body of the response."""
        curves = {
            name: [
                [step, None if value is None else finite_or_name(value), time] for step, value, time in curve.points()
            ]
            for name, curve in sorted(self.curves.items())
        }
        reduced = {name: found for name, curve in sorted(self.curves.items()) if (found := curve.description())}
        further: dict[str, Any] = {"unreadableLines": self.unreadable_lines} if self.unreadable_lines else {}
        if self.left_out:
            message = (
                f"{len(self.left_out)} or more further metrics are left out; name those that you need with ?metric=NAME"
            )
            further |= {"leftOut": sorted(self.left_out), "message": message}
        return {"curves": curves, "downsampled": reduced, **further}

    def _read_line(self, line: bytes) -> None:
        if not line.strip():
            return
        found = _parse_line(line)
        if found is None:
            self.unreadable_lines += 1
            return
        name, point = found
        if self._names and name not in self._names:
            return
        curve = self.curves.get(name)
        if curve is None:
            if len(self.curves) >= MAX_CURVES:
                if len(self.left_out) < MAX_CURVES:
                    self.left_out.add(name)
                return
            curve = self._add_curve(name)
        curve.add(point)

    def _add_curve(self, name: str) -> Curve:
        """A further curve. At each power of two of them, all are shown with fewer points if they had too many together."""
        expected = 1 << len(self.curves).bit_length()
        if self._max_points * expected > MAX_POINTS:
            self._max_points = MAX_POINTS // expected
            for curve in self.curves.values():
                curve.shrink(self._max_points)
        curve = self.curves[name] = Curve(self._max_points)
        return curve


def _parse_line(line: bytes) -> tuple[str, Point] | None:
    try:
        document = orjson.loads(line)
    except ValueError:
        try:
            document = json.loads(line)  # knows NaN and Infinity
        except (ValueError, RecursionError):
            return None
    try:
        name, step, value, time = document["name"], document["step"], document["value"], document.get("time")
        number = None if value is None else float(value)
    except (TypeError, KeyError, ValueError, AttributeError, OverflowError):
        return None
    is_step = isinstance(step, int | float) and not isinstance(step, bool) and -MAX_STEP < step < MAX_STEP
    if not is_step or not isinstance(name, str) or len(name) > MAX_NAME_CHARACTERS:
        return None
    return name, (step, number, time if isinstance(time, str) and len(time) <= MAX_TIME_CHARACTERS else None)


def _extremes(points: tuple[Point, ...]) -> tuple[Point, ...]:
    """The smallest and the largest point in their order; a point without a finite value is one of both."""
    if len(points) <= 2:
        return points
    low = high = 0
    for position, (_, value, _) in enumerate(points):
        if _rank(value, -math.inf) < _rank(points[low][1], -math.inf):
            low = position
        if _rank(value, math.inf) > _rank(points[high][1], math.inf):
            high = position
    first, last = sorted((low, high))
    return (points[first], points[last]) if first != last else (points[first],)


def _rank(value: float | None, missing: float) -> float:
    return missing if value is None or math.isnan(value) else value
