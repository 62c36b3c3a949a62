"""The space of a search as typed values: branches, their dimensions, and the points in them."""

import math
import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal

Point = tuple[float | int, ...]


@dataclass(frozen=True)
class Real:
    """A real number; with a step only low, low + step, …"""

    low: Decimal
    high: Decimal
    log: bool = False
    step: Decimal | None = None

    @property
    def size(self) -> int | None:
        return int((self.high - self.low) / self.step) + 1 if self.step is not None else None

    def at(self, index: int) -> float:
        return float(self.low + index * (self.step or Decimal(0)))

    def draw(self, chance: random.Random) -> float:
        if self.size is not None:
            return self.at(chance.randrange(self.size))
        low, high = float(self.low), float(self.high)
        if self.log:
            return self.rounded(math.exp(chance.uniform(math.log(low), math.log(high))))
        return self.rounded(chance.uniform(low, high))

    def rounded(self, value: float) -> float:
        return min(max(float(f"{value:.6g}"), float(self.low)), float(self.high))


@dataclass(frozen=True)
class Whole:
    """A whole number."""

    low: int
    high: int
    log: bool = False
    step: int = 1

    @property
    def size(self) -> int:
        return (self.high - self.low) // self.step + 1

    def at(self, index: int) -> int:
        return self.low + index * self.step

    def draw(self, chance: random.Random) -> int:
        if not self.log:
            return self.at(chance.randrange(self.size))
        low, high = math.log(self.low - 0.5), math.log(self.high + 0.5)
        return min(max(round(math.exp(chance.uniform(low, high))), self.low), self.high)


@dataclass(frozen=True)
class Choice:
    """One of these; a point holds its position."""

    values: tuple[str, ...]

    @property
    def size(self) -> int:
        return len(self.values)

    def at(self, index: int) -> int:
        return index

    def draw(self, chance: random.Random) -> int:
        return chance.randrange(self.size)


Dimension = Real | Whole | Choice


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

    def at(self, index: int) -> tuple[float | int, ...]:
        values: list[float | int] = []
        for _, dimension in self.ordered:
            index, place = divmod(index, dimension.size or 1)
            values.append(dimension.at(place))
        return tuple(values)


Space = tuple[Branch, ...]


def size(space: Space) -> int | None:
    """How many points there are; None where a real number has no step."""
    sizes = [branch.size for branch in space]
    known = [each for each in sizes if each is not None]
    return sum(known) if len(known) == len(sizes) else None


def values(space: Space, point: Point) -> tuple[str, dict[str, float | int | str]]:
    """A point in words: the branch's name, and a value for each searched parameter."""
    branch = space[int(point[0])]
    pairs = zip(branch.ordered, point[1:], strict=True)
    return branch.name, {
        name: dimension.values[int(value)] if isinstance(dimension, Choice) else value
        for (name, dimension), value in pairs
    }


def place(space: Space, branch: str, parameters: Mapping[str, float | int | str]) -> Point | None:
    """The point that these words mean, the inverse of `values`; None where the space has no such point."""
    number = next((number for number, each in enumerate(space) if each.name == branch), None)
    if number is None or set(space[number].dimensions) != set(parameters):
        return None
    found = [_within(dimension, parameters[name]) for name, dimension in space[number].ordered]
    known = [each for each in found if each is not None]
    return (number, *known) if len(known) == len(found) else None


def _within(dimension: Dimension, value: float | int | str) -> float | int | None:
    if isinstance(dimension, Choice):
        return dimension.values.index(str(value)) if str(value) in dimension.values else None
    if isinstance(value, str) or not float(dimension.low) <= value <= float(dimension.high):
        return None
    if isinstance(dimension, Real):
        if dimension.step is None:
            return float(value)
        near = dimension.at(round((Decimal(repr(value)) - dimension.low) / dimension.step))
        return near if near == value else None
    is_point = value == int(value) and (dimension.log or (int(value) - dimension.low) % dimension.step == 0)
    return int(value) if is_point else None


@dataclass(frozen=True)
class Past:
    """One earlier trial: succeeded if it has a value; a running one has none. Failed ones are `running=False` without a value.

    A pruned one has the `step` where it ended, and its last value if that was finite. `violation` is how far it is beyond its constraints.
    """

    point: Point
    value: float | None = None
    running: bool = False
    step: int | None = None
    violation: float = 0.0

    @property
    def tells(self) -> bool:
        """Whether the sampler learns from it."""
        return self.value is not None or self.step is not None
