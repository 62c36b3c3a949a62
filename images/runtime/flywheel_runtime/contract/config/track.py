"""What collect records of a step, as the operator describes it: the field `track` of FLYWHEEL_COLLECT."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class ObjectiveConfig:
    """The metric that trials are compared by."""

    metric: str
    maximize: bool


@dataclass(frozen=True)
class CodeConfig:
    """The revision of the trainer's code, as the user named it."""

    revision: str
    repository: str | None = None


@dataclass(frozen=True)
class LogConfig:
    """How main's log is stored. `masked_variables`: variables of collect whose values are replaced in it."""

    masked_variables: tuple[str, ...] = ()


@dataclass(frozen=True)
class TrackConfig:
    """The part of a record that the operator knows (images/README.md, "The tracking records").

    `logs` None: main's log is not stored. `retention`: how long the record is shown after its resource was deleted; None: for ever.
    """

    kind: str
    name: str
    trial: int | None = None
    repeat: int | None = None
    pipeline: str | None = None
    run: str | None = None
    run_uid: str | None = None
    dataset: str | None = None
    dataset_version: str | None = None
    dataset_digest: str | None = None
    objective: ObjectiveConfig | None = None
    estimator: str | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict)
    seed: int | None = None
    code: CodeConfig | None = None
    tags: Mapping[str, Any] = field(default_factory=dict)
    retention: str | None = None
    logs: LogConfig | None = None
