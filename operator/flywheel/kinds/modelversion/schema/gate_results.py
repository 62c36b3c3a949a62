"""What a ModelVersion tells of its gates, and of who approved it."""

from datetime import datetime
from typing import Annotated

from pydantic import Field

from flywheel.core.resource.schema import Schema
from flywheel.core.resource.values import Digest

Number = Annotated[str, Field(max_length=32)]


class Approval(Schema):
    """Somebody with the verb approve lets these bytes become champion."""

    by: str = Field(
        min_length=1,
        max_length=253,
        description="The user who writes this, as 'kubectl auth whoami' names them; nobody can write another's name.",
    )
    digest: Digest = Field(
        description="The artifact that is approved: status.digest. An approval of another one is void."
    )
    reason: str = Field(min_length=1, max_length=512, description="Why, such as the number of a ticket.")


class ApprovalStatus(Schema):
    """An approval as it was seen."""

    by: str = Field(max_length=253, description="The user.")
    digest: Digest = Field(description="The artifact.")
    reason: str = Field(max_length=512, description="Their words.")
    at: datetime = Field(description="When it was first seen.")


class GateEntry(Schema):
    """One gate's finding."""

    name: str = Field(max_length=63, description="The gate, or test-rows: the challenger was trained on its test rows.")
    passed: bool = Field(description="Whether it passed.")
    message: str = Field("", max_length=512, description="The numbers; gates.json has them whole.")


class GatesResult(Schema):
    """One measurement: it counts for these artifacts and these gates, and for no others."""

    digest: Digest = Field(description="The artifact that was measured.")
    champion: str | None = Field(
        None, max_length=253, description="The champion beside which it was measured; absent, there was none."
    )
    champion_digest: Digest | None = Field(None, description="The champion's artifact.")
    gates: str = Field(max_length=16, description="Digest of the gates that were measured.")
    entries: tuple[GateEntry, ...] = Field((), max_length=17, description="What was found for each gate.")
    value: Number | None = Field(None, description="The Model's objective on the challenger's test rows.")
    champion_value: Number | None = Field(None, description="The champion's on the same rows.")
    artifact: Digest | None = Field(None, description="The artifact with gates.json in the store.")
    at: datetime = Field(description="When it was measured.")


class GatesRetry(Schema):
    """The gates' Job could not measure, and is tried again."""

    question: str = Field(max_length=8, description="Digest of the measurement request.")
    attempts: int = Field(description="How many attempts failed.")
    message: str = Field(max_length=512, description="Why the last one did.")
    retry_at: datetime = Field(description="When it is tried again.")
