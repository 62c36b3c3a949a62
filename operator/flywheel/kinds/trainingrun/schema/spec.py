"""What a user or a trigger writes into a TrainingRun, and what is read from it."""

from datetime import datetime
from typing import Any

from pydantic import Field

from flywheel.core.resource.schema import NameText, Schema, ShortText, model_rules, rule
from flywheel.core.resource.values import ObjectName
from flywheel.kinds.trainingpipeline.schema.inputs import Given


class Cause(Schema):
    """Why a trigger started the run; written by the operator."""

    trigger: str = Field(max_length=40, description="Trigger of the pipeline.")
    key: str = Field(max_length=128, description="The key of the cause, which is unique for its trigger.")
    message: str = Field(max_length=256, description="The cause in a sentence.")
    tick: ShortText | None = Field(None, description="The schedule's Job that started the run.")
    scheduled: datetime | None = Field(None, description="The scheduled time.")
    monitor: ObjectName | None = Field(None, description="The ModelMonitor whose finding started the run.")
    finding: ShortText | None = Field(None, description="The signal of that finding, such as performance.")
    version: NameText | None = Field(None, description="The ModelVersion that the finding was about.")
    since: datetime | None = Field(None, description="Since when, as the finding says.")
    pipeline: ObjectName | None = Field(None, description="The TrainingPipeline whose run started this one.")
    run: ObjectName | None = Field(
        None, description="That run. Its outputs are the inputs that name the pipeline in their field run."
    )


class TrainingRunSpec(Schema):
    """A TrainingRun is a run of a TrainingPipeline: its steps, their cache hits, and the result for its model."""

    model_config = model_rules(
        rule(
            "!has(self.reproduceOf) || !has(self.parameters)",
            "parameters must not be set with reproduceOf, which uses the parameters of that run",
        ),
    )

    pipeline: ObjectName = Field(description="The TrainingPipeline, in the same namespace.")
    revision: str | None = Field(
        None,
        pattern=r"^[0-9a-f]{8}$",
        max_length=8,
        description="A revision of the pipeline; absent, the one that is live when the run starts.",
    )
    parameters: dict[str, Given] | None = Field(
        None, max_length=32, description="Values of the pipeline's parameters, such as {months: 6}."
    )
    reproduce_of: ObjectName | None = Field(
        None,
        description="A run to repeat with the same revision, data, seeds and images, and without the cache; the results are compared.",
    )
    cause: Cause | None = Field(None, description="Why a trigger started the run; absent if a user did.")
    test: bool | None = Field(
        None,
        description="True for a run on a sample, as in spec.test of the pipeline, which registers nothing; written by the operator.",
    )
    suspend: bool = Field(False, description="True starts no further step; running ones continue.")
    cancel: bool = Field(False, description="True stops running steps; only those of finally still run.")


def _immutable(field: str) -> dict[str, Any]:
    unchanged = f"has(self.spec.{field}) == has(oldSelf.spec.{field}) && (!has(self.spec.{field}) || self.spec.{field} == oldSelf.spec.{field})"
    return rule(unchanged, f"spec.{field} cannot change; create another TrainingRun")


IMMUTABLE_FIELDS = (
    rule("self.spec.pipeline == oldSelf.spec.pipeline", "spec.pipeline cannot change; create another TrainingRun"),
    *(_immutable(field) for field in ("revision", "parameters", "reproduceOf", "cause", "test")),
    rule("!oldSelf.spec.cancel || self.spec.cancel", "a cancelled run stays cancelled; create another TrainingRun"),
)
