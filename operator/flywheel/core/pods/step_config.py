"""The configuration that commands of the runtime image read in their pods, in FLYWHEEL_FETCH or params.json.

tests/contracts/config/*.json hold both sides to the same documents. A pod's manifest shows only what was asked for.
"""

import json
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from flywheel.core.resource.schema import FileFormat


class StepConfig(BaseModel):
    """A part of the configuration. An unknown field is an error: the pod would refuse it."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="forbid", frozen=True)

    def document(self) -> dict[str, Any]:
        """Returns the configuration as it is written."""
        return self.model_dump(mode="json", by_alias=True, exclude_unset=True)

    def to_json(self) -> str:
        """Returns the value of the environment variable, with sorted keys."""
        return json.dumps(self.document(), sort_keys=True)


class S3Source(StepConfig):
    """One object, or every object below a URI that ends with `/`; `foreign` if Secret `secret` has its credentials."""

    uri: str
    endpoint: str | None = None
    region: str | None = None
    foreign: bool = False
    secret: str | None = None


class HTTPSource(StepConfig):
    """A URL, and the hosts that it and its redirects may name."""

    url: str
    sha256: str
    allowed_hosts: tuple[str, ...] = ()


class SqlIncremental(StepConfig):
    """Rows since the last snapshot, which is the input `snapshot`; all rows where that is older than `full_every_seconds`."""

    column: str
    full_every_seconds: int


class SqlSource(StepConfig):
    """A table or a query of a database server; Secret `secret` has the login. `ignore`: columns whose values are not read."""

    engine: Literal["PostgreSQL", "MariaDB"]
    host: str
    port: int | None = None
    database: str
    table: str | None = None
    query: str | None = None
    tls: Literal["Verify", "Disabled"]
    timeout_seconds: int
    max_rows: int | None = None
    ignore: tuple[str, ...] = ()
    incremental: SqlIncremental | None = None
    secret: str
    allowed_hosts: tuple[str, ...]


class VolumeSource(StepConfig):
    """A path in the volume that is mounted for the input."""

    path: str


class FolderSource(StepConfig):
    """Objects of the namespace's own folder in the store: those below each of the `parts` of `path`, which end with `/`."""

    path: str
    parts: tuple[str, ...]


class InputConfig(StepConfig):
    """One input, with exactly one source. `files` of an artifact alone are downloaded; empty: all. `optional`: it may be missing in the store."""

    name: str
    artifact: str | None = None
    s3: S3Source | None = None
    http: HTTPSource | None = None
    sql: SqlSource | None = None
    volume: VolumeSource | None = None
    folder: FolderSource | None = None
    sha256: str | None = None
    files: tuple[str, ...] = ()
    optional: bool = False


class FetchConfig(StepConfig):
    """The variable FLYWHEEL_FETCH."""

    limit_bytes: int | None
    inputs: tuple[InputConfig, ...]


class NotifyConfig(StepConfig):
    """`params.json` of notify; `url` is absent where a Secret has it."""

    url: str | None = None
    body: dict[str, Any]
    allowed_hosts: tuple[str, ...]


class Side(StepConfig):
    """Champion or challenger: the version that its pods serve, and where they are found."""

    version: str
    host: str
    port: int


class Limits(StepConfig):
    """What a challenger may have at most; shares are fractions."""

    min_requests: int
    max_error_rate: float | None = None
    max_p99_ratio: float | None = None
    max_disagreement: float | None = None


class CanaryAnalysisConfig(StepConfig):
    """`params.json` of judge."""

    mode: Literal["Canary", "Shadow"]
    model: str
    percent: int | float
    seconds: int
    at_most_seconds: int
    takes_up_seconds: int
    champion: Side
    challenger: Side
    limits: Limits


class BatchInput(StepConfig):
    """The rows, in a store or on a volume."""

    s3: S3Source | None = None
    volume: VolumeSource | None = None
    format: FileFormat | None
    features: tuple[str, ...]
    csv: dict[str, Any] | None = None
    ignore: tuple[str, ...] = ()


class BatchOutput(StepConfig):
    """Where predictions go."""

    s3: S3Source
    format: FileFormat
    include: tuple[str, ...] = ()
    prediction: Literal["Class", "Probability"] | None = None
    overwrite: bool = False


class BatchModel(StepConfig):
    """The version that the server in the pod serves."""

    name: str
    version: str
    digest: str


class BatchConfig(StepConfig):
    """`params.json` of the batch steps."""

    input: BatchInput
    output: BatchOutput
    model: BatchModel
    parallelism: int
    shards: int | None
    max_row_errors: int | None


class TrainConfig(StepConfig):
    """`params.json` of train; `features` None: every usable column. `rowwise` maps features to SQL over columns of one row."""

    estimator: str
    parameters: dict[str, Any]
    task: Literal["Classification", "Regression"] | None
    features: dict[Literal["numeric", "categorical", "text"], tuple[str, ...]] | None
    objective: dict[Literal["metric"], str]
    validation: dict[Literal["folds"], int] | dict[Literal["holdout"], Literal["Validation"]]
    seed: int
    curve: bool = False
    rowwise: dict[str, str] | None = None


class PrepareConfig(StepConfig):
    """`params.json` of prepare; `sample` is the fraction of the rows to use, None for all. `feature_sets` add columns to the result."""

    tables: tuple[str, ...]
    sql: str | None
    parameters: dict[str, Any]
    run: dict[Literal["date"], str]
    sample: str | None
    seed: int
    feature_sets: tuple[dict[Literal["name", "digest", "input", "tables"], Any], ...] = ()


class EvaluateConfig(StepConfig):
    """`params.json` of evaluate; `metric` None: the usual one of the task."""

    by: tuple[str, ...]
    metric: str | None
    path: str


class PackageConfig(StepConfig):
    """`params.json` of package."""

    path: str
    quantize: Literal["Dynamic"] | None


class CompareConfig(StepConfig):
    """`params.json` of compare; `tolerance` is relative to the greater value."""

    left_metrics: dict[str, float]
    right_metrics: dict[str, float]
    tolerance: float


class ChampionConfig(StepConfig):
    """The version that a challenger is compared with; `own`, its queries and tables, only where it was prepared in another way."""

    version: str
    digest: str
    own: dict[str, Any] | None = None


class GatesConfig(StepConfig):
    """`params.json` of gates; each gate is as in the spec of the Model. `traffic` is what those on logged requests read."""

    gates: tuple[dict[str, Any], ...]
    objective: str | None
    digest: str
    champion: ChampionConfig | None
    traffic: dict[Literal["until", "services", "labels"], Any] | None = None


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
