"""What other kinds read of a ModelMonitor's findings: which are reasons to take a version back, as a Model names them, and their text."""

from collections.abc import Callable
from typing import Any, Literal

from flywheel.core.resource.api import Manifest

ProblemKind = Literal["Errors", "NotFinite", "ConstantOutput", "LabelledLoss"]

# Drift of features is none of them: it says nothing of the version. Nor does overload, which one client can cause.
_KINDS: dict[ProblemKind, Callable[[Manifest], Any]] = {
    "Errors": lambda found: found.get("problem") == "ModelFailed",
    "NotFinite": lambda found: found.get("problem") == "NotFinite",
    "ConstantOutput": lambda found: found.get("problem") == "ConstantOutput",
    "LabelledLoss": lambda found: found.get("signal") == "performance" or refuses_labels(found),
}


def problem_kind(found: Manifest) -> ProblemKind | None:
    """Which of them a finding of a monitor's status is."""
    return next((kind for kind, matches in _KINDS.items() if matches(found)), None)


def refuses_labels(found: Manifest) -> bool:
    """Whether the finding is of labels that do not count, since one source brought too many: a loss by them is none."""
    return bool(found.get("signal") == "labels")


def summarize_finding(found: Manifest) -> str:
    """A finding of a monitor's status in one clause: the run's own sentence, else what it measured, for readers of other kinds."""
    if found.get("message"):
        return str(found["message"]).rstrip(".")
    signal, measure = str(found.get("signal")), found.get("measure")
    what = signal if measure in (None, signal) else f"{signal} ({measure})"
    size = f" is {found['effect']}" if found.get("effect") else ""
    limit = f" (threshold {found['threshold']})" if found.get("threshold") else ""
    return f"{what} of '{found.get('subject')}'{size}{limit}"
