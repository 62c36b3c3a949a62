"""What is read from a Dataset: its versions and its last check."""

from datetime import datetime
from typing import Literal

from pydantic import Field

from flywheel.core.resource.schema import InternalErrorCount, LongText, MessageText, NameText, Schema, ShortText, Status
from flywheel.core.resource.values import Digest

MAX_VERSIONS = 200  # in the history, with those that are cited
MAX_WARNINGS = 20


class Splits(Schema):
    """Number of rows in each split."""

    train: int = Field(description="Rows of the training split.")
    validation: int = Field(description="Rows of the validation split.")
    test: int = Field(description="Rows of the test split.")


class Version(Schema):
    """A version of the data, named by its content."""

    name: NameText = Field(description="The Dataset's name and 8 digits of the content's digest.")
    digest: Digest = Field(description="The artifact with the splits, the schema and the profile.")
    content: Digest = Field(
        description="Digest of the bytes of the source and of the settings that affect the version."
    )
    rows: int | None = Field(None, description="Number of rows.")
    splits: Splits | None = Field(None, description="Number of rows in each split.")
    task: Literal["Classification", "Regression"] | None = Field(
        None, description="The task that follows from the target."
    )
    classes: int | None = Field(None, description="Number of classes of the target.")
    test_digest: Digest | None = Field(
        None, description="Digest of the test split. Models are comparable if it is equal."
    )
    warnings: tuple[MessageText, ...] = Field(
        (), max_length=MAX_WARNINGS, description="Anomalies that do not reject the data."
    )
    checked_at: datetime | None = Field(None, description="Time when it first passed the check.")


class LastCheck(Schema):
    """The current check, or the last one."""

    number: int = Field(description="Number of the attempt; each attempt is a separate Job.")
    generation: int = Field(description="The generation of the spec that it checks.")
    request: str | None = Field(
        None, max_length=256, description="The value of annotation flywheel.ml/check-requested that caused it."
    )
    tick: datetime | None = Field(None, description="The time of the newest tick of the schedule that caused it.")
    result: Literal["Running", "Passed", "Failed", "Retrying"] = Field(description="Its result.")
    reason: ShortText | None = Field(None, description="Why it failed, as one CamelCase word.")
    message: LongText | None = Field(None, description="Why it failed, as a sentence.")
    retries: int = Field(description="Number of retries after failures that the data did not cause.")
    internal_errors: InternalErrorCount = None
    not_before: datetime | None = Field(None, description="Time of the next attempt.")
    finished_at: datetime | None = Field(None, description="Time when it finished.")


class DatasetStatus(Status):
    """The version to use now, the ones before, and the last check."""

    version: NameText | None = Field(None, description="The current version.")
    digest: Digest | None = Field(None, description="Digest of its artifact.")
    rows: int | None = Field(None, description="Number of rows in the current version.")
    snapshot: Digest | None = Field(
        None,
        description="Artifact with the rows of a database as of the last check that passed, which the next check adds to.",
    )
    generation: int | None = Field(None, description="The generation of the spec that the version was checked against.")
    check: LastCheck | None = Field(None, description="The current check, or the last one.")
    versions: tuple[Version, ...] = Field((), max_length=MAX_VERSIONS, description="Versions, the current one first.")
