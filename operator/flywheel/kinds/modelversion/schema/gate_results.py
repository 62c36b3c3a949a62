"""What a ModelVersion tells of its gates, and of who approved it."""

from datetime import datetime

from pydantic import Field

from flywheel.core.resource.schema import InternalErrorCount, MessageText, NameText, NumberText, Schema, ShortText
from flywheel.core.resource.values import Digest


class Approval(Schema):
    """Somebody with the verb approve lets these bytes become champion."""

    by: str = Field(
        min_length=1,
        max_length=253,
        description="Name of the user who approves, as printed by 'kubectl auth whoami'. It must be the user who writes this field.",
    )
    digest: Digest = Field(
        description="Digest of the approved artifact (status.digest). An approval of another digest is void."
    )
    reason: str = Field(
        min_length=1, max_length=512, description="Reason for the approval, such as the number of a ticket."
    )


class ApprovalStatus(Schema):
    """An approval as it was seen."""

    by: NameText = Field(description="The user.")
    digest: Digest = Field(description="The artifact.")
    reason: MessageText = Field(description="Reason that the user gave.")
    at: datetime = Field(description="Time when it was first observed.")


class GateEntry(Schema):
    """Result of one gate."""

    name: ShortText = Field(
        description="The gate; or test-rows: the challenger was trained on its test rows; or answers: it gave no finite answer to some of them."
    )
    passed: bool = Field(description="Whether it passed.")
    measured: bool | None = Field(
        None, description="False if it could not be measured; message has the reason. Absent if it was measured."
    )
    message: MessageText = Field("", description="Message with the measurements. gates.json has the complete message.")


class GatesResult(Schema):
    """One measurement: it counts for these artifacts and these gates, and for no others."""

    digest: Digest = Field(description="The artifact that was measured.")
    champion: NameText | None = Field(None, description="The champion it was compared with. Absent if there is none.")
    champion_digest: Digest | None = Field(None, description="Digest of the champion's artifact.")
    gates: str = Field(max_length=16, description="Digest of the gates that were measured.")
    entries: tuple[GateEntry, ...] = Field((), max_length=19, description="Result of each gate.")
    value: NumberText | None = Field(None, description="The Model's objective on the challenger's test rows.")
    champion_value: NumberText | None = Field(None, description="The champion's value on the same rows.")
    artifact: Digest | None = Field(None, description="The artifact with gates.json in the store.")
    at: datetime = Field(description="Time of the measurement.")


class GatesRetry(Schema):
    """The gates' Job could not measure, and is tried again."""

    question: str = Field(max_length=8, description="Digest of the measurement request.")
    attempts: int = Field(description="Number of failed attempts.")
    message: MessageText = Field(description="Message about the last failed attempt.")
    internal_errors: InternalErrorCount = None
    retry_at: datetime = Field(description="Time of the next attempt.")
