"""What is read from a TrainingPipeline."""

from datetime import datetime
from typing import Literal

from pydantic import Field

from flywheel.core.resource.schema import MessageText, Schema, ShortText, Status
from flywheel.kinds.trainingpipeline.schema.triggers import TriggerStatus

MAX_REVISIONS = 20
MAX_STARTS = 100


class Revision(Schema):
    """A revision of the pipeline's parameters, inputs and steps."""

    name: str = Field(max_length=8, description="The first 8 digits of its content's digest.")
    state: Literal["Testing", "Passed", "Failed"] = Field(description="The result of its test run.")
    created: datetime = Field(description="When the revision was created.")
    run: ShortText | None = Field(None, description="Its test run.")
    message: MessageText | None = Field(None, description="Why the test run failed.")


class Start(Schema):
    """A run that a trigger started, for the guard."""

    run: ShortText = Field(description="The TrainingRun.")
    at: datetime = Field(description="When it was created.")


class Breaker(Schema):
    """The open breaker, which stops all triggers."""

    since: datetime = Field(description="Time when the last challenger failed.")
    challengers: int = Field(description="The number of challengers that failed in a row.")
    message: MessageText = Field(description="Why the last one failed.")


class TrainingPipelineStatus(Status):
    """The live revision, the triggers and the last run."""

    revision: str | None = Field(None, max_length=8, description="The revision that triggers use.")
    revisions: tuple[Revision, ...] = Field((), max_length=MAX_REVISIONS, description="Revisions, newest first.")
    triggers: tuple[TriggerStatus, ...] = Field((), max_length=16, description="The status of each trigger.")
    starts: tuple[Start, ...] = Field(
        (), max_length=MAX_STARTS, description="Runs that triggers started in the last 24 hours."
    )
    last_run: ShortText | None = Field(None, description="The newest TrainingRun.")
    last_success: datetime | None = Field(None, description="When a run last succeeded.")
    breaker: Breaker | None = Field(None, description="The breaker, if it is open.")
    resumed: str | None = Field(
        None, max_length=128, description="The value of annotation flywheel.ml/resume-triggers that was last handled."
    )
    resumed_at: datetime | None = Field(
        None, description="When triggers were last resumed; earlier challengers do not count."
    )
