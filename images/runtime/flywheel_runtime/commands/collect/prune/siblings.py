"""The curves of a group in the store: `curves/<uid>/<group>/<step>.json`, each written once, when its trial has succeeded."""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field

from flywheel_runtime.commands.collect.prune.curve import MOST_POINTS, number
from flywheel_runtime.commands.collect.prune.rules import Curve
from flywheel_runtime.contract import termination_message
from flywheel_runtime.store.artifacts import Store

MAX_CURVE_BYTES = 1 << 20


@dataclass
class Siblings:
    """Those that have been read stay as they are. Raises what Store raises."""

    store: Store
    folder: str  # ends with /
    mine: str  # the step's name
    _read: dict[str, Curve] = field(default_factory=dict)

    def curves(self) -> list[Curve]:
        """All but our own, in the order of their keys."""
        for name in self.store.list_names(self.folder):
            if name not in self._read and name != self._name:
                self._read[name] = _points(self.store.get(self.folder + name, MAX_CURVE_BYTES))
        return [curve for _, curve in sorted(self._read.items())]

    def publish(self, points: Iterable[tuple[int, float]], store: Store) -> None:
        """Our own curve for those who come after. Of two attempts the first counts."""
        document = [[step, None if value != value else value] for step, value in points]
        store.commit(self.folder + self._name, termination_message.encode({"v": 1, "points": document}))

    @property
    def _name(self) -> str:
        return f"{self.mine}.json"


def _points(text: bytes) -> Curve:
    """A damaged curve is one without points: a trial that succeeded, of which no more is known."""
    try:
        document = json.loads(text)["points"][:MOST_POINTS]
        return {int(step): number(value) for step, value in document}
    except (ValueError, KeyError, TypeError, RecursionError):
        return {}
