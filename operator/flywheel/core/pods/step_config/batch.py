"""Predictions for the rows of a file or a table."""

from typing import Any, Literal

from flywheel.core.pods.step_config.config import StepConfig
from flywheel.core.pods.step_config.fetched import S3Source, VolumeSource
from flywheel.core.resource.schema import FileFormat


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
    """`params.json` of the batch steps. `feature_sets` are those whose features are looked up for each row."""

    input: BatchInput
    output: BatchOutput
    model: BatchModel
    parallelism: int
    shards: int | None
    max_row_errors: int | None
    feature_sets: tuple[dict[Literal["name", "digest", "input", "tables", "datasets"], Any], ...] = ()
