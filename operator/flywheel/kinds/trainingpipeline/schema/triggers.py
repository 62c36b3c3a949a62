"""Triggers, and the guard of all triggers."""

from datetime import datetime
from typing import Literal

from pydantic import Field

from flywheel.core.pods.cron_job import Schedule
from flywheel.core.resource.schema import MessageText, NameText, Schema, ShortText, exactly_one_of, model_rules
from flywheel.core.resource.values import Duration, MetricName, Number, ObjectName, Percent
from flywheel.kinds.trainingpipeline.schema.inputs import Given
from flywheel.kinds.trainingpipeline.schema.steps import StepName

FindingKind = Literal["Performance", "EstimatedPerformance", "PredictionDrift", "DataHealth"]
MAX_HANDLED = 64


class NewData(Schema):
    """A new version of a Dataset."""

    dataset: ObjectName = Field(description="The Dataset, in the same namespace.")
    min_new_rows: int = Field(
        0, ge=0, description="The number of rows by which it must exceed the version that last started a run."
    )


class NewChampion(Schema):
    """A new champion of another model, on which this one builds."""

    model: ObjectName = Field(description="The Model, in the same namespace.")


class OnCondition(Schema):
    """A condition of one of Flywheel's resources; each transition to that status starts one run."""

    kind: Literal["Dataset", "InferenceService", "BatchInference", "Model"] = Field(description="Kind of the resource.")
    name: ObjectName = Field(description="The resource, in the same namespace.")
    type: ShortText = Field("Ready", description="Type of the condition.")
    status: Literal["True", "False", "Unknown"] = Field("True", description="The condition's status.")
    reasons: tuple[ShortText, ...] = Field((), max_length=8, description="Reasons of the condition; absent, any.")


class OnFinding(Schema):
    """A finding of a ModelMonitor. Drift of features alone starts no run: it does not say that the model is worse."""

    name: ObjectName = Field(description="The ModelMonitor, in the same namespace.")
    when: FindingKind = Field(
        description="What it must find: Performance (a metric of labelled rows dropped), EstimatedPerformance (a metric that is estimated without labels dropped), PredictionDrift, or DataHealth (missing, invalid, unseen or out-of-range values)."
    )


class OnSuccess(Schema):
    """A run of another pipeline that succeeded; each such run starts one run here, which may take its outputs as inputs."""

    pipeline: ObjectName = Field(description="The TrainingPipeline, in the same namespace.")


class Trigger(Schema):
    """A trigger: exactly one of schedule, newData, modelVersion, condition, monitor and run."""

    model_config = model_rules(exactly_one_of("schedule", "newData", "modelVersion", "condition", "monitor", "run"))

    name: StepName = Field(max_length=20, description="Name of the trigger, part of the names of its runs.")
    parameters: dict[str, Given] = Field(
        default_factory=dict, max_length=32, description="Parameters of the runs it starts."
    )
    schedule: Schedule | None = Field(None, description="Starts runs at these times.")
    new_data: NewData | None = Field(None, description="Starts a run for a Dataset's new version.")
    model_version: NewChampion | None = Field(None, description="Starts a run for another Model's new champion.")
    condition: OnCondition | None = Field(None, description="Starts a run for a resource's condition.")
    monitor: OnFinding | None = Field(
        None, description="Starts a run for a finding of a ModelMonitor, once for each change that it finds."
    )
    run: OnSuccess | None = Field(None, description="Starts a run for each run of another pipeline that succeeded.")


class Guard(Schema):
    """Limits for all triggers together; runs that users create are not limited, but count."""

    cooldown: Duration | None = Field(None, description="Minimum time between the starts of two runs.")
    max_runs_per_day: int | None = Field(None, ge=1, le=100, description="Maximum number of runs in any 24 hours.")
    concurrency: int = Field(1, ge=1, le=20, description="Maximum number of concurrent runs.")
    stop_after_failed_challengers: int | None = Field(
        None,
        ge=1,
        le=20,
        description="After so many runs in a row whose model did not pass its gates no trigger fires, until a user starts a run whose model passes, changes the spec, or sets annotation flywheel.ml/resume-triggers to a new value.",
    )


class TestCheck(Schema):
    """A requirement on a metric of a test run."""

    step: StepName = Field(description="The step.")
    metric: MetricName = Field(description="A metric that it reports.")
    min: Number | None = Field(None, description="Minimum value.")
    max: Number | None = Field(None, description="Maximum value.")


class Test(Schema):
    """The test of a changed pipeline on a sample; triggers use only a revision whose test run succeeded."""

    sample: Percent = Field(Percent("1%"), description="Percentage of the rows of each input.")
    timeout: Duration = Field(Duration("30m"), description="Maximum duration of the test run.")
    checks: tuple[TestCheck, ...] = Field((), max_length=16, description="Requirements on metrics.")


class Fired(Schema):
    """A run that a trigger started."""

    at: datetime = Field(description="When it happened.")
    cause: str = Field(max_length=256, description="The cause.")
    run: ShortText = Field(description="The TrainingRun.")
    finding: ShortText | None = Field(None, description="The signal of the monitor's finding that it was about.")
    version: NameText | None = Field(None, description="The ModelVersion that the finding was about.")


class Skipped(Schema):
    """A cause for which no run was started."""

    at: datetime = Field(description="When it happened.")
    cause: str = Field(max_length=256, description="The cause.")
    reason: ShortText = Field(description="The reason, in CamelCase.")
    message: MessageText = Field(description="The reason in a sentence, and when the trigger fires.")


class TriggerStatus(Schema):
    """The status of one trigger."""

    name: str = Field(max_length=40, description="The trigger.")
    source: str | None = Field(
        None,
        max_length=320,
        description="What it fires on, such as TrainingPipeline/features. A trigger that is changed to another begins anew.",
    )
    answered: str | None = Field(
        None, max_length=128, description="The last cause that was handled, so that it is not handled twice."
    )
    handled: tuple[ShortText, ...] = Field(
        (),
        max_length=MAX_HANDLED,
        description="Causes that were handled and are still there, of a trigger for which several causes can be there at once.",
    )
    since: datetime | None = Field(
        None,
        description="Runs of another pipeline that ended before that time are handled. Set when the trigger was first evaluated.",
    )
    rows: int | None = Field(None, description="Number of rows of the Dataset version that last started a run.")
    fired: Fired | None = Field(None, description="Last run that it started.")
    skipped: Skipped | None = Field(None, description="Last cause for which no run was started.")
