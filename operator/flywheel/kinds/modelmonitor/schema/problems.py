"""Findings of a ModelMonitor that are reasons to take a version back, as a Model names them in spec.rollback."""

from collections.abc import Callable
from typing import Any, Literal

from flywheel.core.resource.api import Manifest

ProblemKind = Literal["Errors", "NotFinite", "ConstantOutput", "LabelledLoss"]

# Drift of features is none of them: it says nothing of the version.
_KINDS: dict[ProblemKind, Callable[[Manifest], Any]] = {
    "Errors": lambda found: found.get("signal") == "service" and found.get("measure") == "errors",
    "NotFinite": lambda found: found.get("problem") == "NotFinite",
    "ConstantOutput": lambda found: found.get("problem") == "ConstantOutput",
    "LabelledLoss": lambda found: found.get("signal") == "performance",
}


def problem_kind(found: Manifest) -> ProblemKind | None:
    """Which of them a finding of a monitor's status is."""
    return next((kind for kind, matches in _KINDS.items() if matches(found)), None)
