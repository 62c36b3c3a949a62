"""What collect is told about pruning: the key `prune` of FLYWHEEL_COLLECT."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from flywheel_runtime.commands.collect.prune.rules import STARTUP_TRIALS, Patient, Percentile, Rule


@dataclass(frozen=True)
class PruneConfig:
    """`group` is the key below `curves/` of those that are compared with each other."""

    metric: str
    maximize: bool
    group: str
    rule: Rule

    @classmethod
    def of(cls, body: Mapping[str, Any]) -> "PruneConfig":
        """Raises ValueError, KeyError, TypeError, AttributeError where it is not as the contract says."""
        if not (group := str(body["group"])) or ".." in group or group.startswith("/"):
            raise ValueError(f"prune.group is {group!r}")
        return cls(str(body["metric"]), bool(body["maximize"]), group, _rule(body["rule"]))


def _rule(body: Mapping[str, Any]) -> Rule:
    [(name, told)] = body.items()
    if name == "patient":
        return Patient(int(told["patience"]), float(told.get("minDelta", 0)))
    percent = {"median": 50.0}.get(name) or float(told["percentile"])
    return Percentile(percent, int(told.get("startupTrials", STARTUP_TRIALS)), int(told.get("warmupSteps", 0)))
