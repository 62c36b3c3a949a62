"""What is read from a TrainingPipeline."""

from datetime import datetime
from typing import Literal

from pydantic import Field

from flywheel.core.resource.schema import Schema, Status
from flywheel.kinds.trainingpipeline.schema.triggers import TriggerStatus

MAX_REVISIONS = 20
MAX_STARTS = 100


class Revision(Schema):
    """One state of the pipeline's parameters, inputs and steps."""

    name: str = Field(max_length=8, description="8 digits of the digest of its content.")
    state: Literal["Testing", "Passed", "Failed"] = Field(description="What its test run found.")
    created: datetime = Field(description="When it was first seen.")
    run: str | None = Field(None, max_length=63, description="Its test run.")
    message: str | None = Field(None, max_length=512, description="Why it failed.")


class Start(Schema):
    """A run that a trigger started, for the guard."""

    run: str = Field(max_length=63, description="The TrainingRun.")
    at: datetime = Field(description="When.")


class Breaker(Schema):
    """Why no trigger fires any more."""

    since: datetime = Field(description="When the last challenger failed.")
    challengers: int = Field(description="How many failed in a row.")
    message: str = Field(max_length=512, description="What the last one failed at.")


class TrainingPipelineStatus(Status):
    """Which revision is live, what triggers did, and the last run."""

    revision: str | None = Field(None, max_length=8, description="The revision that triggers use.")
    revisions: tuple[Revision, ...] = Field((), max_length=MAX_REVISIONS, description="Revisions, newest first.")
    triggers: tuple[TriggerStatus, ...] = Field((), max_length=16, description="What each trigger did.")
    starts: tuple[Start, ...] = Field(
        (), max_length=MAX_STARTS, description="Runs that triggers started in the last day."
    )
    last_run: str | None = Field(None, max_length=63, description="The newest TrainingRun.")
    last_success: datetime | None = Field(None, description="When a run last ended well.")
    breaker: Breaker | None = Field(None, description="Why no trigger fires any more.")
    resumed: str | None = Field(
        None, max_length=128, description="The value of annotation flywheel.ml/resume-triggers that was last answered."
    )
    resumed_at: datetime | None = Field(
        None, description="When triggers were last let go on; challengers before do not count."
    )
