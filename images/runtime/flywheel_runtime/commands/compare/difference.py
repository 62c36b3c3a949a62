"""One difference between two artifacts or their metrics."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Difference:
    """What differs (a file's path or a metric's name) and what it is on each side; None where it is not there."""

    kind: str  # file or metric
    name: str
    left: str | float | None
    right: str | float | None

    def as_json(self) -> dict[str, Any]:
        return {self.kind: self.name, "left": self.left, "right": self.right}

    @property
    def sentence(self) -> str:
        """The difference as a line of the log."""
        sides = (str(side) if side is not None else "not there" for side in (self.left, self.right))
        return f"{self.kind} {self.name} differs: {' and '.join(sides)}"
