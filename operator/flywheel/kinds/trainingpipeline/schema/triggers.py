"""What starts runs by itself, and the one guard for all of it."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field

from flywheel.core.resource.schema import Schedule, Schema, exactly_one_of, model_rules
from flywheel.core.resource.values import Duration, MetricName, Number, ObjectName, Percent
from flywheel.kinds.trainingpipeline.schema.inputs import Given
from flywheel.kinds.trainingpipeline.schema.steps import StepName


class NewData(Schema):
    """A Dataset has a new version."""

    dataset: ObjectName = Field(description="The Dataset, in the same namespace.")
    min_new_rows: int = Field(
        0, ge=0, description="How many rows it must have more than the version that last started a run."
    )


class NewChampion(Schema):
    """Another model, which this one builds on, has a new champion."""

    model: ObjectName = Field(description="The Model, in the same namespace.")


class OnCondition(Schema):
    """A resource of Flywheel says so in one of its conditions. Each time that it becomes so starts one run."""

    kind: Literal["Dataset", "InferenceService", "BatchInference", "Model"] = Field(description="The resource's kind.")
    name: ObjectName = Field(description="The resource, in the same namespace.")
    type: str = Field("Ready", max_length=63, description="The condition.")
    status: Literal["True", "False", "Unknown"] = Field("True", description="What it must say.")
    reasons: tuple[Annotated[str, Field(max_length=63)], ...] = Field(
        (), max_length=8, description="With one of these reasons; absent, with any."
    )


class Trigger(Schema):
    """One cause of runs: exactly one of schedule, newData, modelVersion, condition."""

    model_config = model_rules(exactly_one_of("schedule", "newData", "modelVersion", "condition"))

    name: StepName = Field(max_length=20, description="The trigger's name, part of its runs' names.")
    parameters: dict[str, Given] = Field(
        default_factory=dict, max_length=32, description="Parameters of the runs that it starts."
    )
    schedule: Schedule | None = Field(None, description="At these times.")
    new_data: NewData | None = Field(None, description="When a Dataset has a new version.")
    model_version: NewChampion | None = Field(None, description="When another Model has a new champion.")
    condition: OnCondition | None = Field(None, description="When a resource of Flywheel says so.")


class Guard(Schema):
    """What all triggers together may do. Runs that people make are not held back, but count."""

    cooldown: Duration | None = Field(None, description="Time from the start of one run to the start of the next.")
    max_runs_per_day: int | None = Field(None, ge=1, le=100, description="Runs in any 24 hours.")
    concurrency: int = Field(1, ge=1, le=20, description="Runs at the same time.")
    stop_after_failed_challengers: int | None = Field(
        None,
        ge=1,
        le=20,
        description="After so many runs in a row whose model did not pass its gates no trigger fires, until somebody starts a run by hand whose model passes, changes the spec, or sets annotation flywheel.ml/resume-triggers to a new value.",
    )


class TestCheck(Schema):
    """What a test run must show."""

    step: StepName = Field(description="The step.")
    metric: MetricName = Field(description="A metric that it reports.")
    min: Number | None = Field(None, description="The least value.")
    max: Number | None = Field(None, description="The greatest value.")


class Test(Schema):
    """A changed pipeline is first run on a sample. Only a revision whose test run succeeded is used by triggers."""

    sample: Percent = Field(Percent("1%"), description="Share of the rows of each input.")
    timeout: Duration = Field(Duration("30m"), description="How long the test run may take.")
    checks: tuple[TestCheck, ...] = Field((), max_length=16, description="What it must show.")


class Fired(Schema):
    """A trigger started a run."""

    at: datetime = Field(description="When.")
    cause: str = Field(max_length=256, description="Why.")
    run: str = Field(max_length=63, description="The TrainingRun.")


class Skipped(Schema):
    """A trigger had a cause and started nothing."""

    at: datetime = Field(description="When.")
    cause: str = Field(max_length=256, description="What would have been the cause.")
    reason: str = Field(max_length=63, description="Why not, in one word.")
    message: str = Field(max_length=512, description="Why not, in a sentence; and when it fires after all.")


class TriggerStatus(Schema):
    """What one trigger did."""

    name: str = Field(max_length=40, description="The trigger.")
    answered: str | None = Field(
        None, max_length=128, description="The last cause that was answered, so that it is never answered again."
    )
    rows: int | None = Field(None, description="Rows of the Dataset's version that last started a run.")
    fired: Fired | None = Field(None, description="The last run that it started.")
    skipped: Skipped | None = Field(None, description="The last cause for which nothing was started.")
