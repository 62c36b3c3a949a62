"""Looking at the curve again and again, beside the watch, which must never wait for the store."""

import math
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from flywheel_runtime.commands.collect.prune.curve import Curve
from flywheel_runtime.commands.collect.prune.rules import rule_of
from flywheel_runtime.commands.collect.prune.siblings import Siblings
from flywheel_runtime.contract.config.collect import PruneConfig
from flywheel_runtime.contract.errors import StoreError

CHECK_INTERVAL_SECONDS = 2.0  # seconds between two looks


@dataclass(frozen=True)
class Pruned:
    """Where a trial ended: the last step and its value (NaN: not finite), and why, as a sentence."""

    step: int
    value: float
    message: str


@dataclass
class Pruner:
    """`verdict` is set once, while `metrics` (main's last word) is not there."""

    config: PruneConfig
    curve: Curve
    siblings: Siblings
    metrics: Path
    verdict: Pruned | None = None
    _over: threading.Event = field(default_factory=threading.Event)

    def start(self) -> None:
        """Look until there is a verdict, or `stop`."""
        threading.Thread(target=self._run, daemon=True).start()

    def stop(self) -> None:
        self._over.set()

    def look(self) -> None:
        """Evaluate each new point as if it had been the last."""
        new = self.curve.look()
        if not new:
            return
        siblings = self.siblings.curves()
        rule = rule_of(self.config.rule)
        points = {step: value for step, value in self.curve.points.items() if step not in dict(new)}
        for step, value in new:
            points[step] = value
            why = rule.prune(points, siblings, maximize=self.config.maximize)
            if why is not None and not self.metrics.exists():
                last = max(points)
                words = f"{self.config.metric} {why}, so the trial ended at step {last}"
                self.verdict = Pruned(last, points[last], words)
                return

    def _run(self) -> None:
        while self.verdict is None and not self._over.wait(CHECK_INTERVAL_SECONDS):
            _say_if_it_fails(self.look)

    def publish(self, deadline: float) -> None:
        """The whole curve of a trial that succeeded. A failed upload is no reason to fail the trial."""
        self.curve.look()
        points = sorted(self.curve.points.items())
        _say_if_it_fails(lambda: self.siblings.publish(points, self.siblings.store.with_deadline(deadline)))

    @property
    def as_message(self) -> dict[str, float | int | None]:
        """The contract's `pruned`."""
        assert self.verdict is not None, "asked only where it ended the trial"
        value = self.verdict.value
        return {"step": self.verdict.step, "value": None if math.isnan(value) else value}


def _say_if_it_fails(work: Callable[[], None]) -> None:
    """An error of the store prunes no trial."""
    try:
        work()
    except StoreError as error:
        sys.stderr.write(f"the curves of other trials are out of reach, so nothing is pruned now: {error}\n")
        sys.stderr.flush()
