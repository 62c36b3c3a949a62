"""The configuration of `watch`, in FLYWHEEL_WATCH, and its report, in watch/report."""

import json
import math
from dataclasses import dataclass, field
from typing import Any

from flywheel_runtime.contract.cgroup import Usage
from flywheel_runtime.contract.config import load_config

MAX_NUMBER = 2.0**63


@dataclass(frozen=True)
class WatchConfig:
    """`timeout_seconds` None: main is never stopped; `grace_seconds` are those between SIGTERM and SIGKILL.

    `hold_seconds`: for so long at most watch stays after main's end until collect has reported. While it is there, the kubelet leaves the
    pod as it is; without it, collect has the grace period of the pod.
    """

    timeout_seconds: float | None = None
    grace_seconds: float = 10
    hold_seconds: float = 0

    @classmethod
    def parse(cls, text: str) -> "WatchConfig":
        """Raises Failure InternalError."""
        return load_config(cls, "FLYWHEEL_WATCH", text)


@dataclass(frozen=True)
class WatchReport:
    """What `watch` saw of main. Main could have forged it: it may only speak against main, or inform."""

    timed_out: bool = False
    usage: Usage = field(default_factory=Usage)

    def encode(self) -> str:
        usage = {"oomKills": self.usage.oom_kills, **self.usage.as_message()}
        return json.dumps({"v": 1, "timedOut": self.timed_out, "usage": usage})

    @classmethod
    def parse(cls, text: str) -> "WatchReport":
        """The report, without whatever is not as it should be."""
        try:
            document = json.loads(text)
            usage = document["usage"]
            numbers = [_number(usage.get(name)) for name in ("oomKills", "memoryPeakBytes", "cpuSeconds")]
            return cls(document.get("timedOut") is True, Usage(*numbers))
        except (ValueError, RecursionError, KeyError, TypeError, AttributeError):
            return cls()


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if 0 <= value < MAX_NUMBER and math.isfinite(value) else None
