"""What is read from a BatchInference: the run that is under way, and the runs that ended."""

from datetime import datetime
from typing import Literal

from pydantic import Field

from flywheel.core.resource.schema import Schema, Status
from flywheel.core.resource.values import Digest

MAX_HISTORY = 10


class Run(Schema):
    """The run that is under way, or the last one."""

    number: int = Field(description="The number of its newest Job; each has a number of its own.")
    phase: Literal["Planning", "Scoring", "Finishing", "Succeeded", "Failed"] = Field(description="How far it is.")
    spec: str = Field(max_length=64, description="Digest of the fields of the spec that the run depends on.")
    request: str | None = Field(
        None, max_length=256, description="The value of annotation flywheel.ml/run-requested that caused it."
    )
    tick: str | None = Field(None, max_length=63, description="The tick of the schedule that caused it.")
    time: datetime = Field(description="The time that the schedule meant, or when the run began.")
    version: str = Field(max_length=253, description="The ModelVersion that scores.")
    digest: Digest = Field(description="Its artifact.")
    input: str = Field(max_length=1024, description="Where the rows are.")
    output: str = Field(max_length=1024, description="Where the predictions go.")
    plan: Digest | None = Field(None, description="The artifact that says which rows each shard scores.")
    shards: int | None = Field(None, description="How many shards there are.")
    shards_done: int | None = Field(None, description="How many of them are done.")
    rows: int | None = Field(None, description="All rows of the input.")
    rows_done: int | None = Field(None, description="How many are scored.")
    row_errors: int | None = Field(None, description="How many cannot be scored.")
    rows_per_second: int | None = Field(None, description="Rows for each second of scoring, over all shards.")
    retries: int = Field(description="How often in a row a Job was tried again.")
    not_before: datetime | None = Field(
        None, description="When the next Job starts, where one failed or was suspended."
    )
    reason: str | None = Field(None, max_length=63, description="Why it failed, as one CamelCase word.")
    message: str | None = Field(None, max_length=1024, description="Why it failed, as a sentence.")
    started_at: datetime = Field(description="When it began.")
    finished_at: datetime | None = Field(None, description="When it ended.")

    @property
    def is_over(self) -> bool:
        """Whether it has ended, well or badly."""
        return self.phase in ("Succeeded", "Failed")


class EndedRun(Schema):
    """A run that has ended."""

    time: datetime = Field(description="The time that the schedule meant, or when the run began.")
    result: Literal["Succeeded", "Failed"] = Field(description="How it ended.")
    reason: str | None = Field(None, max_length=63, description="Why it failed, as one CamelCase word.")
    version: str = Field(max_length=253, description="The ModelVersion that scored.")
    output: str = Field(max_length=1024, description="Where the predictions are.")
    rows: int | None = Field(None, description="How many rows were scored.")
    row_errors: int | None = Field(None, description="How many could not be.")
    finished_at: datetime = Field(description="When it ended.")


class BatchInferenceStatus(Status):
    """The run that is under way, and the ones before."""

    run: Run | None = Field(None, description="The run that is under way, or the last one.")
    history: tuple[EndedRun, ...] = Field((), max_length=MAX_HISTORY, description="Runs that ended, newest first.")
