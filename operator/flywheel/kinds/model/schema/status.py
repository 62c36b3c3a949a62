"""What is read from a Model: its champion, the candidates, and every change of champion."""

from datetime import datetime

from pydantic import Field

from flywheel.core.resource.schema import Schema, Status
from flywheel.core.resource.values import Digest

MAX_HISTORY = 50


MAX_CANDIDATES = 20
MAX_MESSAGE_CHARACTERS = 512  # of a verdict or a promotion


class Verdict(Schema):
    """Why one version is or is not champion."""

    version: str = Field(max_length=253, description="The ModelVersion.")
    verdict: str = Field(
        max_length=63,
        description="Champion, Better (held back by spec.champion), NotBetter, NotComparable, GateFailed, NoObjective, MetricMissing, NotReady, Measuring (its gates' Job), AwaitingApproval, Archived or RolledBack (until the rejection is cleared).",
    )
    message: str = Field("", max_length=512, description="The numbers behind the verdict.")


class Challenger(Schema):
    """The one version whose gates are measured now, and against whom."""

    version: str = Field(max_length=253, description="The ModelVersion.")
    champion: str | None = Field(None, max_length=253, description="The champion then; absent, there is none.")
    champion_digest: Digest | None = Field(None, description="The champion's artifact.")
    gates: str = Field(max_length=16, description="Digest of the gates that are measured.")


class Audit(Schema):
    """How far changes of champion are recorded in the store, by Jobs `promote`."""

    recorded: int | None = Field(None, description="The number of the last change of champion that is recorded.")
    number: int | None = Field(None, description="The audit record of it, audit/<model>/<number>.json.")
    sha256: str | None = Field(None, max_length=64, description="That record's SHA-256: the chain's end as known here.")
    attempts: int | None = Field(None, description="Failed attempts to record the next one.")
    message: str | None = Field(None, max_length=512, description="Why the last attempt failed.")
    retry_at: datetime | None = Field(None, description="When it is tried again.")


class Promotion(Schema):
    """One change of champion."""

    number: int | None = Field(None, description="Counts the changes of champion, from 1.")
    version: str = Field(max_length=253, description="The ModelVersion that became champion.")
    digest: Digest | None = Field(None, description="Its artifact.")
    since: datetime = Field(description="When it became champion.")
    reason: str = Field(
        max_length=63,
        description="FirstVersion, Better, Pinned, Succession, RolledBack or Archived (the one before it was).",
    )
    approved_by: str | None = Field(None, max_length=253, description="The user who approved it.")
    approved_at: datetime | None = Field(None, description="When the approval was seen.")
    message: str = Field("", max_length=512, description="The numbers behind it.")


class ModelStatus(Status):
    """Who is champion, why, and who was before."""

    champion: str | None = Field(None, max_length=253, description="The ModelVersion that serves.")
    champion_digest: Digest | None = Field(None, description="The champion's artifact in the store.")
    champion_metric: str | None = Field(None, max_length=64, description="The champion's value of the objective.")
    versions: int | None = Field(None, description="How many ModelVersions the model has.")
    candidates: tuple[Verdict, ...] = Field(
        (), max_length=MAX_CANDIDATES, description="The newest versions, and why each is or is not champion."
    )
    challenger: Challenger | None = Field(None, description="The version whose gates are measured now.")
    promotions: int | None = Field(None, description="How many changes of champion there were; each is audited.")
    audit: Audit | None = Field(None, description="How far they are recorded in the store.")
    history: tuple[Promotion, ...] = Field(
        (), max_length=MAX_HISTORY, description="Every change of champion, oldest first; the last 50 are listed."
    )
