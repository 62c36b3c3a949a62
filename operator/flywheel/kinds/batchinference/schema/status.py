"""What is read from a BatchInference: the run that is under way, and the runs that ended."""

from datetime import datetime
from typing import Literal

from pydantic import Field

from flywheel.core.resource.schema import InternalErrorCount, LongText, NameText, Schema, ShortText, Status
from flywheel.core.resource.values import Digest
from flywheel.kinds.featureset.schema.pins import FeatureSetPin, pins_field

MAX_HISTORY = 10


class Run(Schema):
    """The current run, or the last one."""

    number: int = Field(description="Number of its newest Job; numbers are not reused.")
    phase: Literal["Planning", "Scoring", "Finishing", "Succeeded", "Failed"] = Field(description="Phase of the run.")
    spec: str = Field(max_length=64, description="Digest of the spec fields that the run depends on.")
    request: str | None = Field(
        None, max_length=256, description="The value of annotation flywheel.ml/run-requested that caused it."
    )
    tick: ShortText | None = Field(None, description="The tick of the schedule that caused it.")
    time: datetime = Field(description="Scheduled time, or the time when the run started.")
    version: NameText = Field(description="The ModelVersion that is used.")
    digest: Digest = Field(description="Digest of its artifact.")
    input: LongText = Field(description="Location of the rows.")
    output: LongText = Field(description="Location of the predictions.")
    feature_sets: tuple[FeatureSetPin, ...] = pins_field(
        "The FeatureSets whose features are looked up, with the versions of their Datasets."
    )
    plan: Digest | None = Field(None, description="Artifact that assigns rows to shards.")
    shards: int | None = Field(None, description="Number of shards.")
    shards_done: int | None = Field(None, description="Number of completed shards.")
    rows: int | None = Field(None, description="Number of rows in the input.")
    rows_done: int | None = Field(None, description="Number of scored rows.")
    row_errors: int | None = Field(None, description="Number of rows that failed.")
    rows_per_second: int | None = Field(None, description="Scored rows per second, over all shards.")
    warning: LongText | None = Field(None, description="Fields of the spec that have no effect on its input.")
    retries: int = Field(description="Number of consecutive retries.")
    internal_errors: InternalErrorCount = None
    not_before: datetime | None = Field(
        None, description="Earliest start of the next Job after a failure or a suspension."
    )
    reason: ShortText | None = Field(None, description="Why it failed, as one CamelCase word.")
    message: LongText | None = Field(None, description="Why it failed, as a sentence.")
    started_at: datetime = Field(description="Start time.")
    finished_at: datetime | None = Field(None, description="Time when it finished.")

    @property
    def is_over(self) -> bool:
        """Whether it has ended, well or badly."""
        return self.phase in ("Succeeded", "Failed")


class EndedRun(Schema):
    """A finished run."""

    time: datetime = Field(description="Scheduled time, or the time when the run started.")
    result: Literal["Succeeded", "Failed"] = Field(description="Result of the run.")
    reason: ShortText | None = Field(None, description="Why it failed, as one CamelCase word.")
    version: NameText = Field(description="The ModelVersion that was used.")
    output: LongText = Field(description="Location of the predictions.")
    rows: int | None = Field(None, description="Number of scored rows.")
    row_errors: int | None = Field(None, description="Number of rows that failed.")
    finished_at: datetime = Field(description="Time when it finished.")


class BatchInferenceStatus(Status):
    """The run that is under way, and the ones before."""

    run: Run | None = Field(None, description="The current run, or the last one.")
    history: tuple[EndedRun, ...] = Field((), max_length=MAX_HISTORY, description="Finished runs, newest first.")
