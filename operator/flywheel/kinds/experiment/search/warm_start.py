"""The trials of earlier Experiments that fit the space of this one."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from flywheel.kinds.experiment.schema.spec import ExperimentSpec
from flywheel.kinds.experiment.schema.status import ExperimentStatus, TrialRecord
from flywheel.kinds.experiment.search.defaults import Setup, resolve_setup
from flywheel.kinds.experiment.search.space import PastTrial, parameters_of, point_of


@dataclass(frozen=True)
class WarmStart:
    """The trials of one earlier Experiment that fit; `left_out` are those that succeeded and do not."""

    experiment: str
    trials: tuple[PastTrial, ...]
    left_out: int


def warm_start(name: str, manifest: Mapping[str, Any], setup: Setup) -> WarmStart:
    """The trials that succeeded with the same objective, moved into the space of `setup`; none where the manifest cannot be read."""
    try:
        spec = ExperimentSpec.model_validate(manifest["spec"])
        status = ExperimentStatus.model_validate(manifest.get("status") or {})
    except (ValidationError, KeyError):
        return WarmStart(name, (), 0)
    theirs = resolve_setup(spec, status.data) if status.data is not None else None
    succeeded = [record for record in status.history if record.state == "Succeeded"]
    if theirs is None or (theirs.metric, theirs.direction) != (setup.metric, setup.direction):
        return WarmStart(name, (), len(succeeded))
    fitting = [past for record in succeeded if (past := _moved_trial(record, theirs, setup))]
    return WarmStart(name, tuple(fitting), len(succeeded) - len(fitting))


def _moved_trial(record: TrialRecord, theirs: Setup, ours: Setup) -> PastTrial | None:
    """A trial at the same parameters in our space. Under other constraints it is unknown whether it would satisfy them."""
    if ours.constraints and ours.constraints != theirs.constraints:
        return None
    point = point_of(ours.space, *parameters_of(theirs.space, record.coordinates))
    if point is None or record.value is None:
        return None
    return PastTrial(point, float(record.value), violation=float(record.over or 0) if ours.constraints else 0.0)
