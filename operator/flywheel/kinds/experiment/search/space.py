"""The space of a search: branches, their dimensions, and the points in them.

A point is a tuple that JSON can hold: the branch's number (which estimator), then a coordinate for each searched parameter in the order of
their names; of a categorical one, the position of its value. Real values have six significant digits, so that what a user reads is what ran.
"""

import math
import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal

Coordinate = float | int
Point = tuple[Coordinate, ...]


@dataclass(frozen=True)
class RealDimension:
    """A real number; with a step only low, low + step, …"""

    low: Decimal
    high: Decimal
    log: bool = False
    step: Decimal | None = None

    @property
    def size(self) -> int | None:
        return int((self.high - self.low) / self.step) + 1 if self.step is not None else None

    def value_at(self, index: int) -> float:
        return float(self.low + index * (self.step or Decimal(0)))

    def draw(self, generator: random.Random) -> float:
        if self.size is not None:
            return self.value_at(generator.randrange(self.size))
        low, high = float(self.low), float(self.high)
        if self.log:
            return self.round_value(math.exp(generator.uniform(math.log(low), math.log(high))))
        return self.round_value(generator.uniform(low, high))

    def round_value(self, value: float) -> float:
        return min(max(float(f"{value:.6g}"), float(self.low)), float(self.high))

    def nearest(self, value: float) -> float:
        """The coordinate that is nearest to a value."""
        inside = min(max(value, float(self.low)), float(self.high))
        if self.step is None:
            return self.round_value(inside)
        return self.value_at(min(round((Decimal(repr(inside)) - self.low) / self.step), (self.size or 1) - 1))

    def coordinate(self, value: float | int | str) -> float | None:
        if isinstance(value, str) or not float(self.low) <= value <= float(self.high):
            return None
        if self.step is None:
            return float(value)
        nearest = self.value_at(round((Decimal(repr(value)) - self.low) / self.step))
        return nearest if nearest == value else None


@dataclass(frozen=True)
class IntegerDimension:
    """A whole number."""

    low: int
    high: int
    log: bool = False
    step: int = 1

    @property
    def size(self) -> int:
        return (self.high - self.low) // self.step + 1

    def value_at(self, index: int) -> int:
        return self.low + index * self.step

    def draw(self, generator: random.Random) -> int:
        if not self.log:
            return self.value_at(generator.randrange(self.size))
        low, high = math.log(self.low - 0.5), math.log(self.high + 0.5)
        return min(max(round(math.exp(generator.uniform(low, high))), self.low), self.high)

    def nearest(self, value: float) -> int:
        """The coordinate that is nearest to a value."""
        inside = round(min(max(value, self.low), self.high))
        return inside if self.log else self.value_at(min(round((inside - self.low) / self.step), self.size - 1))

    def coordinate(self, value: float | int | str) -> int | None:
        if isinstance(value, str) or not self.low <= value <= self.high or value != int(value):
            return None
        return int(value) if self.log or (int(value) - self.low) % self.step == 0 else None


@dataclass(frozen=True)
class CategoricalDimension:
    """One of several values; its coordinate is the value's position."""

    values: tuple[str, ...]

    @property
    def size(self) -> int:
        return len(self.values)

    def value_at(self, index: int) -> int:
        return index

    def draw(self, generator: random.Random) -> int:
        return generator.randrange(self.size)

    def coordinate(self, value: float | int | str) -> int | None:
        return self.values.index(str(value)) if str(value) in self.values else None


Dimension = RealDimension | IntegerDimension | CategoricalDimension


@dataclass(frozen=True)
class Branch:
    """One estimator with its own dimensions; a container has one branch without a name."""

    name: str
    dimensions: Mapping[str, Dimension] = field(default_factory=dict)

    @property
    def ordered(self) -> list[tuple[str, Dimension]]:
        return sorted(self.dimensions.items())

    @property
    def size(self) -> int | None:
        sizes = [dimension.size for dimension in self.dimensions.values()]
        known = [size for size in sizes if size is not None]
        return math.prod(known) if len(known) == len(sizes) else None

    def coordinates_at(self, index: int) -> Point:
        coordinates: list[Coordinate] = []
        for _, dimension in self.ordered:
            index, position = divmod(index, dimension.size or 1)
            coordinates.append(dimension.value_at(position))
        return tuple(coordinates)


Space = tuple[Branch, ...]


def space_size(space: Space) -> int | None:
    """The number of points; None where a real number has no step."""
    sizes = [branch.size for branch in space]
    known = [each for each in sizes if each is not None]
    return sum(known) if len(known) == len(sizes) else None


def parameters_of(space: Space, point: Point) -> tuple[str, dict[str, float | int | str]]:
    """The name of a point's branch, and the value of each searched parameter there."""
    branch = space[int(point[0])]
    pairs = zip(branch.ordered, point[1:], strict=True)
    return branch.name, {
        name: dimension.values[int(value)] if isinstance(dimension, CategoricalDimension) else value
        for (name, dimension), value in pairs
    }


def point_of(space: Space, branch: str, parameters: Mapping[str, float | int | str]) -> Point | None:
    """The point with these parameters, the inverse of `parameters_of`; None where the space has no such point."""
    number = next((number for number, each in enumerate(space) if each.name == branch), None)
    if number is None or set(space[number].dimensions) != set(parameters):
        return None
    coordinates = [dimension.coordinate(parameters[name]) for name, dimension in space[number].ordered]
    known = [each for each in coordinates if each is not None]
    return (number, *known) if len(known) == len(coordinates) else None


@dataclass(frozen=True)
class PastTrial:
    """An earlier trial: it succeeded if it has a value; a running one has none. Failed ones are `running=False` without a value.

    A pruned one has the `step` where it ended, and its last value if that was finite. `violation` is how far it is beyond its constraints.
    """

    point: Point
    value: float | None = None
    running: bool = False
    step: int | None = None
    violation: float = 0.0

    @property
    def has_result(self) -> bool:
        """Whether the sampler learns from it."""
        return self.value is not None or self.step is not None
