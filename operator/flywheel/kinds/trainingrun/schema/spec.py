"""What a user or a trigger writes into a TrainingRun, and what is read from it."""

from datetime import datetime
from typing import Annotated, Any

from pydantic import Field

from flywheel.core.resource.schema import Schema, model_rules, rule
from flywheel.core.resource.values import ObjectName
from flywheel.kinds.trainingpipeline.schema.inputs import Given

ShortText = Annotated[str, Field(max_length=63)]
LongText = Annotated[str, Field(max_length=1024)]


class Cause(Schema):
    """Why a trigger started the run; written by the operator."""

    trigger: str = Field(max_length=40, description="The trigger of the pipeline.")
    key: str = Field(max_length=128, description="What tells this cause from all others.")
    message: str = Field(max_length=256, description="The cause in words.")
    tick: str | None = Field(None, max_length=63, description="The Job of the schedule that it answers.")
    scheduled: datetime | None = Field(None, description="The time that the schedule meant.")


class TrainingRunSpec(Schema):
    """One run of a TrainingPipeline."""

    model_config = model_rules(
        rule("!has(self.reproduceOf) || !has(self.parameters)", "reproduceOf takes the parameters of that run"),
    )

    pipeline: ObjectName = Field(description="The TrainingPipeline, in the same namespace.")
    revision: str | None = Field(
        None,
        pattern=r"^[0-9a-f]{8}$",
        max_length=8,
        description="One of its revisions; absent, the one that is live when the run starts.",
    )
    parameters: dict[str, Given] | None = Field(
        None, max_length=32, description="Values of the pipeline's parameters, such as {months: 6}."
    )
    reproduce_of: ObjectName | None = Field(
        None,
        description="Do again what that run did, with the same revision, data, seeds and images, and compare; nothing is taken from the cache.",
    )
    cause: Cause | None = Field(None, description="Why a trigger started it; absent where somebody did.")
    test: bool | None = Field(
        None,
        description="True: on a sample, as spec.test of the pipeline says; nothing is registered. Written by the operator.",
    )
    suspend: bool = Field(False, description="True: no new step starts; those that run go on.")
    cancel: bool = Field(False, description="True: what runs is stopped; only finally is still done.")


def _immutable(field: str) -> dict[str, Any]:
    unchanged = f"has(self.spec.{field}) == has(oldSelf.spec.{field}) && (!has(self.spec.{field}) || self.spec.{field} == oldSelf.spec.{field})"
    return rule(unchanged, f"spec.{field} cannot change; make another TrainingRun")


IMMUTABLE_FIELDS = (
    rule("self.spec.pipeline == oldSelf.spec.pipeline", "spec.pipeline cannot change; make another TrainingRun"),
    *(_immutable(field) for field in ("revision", "parameters", "reproduceOf", "test")),
    rule("!oldSelf.spec.cancel || self.spec.cancel", "a cancelled run stays cancelled; make another TrainingRun"),
)
