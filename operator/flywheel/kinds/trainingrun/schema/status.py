"""What is read from a TrainingRun."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field

from flywheel.core.resource.schema import Schema, Status
from flywheel.core.resource.values import Digest
from flywheel.kinds.trainingpipeline.schema.steps import MAX_ITEMS, MAX_STEPS
from flywheel.kinds.trainingrun.schema.spec import LongText, ShortText

State = Literal["Waiting", "Running", "Succeeded", "Failed", "Skipped", "Cancelled"]


MAX_METRICS = 8


MAX_FACTS = 12


class InputUsed(Schema):
    """The data that the run works on; it stays the same until the end."""

    name: str = Field(max_length=40, description="The pipeline's input.")
    dataset: str = Field(max_length=253, description="The Dataset.")
    version: str | None = Field(None, max_length=253, description="Its version.")
    digest: Digest | None = Field(None, description="That version's artifact.")
    facts: dict[ShortText, LongText] = Field(
        default_factory=dict, max_length=MAX_FACTS, description="What is known of it: rows, task, classes."
    )


class Tries(Schema):
    """How often a step was tried again, by what was to blame."""

    user: int | None = Field(None, description="Its own code.")
    out_of_memory: int | None = Field(None, description="Too little memory.")
    infrastructure: int | None = Field(None, description="A node, the store, the network.")


class StepStatus(Schema):
    """One step. Short, since there may be 200."""

    name: str = Field(max_length=40, description="The step.")
    state: State = Field(description="Where it stands.")
    reason: ShortText | None = Field(None, description="Why, in one word.")
    message: str | None = Field(None, max_length=512, description="Why, in a sentence.")
    attempt: int | None = Field(None, description="Which attempt it is.")
    tries: Tries | None = Field(None, description="How often it was tried again.")
    not_before: datetime | None = Field(None, description="When it is tried again.")
    cache: Literal["Hit", "Miss"] | None = Field(
        None, description="Whether its outputs were taken from an earlier run."
    )
    cache_reason: str | None = Field(None, max_length=128, description="From which run, or why not.")
    key: str | None = Field(None, max_length=64, description="Digest of all that decides what it does.")
    job: ShortText | None = Field(None, description="Its Job, Experiment or ModelVersion.")
    outputs: dict[ShortText, Digest] = Field(
        default_factory=dict, max_length=MAX_ITEMS, description="What it left, in the store."
    )
    metrics: dict[ShortText, Annotated[str, Field(max_length=32)]] = Field(
        default_factory=dict, max_length=MAX_METRICS, description="Numbers that it reported."
    )
    facts: dict[ShortText, LongText] = Field(
        default_factory=dict, max_length=MAX_FACTS, description="What steps below need to know of it."
    )
    image: str | None = Field(None, max_length=1024, description="What it ran, by digest where one is known.")
    started: datetime | None = Field(None, description="When its present attempt started.")
    finished: datetime | None = Field(None, description="When it ended.")


class Challenger(Schema):
    """What became of the model that the run registered."""

    version: str = Field(max_length=253, description="The ModelVersion.")
    verdict: str = Field(max_length=63, description="What its Model says of it.")
    message: str | None = Field(None, max_length=512, description="The numbers behind it.")


class Reproduced(Schema):
    """Whether a run with reproduceOf came out like the first."""

    verdict: Literal["Equal", "WithinTolerance", "Different"] = Field(
        description="Equal: byte for byte. WithinTolerance: other bytes, the same numbers."
    )
    differs: tuple[Annotated[str, Field(max_length=256)], ...] = Field((), max_length=20, description="What differs.")


class TrainingRunStatus(Status):
    """How far the run is."""

    start_time: datetime | None = Field(None, description="When it started.")
    completion_time: datetime | None = Field(None, description="When it ended.")
    result: Literal["Succeeded", "Failed", "Cancelled"] | None = Field(None, description="How it ended.")
    reason: ShortText | None = Field(None, description="Why it ended so, in one word.")
    message: str | None = Field(None, max_length=1024, description="Why it ended so, in a sentence.")
    revision: str | None = Field(
        None, max_length=8, description="The pipeline's revision that it runs, whatever happens to the pipeline."
    )
    parameters: dict[ShortText, LongText] = Field(
        default_factory=dict, max_length=32, description="Its parameters as JSON, defaults included."
    )
    inputs: tuple[InputUsed, ...] = Field((), max_length=16, description="The data that it works on.")
    steps: tuple[StepStatus, ...] = Field((), max_length=MAX_STEPS + 8, description="Its steps, those of finally last.")
    challenger: Challenger | None = Field(None, description="What became of the model that it registered.")
    reproduced: Reproduced | None = Field(None, description="Whether it came out like the run that it repeats.")
