"""The configuration of the containers beside main, `collect` and `watch`, in FLYWHEEL_COLLECT and FLYWHEEL_WATCH."""

from typing import Annotated, Any, Literal

from pydantic import Field

from flywheel.core.pods.step_config import StepConfig


class OutputConfig(StepConfig):
    """A folder below `outputs` to upload."""

    name: str
    required: bool


class UploadThreshold(StepConfig):
    """Outputs are uploaded only if `metric` reaches what other trials have."""

    metric: str
    maximize: bool
    reach: float


class PruneConfig(StepConfig):
    """Which curve is compared with those of the same group, and by which rule: median, percentile or patient with its fields."""

    metric: str
    maximize: bool
    group: str
    rule: Annotated[
        dict[Literal["median", "percentile", "patient"], dict[str, int | float]], Field(min_length=1, max_length=1)
    ]


class CheckpointConfig(StepConfig):
    """How often collect looks for a new checkpoint."""

    every_seconds: int


class ObjectiveConfig(StepConfig):
    """The metric that trials are compared by."""

    metric: str
    maximize: bool


class CodeConfig(StepConfig):
    """The revision of the trainer's code, as the user named it."""

    revision: str
    repository: str | None = None


class LogConfig(StepConfig):
    """How main's log is stored: the variables of collect whose values are masked in it."""

    masked_variables: tuple[str, ...] = ()


class TrackConfig(StepConfig):
    """What collect records of a step beside its result (images/README.md, "The tracking records")."""

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
    parameters: dict[str, Any] = Field(default_factory=dict)
    seed: int | None = None
    code: CodeConfig | None = None
    tags: dict[str, str] = Field(default_factory=dict)
    retention: str | None = None
    logs: LogConfig | None = None


class CollectConfig(StepConfig):
    """The variable FLYWHEEL_COLLECT; images/README.md has the meaning of each field."""

    timeout_seconds: int | None
    outputs: tuple[OutputConfig, ...]
    audit: dict[str, Any] | None = None
    prune: PruneConfig | None = None
    keep: UploadThreshold | None = None
    leader: int | None = None
    checkpoint: CheckpointConfig | None = None
    upload_patience_seconds: int
    track: TrackConfig | None = None


class WatchConfig(StepConfig):
    """The variable FLYWHEEL_WATCH."""

    timeout_seconds: int | None
    grace_seconds: int
    hold_seconds: int
