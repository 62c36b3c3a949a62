"""What earlier Experiments found, as far as it fits this one's space."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from flywheel.kinds.experiment.schema.spec import ExperimentSpec
from flywheel.kinds.experiment.schema.status import ExperimentStatus, Record
from flywheel.kinds.experiment.search.defaults import Setup, settle
from flywheel.kinds.experiment.search.space import Past, place, values
from flywheel.kinds.experiment.trials import point


@dataclass(frozen=True)
class Lesson:
    """The trials of one earlier Experiment that fit; `left_out` are those that succeeded and do not."""

    experiment: str
    trials: tuple[Past, ...]
    left_out: int

    @property
    def told(self) -> str:
        """`17 trials of Experiment 'a' teach the search, 3 do not fit`."""
        fits = f"{len(self.trials)} trials of Experiment '{self.experiment}' teach the search"
        return f"{fits}, {self.left_out} do not fit" if self.left_out else fits


def lesson(name: str, manifest: Mapping[str, Any], setup: Setup) -> Lesson:
    """Only trials that succeeded with the same objective teach. What cannot be read teaches nothing."""
    try:
        spec = ExperimentSpec.model_validate(manifest["spec"])
        status = ExperimentStatus.model_validate(manifest.get("status") or {})
    except (ValidationError, KeyError):
        return Lesson(name, (), 0)
    theirs = settle(spec, status.data) if status.data is not None else None
    done = [record for record in status.history if record.state == "Succeeded"]
    if theirs is None or (theirs.metric, theirs.direction) != (setup.metric, setup.direction):
        return Lesson(name, (), len(done))
    fitting = [past for record in done if (past := _moved(record, theirs, setup))]
    return Lesson(name, tuple(fitting), len(done) - len(fitting))


def _moved(record: Record, theirs: Setup, ours: Setup) -> Past | None:
    """A trial at the same parameters in our space. Under other constraints nobody knows whether it would keep them."""
    if ours.constraints and ours.constraints != theirs.constraints:
        return None
    found = place(ours.space, *values(theirs.space, point(record)))
    if found is None or record.value is None:
        return None
    return Past(found, float(record.value), violation=float(record.over or 0) if ours.constraints else 0.0)
