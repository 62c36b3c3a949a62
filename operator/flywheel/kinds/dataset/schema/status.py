"""What is read from a Dataset: its versions and its last check."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field

from flywheel.core.resource.schema import Schema, Status
from flywheel.core.resource.values import Digest

MAX_VERSIONS = 200  # in the history, with those that are cited


MAX_WARNINGS = 20


Message = Annotated[str, Field(max_length=512)]


class Splits(Schema):
    """Rows in each part."""

    train: int = Field(description="Rows to train on.")
    validation: int = Field(description="Rows to choose models by.")
    test: int = Field(description="Rows that no training sees.")


class Version(Schema):
    """One state of the data, named by its content."""

    name: str = Field(max_length=253, description="The Dataset's name and 8 digits of the content's digest.")
    digest: Digest = Field(description="The artifact with the splits, the schema and the profile.")
    content: Digest = Field(description="Digest of the source's bytes and of the settings that shape the version.")
    rows: int | None = Field(None, description="All rows.")
    splits: Splits | None = Field(None, description="Rows in each part.")
    task: Literal["Classification", "Regression"] | None = Field(
        None, description="The task that follows from the target."
    )
    classes: int | None = Field(None, description="How many classes the target has.")
    test_digest: Digest | None = Field(None, description="Digest of the test part; models compare on the same one.")
    warnings: tuple[Message, ...] = Field(
        (), max_length=MAX_WARNINGS, description="Anomalies that do not make the data unfit."
    )
    checked_at: datetime | None = Field(None, description="When it was first found good.")


class LastCheck(Schema):
    """The check that runs, or the last one that ran."""

    number: int = Field(description="The attempt; each has a Job of its own.")
    generation: int = Field(description="The generation of the spec that it checks.")
    request: str | None = Field(
        None, max_length=256, description="The value of annotation flywheel.ml/check-requested that caused it."
    )
    tick: datetime | None = Field(None, description="The time of the newest tick of the schedule that caused it.")
    result: Literal["Running", "Passed", "Failed", "Retrying"] = Field(description="What became of it.")
    reason: str | None = Field(None, max_length=63, description="Why it failed, as one CamelCase word.")
    message: str | None = Field(None, max_length=1024, description="Why it failed, as a sentence.")
    retries: int = Field(description="How often it was retried, since the data was not the cause.")
    not_before: datetime | None = Field(None, description="When it is tried again.")
    finished_at: datetime | None = Field(None, description="When it ended.")


class DatasetStatus(Status):
    """The version to use now, the ones before, and the last check."""

    version: str | None = Field(None, max_length=253, description="The version to use now.")
    digest: Digest | None = Field(None, description="Its artifact.")
    rows: int | None = Field(None, description="Its rows.")
    generation: int | None = Field(None, description="The generation of the spec that the version was checked against.")
    check: LastCheck | None = Field(None, description="The check that runs, or the last one that ran.")
    versions: tuple[Version, ...] = Field((), max_length=MAX_VERSIONS, description="Versions, the current one first.")
