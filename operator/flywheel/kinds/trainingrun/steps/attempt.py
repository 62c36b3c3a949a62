"""One attempt of a step, what all steps of its run share, and what is observed of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from flywheel.core.diagnosis.attempt_state import AttemptState
from flywheel.core.settings import Settings
from flywheel.kinds.featureset.schema.pins import FeatureSetPin
from flywheel.kinds.trainingpipeline.schema import Template
from flywheel.kinds.trainingpipeline.schema.steps import Step
from flywheel.kinds.trainingrun.parameters import Values
from flywheel.kinds.trainingrun.schema import TrainingRun, TrainingRunStatus
from flywheel.kinds.trainingrun.schema.status import InputUsed


@dataclass(frozen=True)
class RunContext:
    """A run with its template, parameters and data.

    `original`: the status of the run that this one reproduces. `sample`: the share of rows that a test run takes.
    `tags` are the user's labels of the pipeline and of the run; `retention`: how long what is tracked is shown. `feature_sets`: those that
    a step may take now, by name.
    """

    run: TrainingRun
    template: Template
    values: Values
    inputs: Mapping[str, InputUsed]
    settings: Settings
    original: TrainingRunStatus | None = None
    sample: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    retention: str | None = None
    feature_sets: Mapping[str, FeatureSetPin] = field(default_factory=dict)


@dataclass(frozen=True)
class InputArtifact:
    """An artifact that a step takes from an input or a step above, and what is known of it."""

    producer: str
    digest: str
    facts: Mapping[str, str] = field(default_factory=dict)
    metrics: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Attempt:
    """One attempt of a step.

    `inputs`: by the name of the folder; `memory_factor` multiplies the memory of the spec; `reproduced`: facts of the same step of an
    earlier run, which is repeated without a search; `details`: what only register and notify need; `feature_sets`: those of a step train,
    none while one of them has to be waited for.
    """

    context: RunContext
    step: Step
    number: int
    inputs: Mapping[str, InputArtifact]
    memory_factor: int = 1
    reproduced: Mapping[str, str] | None = None
    details: Mapping[str, Any] = field(default_factory=dict)
    feature_sets: tuple[FeatureSetPin, ...] = ()


@dataclass(frozen=True, kw_only=True)
class AttemptSeen(AttemptState):
    """The state of an attempt of a step, whose object may be gone (`exists`)."""

    exists: bool = True
    note: str = ""
