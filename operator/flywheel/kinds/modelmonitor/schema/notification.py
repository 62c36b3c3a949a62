"""What status says of the notifications of a ModelMonitor."""

from datetime import datetime
from typing import Literal

from pydantic import Field

from flywheel.core.resource.schema import LongText, Schema, ShortText

MAX_NOTIFICATIONS = 5


class Notification(Schema):
    """A notification of the webhook: one for each run in which conditions became False."""

    run: int = Field(description="Number of the run whose result it is about.")
    conditions: tuple[ShortText, ...] = Field(
        max_length=8, description="The conditions that became False with that run."
    )
    attempt: int = Field(description="Number of the attempt, each of which is a Job.")
    result: Literal["Running", "Retrying", "Sent", "Failed"] = Field(description="Its result.")
    reason: ShortText | None = Field(None, description="Why the last attempt failed, as one CamelCase word.")
    message: LongText | None = Field(None, description="Why the last attempt failed, as a sentence.")
    not_before: datetime | None = Field(None, description="Time of the next attempt.")
    finished_at: datetime | None = Field(None, description="Time when it was sent, or given up.")
