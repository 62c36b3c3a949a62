"""What a step is asked to do, and how it is asked and read: the face that all sorts of steps share."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from flywheel.core.diagnosis.outcome import Outcome
from flywheel.core.diagnosis.pending import Diagnosis
from flywheel.core.resource import names
from flywheel.core.resource.kind import Cluster
from flywheel.core.resource.plan import Child
from flywheel.core.settings import Settings
from flywheel.kinds.trainingpipeline.schema.steps import Step
from flywheel.kinds.trainingrun.parameters import Values
from flywheel.kinds.trainingrun.schema import TrainingRun


@dataclass(frozen=True)
class Taken:
    """Something that a step takes from an input or a step above: an artifact, and what is known of it."""

    producer: str
    digest: str
    facts: Mapping[str, str] = field(default_factory=dict)
    metrics: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Order:
    """One attempt of a step. `taken` by the name of its folder; `memory` multiplies what the spec asks for.

    `sample`: the share of rows of a test run; `again`: the same as a step of an earlier run, without searching anew.
    """

    step: Step
    attempt: int
    taken: Mapping[str, Taken]
    values: Values
    settings: Settings
    memory: int = 1
    sample: str | None = None
    again: Mapping[str, str] | None = None
    context: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Seen:
    """What became of an attempt: nothing yet (`exists` and no outcome), diagnosis, an outcome; or its object is gone."""

    exists: bool
    outcome: Outcome | None = None
    diagnosis: Diagnosis | None = None
    note: str = ""


class Worker(Protocol):
    """One sort of step."""

    def children(self, run: TrainingRun, order: Order) -> tuple[Child, ...]:
        """The object that does it, last; before it what it needs."""

    def identity(self, run: TrainingRun, order: Order) -> Mapping[str, Any] | str:
        """All that decides the result, for the cache; or the sentence why it is never taken from there."""

    def read(self, run: TrainingRun, name: str, cluster: Cluster) -> Seen:
        """What became of it."""


def key(identity: Mapping[str, Any]) -> str:
    """32 digits of the digest of all that decides the result."""
    return names.digest({"v": 1, **identity})[:32]
