"""What is read from a Model: its champion, the candidates, and every change of champion."""

from datetime import datetime

from pydantic import Field

from flywheel.core.resource.schema import (
    InternalErrorCount,
    MessageText,
    NameText,
    RetryScope,
    Schema,
    ShortText,
    Status,
)
from flywheel.core.resource.values import Digest

MAX_HISTORY = 50
MAX_CANDIDATES = 20
MAX_TOLERATED = 20
MAX_MESSAGE_CHARACTERS = 512  # of a verdict or a promotion
# The verdicts on a version that may not be champion as it is.
REFUSING_VERDICTS = (
    "RolledBack", "NotBetter", "NotComparable", "GateFailed", "NoObjective", "MetricMissing", "Archived",
)  # fmt: skip


class Candidate(Schema):
    """Reason why a version is or is not champion."""

    version: NameText = Field(description="The ModelVersion.")
    verdict: ShortText = Field(
        description="Champion, Better (not promoted because of spec.champion), NotBetter, NotComparable, GateFailed, NoObjective, MetricMissing, NotReady, Measuring (by its gates Job), AwaitingApproval, Archived or RolledBack (until its rejection is cleared).",
    )
    message: MessageText = Field("", description="Message with the measurements.")


class Challenger(Schema):
    """The one version whose gates are measured now, and against whom."""

    version: NameText = Field(description="The ModelVersion.")
    champion: NameText | None = Field(None, description="The champion at that time. Absent if there is none.")
    champion_digest: Digest | None = Field(None, description="Digest of the champion's artifact.")
    gates: str = Field(max_length=16, description="Digest of the gates that are measured.")


class Audit(Schema):
    """How far changes of champion are recorded in the store, by Jobs `promote`."""

    recorded: int | None = Field(None, description="Number of the last change of champion that is recorded.")
    number: int | None = Field(None, description="Number of its audit record, audit/<model>/<number>.json.")
    sha256: str | None = Field(
        None, max_length=64, description="SHA-256 of that record, the last known record of the chain."
    )
    recorded_problems: int | None = Field(
        None, description="Number of the last entry of status.tolerated that is recorded."
    )
    attempts: int | None = Field(None, description="Number of failed attempts to record the next change.")
    message: MessageText | None = Field(None, description="Message about the last failed attempt.")
    retry_at: datetime | None = Field(None, description="Time of the next attempt.")
    internal_errors: InternalErrorCount = None
    given_up: RetryScope = None


class Promotion(Schema):
    """One change of champion."""

    number: int | None = Field(None, description="Number of the change, from 1.")
    version: NameText = Field(description="The ModelVersion that became champion.")
    digest: Digest | None = Field(None, description="Digest of its artifact.")
    since: datetime = Field(description="Time when it became champion.")
    reason: ShortText = Field(
        description="FirstVersion, Better, Pinned, Succession, RolledBack or Archived (the last two refer to the previous champion).",
    )
    approved_by: NameText | None = Field(None, description="The user who approved it.")
    approved_at: datetime | None = Field(None, description="Time when the operator observed the approval.")
    message: MessageText = Field("", description="Message with the measurements.")


class ToleratedProblem(Schema):
    """A problem that a ModelMonitor found of a champion and that spec.rollback names, for which the champion was not taken back."""

    number: int = Field(description="Number of the entry, from 1.")
    version: NameText = Field(description="The champion.")
    digest: Digest | None = Field(None, description="Digest of its artifact.")
    monitor: NameText = Field(description="The ModelMonitor.")
    kind: ShortText = Field(description="Errors, NotFinite, ConstantOutput or LabelledLoss.")
    since: datetime = Field(description="Since when, as the finding says.")
    reason: ShortText = Field(
        description="Pinned, Returned, BakeTimeOver, NoPreviousChampion, Tolerated, Cleared or LabelsRefused."
    )
    message: MessageText = Field("", description="The finding, and why the champion stays.")


class ModelStatus(Status):
    """Who is champion, why, and who was before."""

    champion: NameText | None = Field(None, description="The current champion.")
    champion_digest: Digest | None = Field(None, description="Digest of the champion's artifact.")
    champion_metric: str | None = Field(None, max_length=64, description="Value of the objective for the champion.")
    versions: int | None = Field(None, description="Number of ModelVersions of the Model.")
    candidates: tuple[Candidate, ...] = Field(
        (),
        max_length=MAX_CANDIDATES,
        description="The newest versions, with the reason why each is or is not champion. Versions that wait for their gates or for approval are listed before others.",
    )
    challenger: Challenger | None = Field(None, description="The version whose gates are being measured.")
    promotions: int | None = Field(None, description="Number of changes of champion. Each has an audit record.")
    audit: Audit | None = Field(None, description="State of the audit records in the store.")
    history: tuple[Promotion, ...] = Field(
        (), max_length=MAX_HISTORY, description="Changes of champion, oldest first. The last 50 are retained."
    )
    tolerated: tuple[ToleratedProblem, ...] = Field(
        (),
        max_length=MAX_TOLERATED,
        description="Problems of champions that were not taken back, oldest first. Each has an audit record. The last 20 are retained.",
    )
