"""Keeping the outputs of a finished main while the store does not take them.

collect tries for a while, then ends with a message that says what it waits for. The kubelet starts it again, with growing pauses of up to five
minutes, and the operator shows the message. watch holds the pod meanwhile. Where the pod ends nevertheless, its grace period is what is left.
"""

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from flywheel_runtime.commands.collect.main_observer import Stop
from flywheel_runtime.contract.errors import OutputsWait
from flywheel_runtime.contract.termination_message import clip

ATTEMPT_SECONDS = 30.0  # without a success, after which collect ends and is started again
MESSAGE_MARGIN_SECONDS = 5.0  # seconds of the grace period that are left for the last message


@dataclass(frozen=True)
class Patience:
    """How long outputs are tried: until `until` (seconds since the epoch), or for the `grace` period of a pod that ends (seconds)."""

    stop: Stop
    grace: float
    until: float

    @property
    def is_left(self) -> bool:
        """Whether another collect of this pod may try later."""
        return self.stop.terminated_at is None and time.time() < self.until

    @property
    def attempt_seconds(self) -> float:
        """Seconds without a success after which this collect gives up."""
        return ATTEMPT_SECONDS if self.is_left else float("inf")

    @property
    def deadline(self) -> float:
        """When the report must be written (time.monotonic)."""
        if self.is_left:
            return time.monotonic() + self.until - time.time()
        begin = self.stop.terminated_at or self.stop.at or 0.0
        return begin + self.grace - min(MESSAGE_MARGIN_SECONDS, self.grace / 4)

    def wait(self, step: str, problem: str) -> OutputsWait:
        """The error that ends this collect and leaves the outputs to the next one."""
        until = datetime.fromtimestamp(self.until, UTC)
        kept = f"{problem}; they are kept and tried until {until:%Y-%m-%d %H:%M} UTC"
        return OutputsWait(waiting_report(step, "has finished", kept))


def waiting_report(step: str, state: str, problem: str) -> dict[str, Any]:
    """The termination message of a collect that is started again until the store is there."""
    words = f"'{step}' {state}; its outputs wait for the store: {problem}"
    return {"v": 1, "phase": "Waiting", "reason": "WaitingForStore", "message": clip(words)}
