"""What is read from a TrainingRun."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field

from flywheel.core.resource.schema import LongText, MessageText, NameText, NumberText, Schema, ShortText, Status
from flywheel.core.resource.values import Digest
from flywheel.kinds.featureset.schema.pins import FeatureSetPin, pins_field
from flywheel.kinds.trainingpipeline.schema.steps import MAX_ITEMS, MAX_STEPS

State = Literal["Waiting", "Running", "Succeeded", "Failed", "Skipped", "Cancelled"]


MAX_METRICS = 8
MAX_FACTS = 12


class InputUsed(Schema):
    """The data of an input, which stays the same until the end of the run."""

    name: str = Field(max_length=40, description="The pipeline's input.")
    dataset: NameText | None = Field(
        None, description="The Dataset; for an output of a run, the one behind it if there is one alone."
    )
    version: NameText | None = Field(None, description="Its version.")
    pipeline: NameText | None = Field(None, description="The TrainingPipeline, for an output of a run.")
    run: NameText | None = Field(None, description="Its TrainingRun.")
    step: ShortText | None = Field(None, description="The step of that run.")
    output: ShortText | None = Field(None, description="The output of that step.")
    digest: Digest | None = Field(None, description="The artifact of the version, or of the output.")
    facts: dict[ShortText, LongText] = Field(
        default_factory=dict, max_length=MAX_FACTS, description="Facts about the data: rows, task, classes."
    )


class Tries(Schema):
    """How often a step was retried, by cause."""

    user: int | None = Field(None, description="Failures of its own code.")
    out_of_memory: int | None = Field(None, description="Attempts that ran out of memory.")
    infrastructure: int | None = Field(None, description="Failures of a node, the store or the network.")
    internal_errors: int | None = Field(None, description="Those of them that were a fault of Flywheel. It is bounded.")


class StepStatus(Schema):
    """The status of a step, which is short, since there may be 200."""

    name: str = Field(max_length=40, description="The step.")
    state: State = Field(description="The state.")
    reason: ShortText | None = Field(None, description="The reason for the state, in CamelCase.")
    message: MessageText | None = Field(None, description="The reason in a sentence.")
    attempt: int | None = Field(None, description="The number of the attempt.")
    tries: Tries | None = Field(None, description="How often it was retried.")
    not_before: datetime | None = Field(None, description="When it is retried.")
    cache: Literal["Hit", "Miss"] | None = Field(None, description="Whether its outputs come from an earlier run.")
    cache_reason: str | None = Field(
        None, max_length=128, description="The run that the outputs come from, or the reason for the miss."
    )
    key: str | None = Field(None, max_length=64, description="Digest of everything that decides the result.")
    job: ShortText | None = Field(None, description="Its Job, Experiment or ModelVersion.")
    outputs: dict[ShortText, Digest] = Field(
        default_factory=dict, max_length=MAX_ITEMS, description="Its outputs in the store."
    )
    metrics: dict[ShortText, NumberText] = Field(
        default_factory=dict, max_length=MAX_METRICS, description="Metrics that it reported."
    )
    facts: dict[ShortText, LongText] = Field(
        default_factory=dict, max_length=MAX_FACTS, description="Facts for steps below."
    )
    feature_sets: tuple[FeatureSetPin, ...] = pins_field("The FeatureSets whose features a step train added.")
    image: LongText | None = Field(None, description="The image that ran, by digest where it is known.")
    started: datetime | None = Field(None, description="When its current attempt started.")
    finished: datetime | None = Field(None, description="Time when it finished.")


class Challenger(Schema):
    """The verdict on the model that the run registered."""

    version: NameText = Field(description="The ModelVersion.")
    verdict: ShortText = Field(description="The verdict of its Model.")
    message: MessageText | None = Field(None, description="The finding, with its numbers.")


class Reproduced(Schema):
    """Whether a run with reproduceOf had the same result as the original."""

    verdict: Literal["Equal", "WithinTolerance", "Different"] = Field(
        description="Equal means identical bytes; WithinTolerance means different bytes but equal numbers; Different means neither."
    )
    differs: tuple[Annotated[str, Field(max_length=256)], ...] = Field(
        (), max_length=20, description="The differences."
    )


class TrainingRunStatus(Status):
    """The progress and result of a run."""

    start_time: datetime | None = Field(None, description="When it started.")
    completion_time: datetime | None = Field(None, description="Time when it finished.")
    result: Literal["Succeeded", "Failed", "Cancelled"] | None = Field(None, description="The result.")
    reason: ShortText | None = Field(None, description="The reason for the result, in CamelCase.")
    message: LongText | None = Field(None, description="The reason for the result, in a sentence.")
    revision: str | None = Field(
        None, max_length=8, description="The pipeline's revision that the run uses until its end."
    )
    parameters: dict[ShortText, LongText] = Field(
        default_factory=dict, max_length=32, description="Its parameters as JSON, defaults included."
    )
    inputs: tuple[InputUsed, ...] = Field((), max_length=16, description="The data of the inputs.")
    steps: tuple[StepStatus, ...] = Field((), max_length=MAX_STEPS + 8, description="Its steps, those of finally last.")
    challenger: Challenger | None = Field(None, description="The verdict on the model that the run registered.")
    reproduced: Reproduced | None = Field(None, description="Whether the result is that of the run that it repeats.")
