"""The whole spec of a TrainingPipeline, and its status."""

from datetime import datetime
from typing import Literal

from pydantic import ConfigDict, Field

from flywheel.core.resource.schema import Schema, Status, rule, validations
from flywheel.kinds.trainingpipeline.schema.template import RULES, Template
from flywheel.kinds.trainingpipeline.schema.triggers import Guard, Test, Trigger, TriggerStatus

MOST_REVISIONS = 20
MOST_STARTS = 100


class Retention(Schema):
    """How much history is kept."""

    succeeded: int = Field(10, ge=1, le=1000, description="TrainingRuns that ended well, the newest.")
    failed: int = Field(10, ge=1, le=1000, description="TrainingRuns that did not, the newest.")


class TrainingPipelineSpec(Template):
    """Steps from data to a registered model, and what starts them."""

    model_config = ConfigDict(
        json_schema_extra=validations(
            *RULES,
            rule(
                "!has(self.test) || !has(self.test.checks) || self.test.checks.all(c, self.steps.exists(i, s, s.name == c.step))",
                "test.checks.step must name a step",
            ),
        )
    )

    triggers: tuple[Trigger, ...] = Field(
        (),
        max_length=16,
        description="What starts runs by itself.",
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
    )
    guard: Guard = Field(default_factory=Guard, description="What all triggers together may do.")
    test: Test | None = Field(
        None, description="How a changed pipeline is tried before triggers use it; absent, it is used at once."
    )
    revision: str | None = Field(
        None,
        pattern=r"^[0-9a-f]{8}$",
        max_length=8,
        description="Pins a revision of status.revisions, also to roll back; absent, the newest that passed its test.",
    )
    retention: Retention = Field(default_factory=Retention, description="How many runs are kept.")
    suspend: bool = Field(False, description="True: no trigger fires; runs under way go on.")


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
    revisions: tuple[Revision, ...] = Field((), max_length=MOST_REVISIONS, description="Revisions, newest first.")
    triggers: tuple[TriggerStatus, ...] = Field((), max_length=16, description="What each trigger did.")
    starts: tuple[Start, ...] = Field(
        (), max_length=MOST_STARTS, description="Runs that triggers started in the last day."
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
