"""A run of a monitor, and the message about what it found."""

from typing import Any, Literal

from pydantic import Field

from flywheel.core.pods.step_config.config import StepConfig


class FalseAlarms(StepConfig):
    """How many false alarms are expected in a time."""

    count: int
    per_seconds: int


class MonitoredVersion(StepConfig):
    """A version whose traffic is compared, or only its labels; its artifact is the input `version-<name>`."""

    name: str
    digest: str
    labels_only: bool = False


class MonitorGroundTruth(StepConfig):
    """Where labels come from: the column of a Dataset by its key, or without both what was posted."""

    key: str | None = None
    column: str | None = None
    probability: str | None = None
    min_delay_seconds: int = 0
    max_delay_seconds: int = 7 * 86_400
    retry_seconds: int = 0
    trusted_sources: tuple[str, ...] = ()
    max_source_share: str | None = None
    max_deviations: int | None = None


class MonitorBatchRun(StepConfig):
    """The output of a run of a BatchInference, which is the input of that name."""

    input: str
    version: str
    digest: str
    finished_at: str


class MonitorStoredRows(StepConfig):
    """Rows of the store that are counted in place of count documents."""

    source: Literal["Log", "Batch"]
    runs: tuple[MonitorBatchRun, ...] = ()


class MonitorConfig(StepConfig):
    """`params.json` of monitor; `from` and `until` are multiples of the window's length since 1970."""

    service: str
    namespace: str
    from_: str = Field(alias="from")
    until: str
    window_seconds: int
    min_rows: int
    false_alarms: FalseAlarms
    method: Literal["Sequential", "Fixed"] = "Sequential"
    reference: dict[Literal["seasonal"], Literal["HourOfWeek"]] | None = None
    signals: dict[
        Literal[
            "dataQuality",
            "featureDrift",
            "predictionDrift",
            "estimatedPerformance",
            "performance",
            "service",
            "fairness",
        ],
        dict[str, Any],
    ]
    ground_truth: MonitorGroundTruth | None = None
    stored_rows: MonitorStoredRows | None = None
    versions: tuple[MonitoredVersion, ...]
    skipped: int
    state_expected: bool = False


class NotifyConfig(StepConfig):
    """`params.json` of notify; `url` is absent where a Secret has it."""

    url: str | None = None
    body: dict[str, Any]
    allowed_hosts: tuple[str, ...]
