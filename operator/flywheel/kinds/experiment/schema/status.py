"""What is read from an Experiment. All that the search must remember is here, in the API server, and nowhere else."""

import json
from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field

from flywheel.core.resource.schema import Schema, Status
from flywheel.core.resource.values import Digest
from flywheel.kinds.experiment.schema.trainer import MAX_SEARCHED_PARAMETERS

State = Literal["Running", "Succeeded", "Failed", "Pruned", "Stopped", "Invalid"]
MAX_LISTED = 10
MAX_HISTORY = 1000  # spent budgets may be raised, and stopped trials are no part of them

ShortText = Annotated[str, Field(max_length=63)]
Text = Annotated[str, Field(max_length=256)]


class TrialRecord(Schema):
    """One trial as the sampler needs it; short, since there may be 500 of them."""

    trial: int = Field(description="Its number, from 1.")
    state: State = Field(description="What became of it.")
    value: str | None = Field(None, max_length=32, description="Its value of the objective; of a pruned one the last.")
    step: int | None = Field(None, description="Of a pruned one the last step of its curve.")
    over: str | None = Field(
        None,
        max_length=16,
        description="By how much it violates its constraints, as a share of the bounds; absent, it satisfies them.",
    )
    point: str = Field(
        max_length=1024,
        description="Its place in the space as a JSON list: the estimator's number, then the searched values in the order of their names.",
    )

    @property
    def coordinates(self) -> tuple[float | int, ...]:
        """The point as numbers."""
        return tuple(json.loads(self.point))


class Attempt(Schema):
    """A trial that runs, or that is tried again."""

    trial: int = Field(description="The trial's number.")
    attempt: int = Field(description="Which attempt it is; a lost one is made again with the same parameters.")
    repeat: int | None = Field(None, description="Which of its repeats it is, from the second on.")
    not_before: datetime | None = Field(None, description="When it is tried again.")
    message: str | None = Field(None, max_length=512, description="Why it is tried again.")

    @property
    def key(self) -> tuple[int, int]:
        """Its trial, and which of the trial's repeats it is, from 1."""
        return self.trial, self.repeat or 1


class ResourceUsage(Schema):
    """What the container `main` of a trial used."""

    cpu_seconds: int | None = Field(None, description="CPU time, rounded up.")
    memory_peak_bytes: int | None = Field(None, description="The most memory at one time.")


class Trial(Schema):
    """One trial as people read it."""

    trial: int = Field(description="Its number, from 1.")
    state: State = Field(description="What became of it.")
    estimator: ShortText | None = Field(None, description="The estimator of trainer sklearn.")
    parameters: dict[ShortText, Text] = Field(
        default_factory=dict, max_length=MAX_SEARCHED_PARAMETERS, description="The searched parameters."
    )
    metrics: dict[ShortText, ShortText] = Field(
        default_factory=dict, max_length=64, description="The metrics that it reported."
    )
    value: str | None = Field(None, max_length=32, description="Its value of the objective.")
    std: str | None = Field(
        None, max_length=32, description="With repeats: their standard deviation; value is their mean."
    )
    seed: int | None = Field(
        None, description="With repeats: the seed of the one nearest to the mean, whose model and metrics these are."
    )
    model: Digest | None = Field(
        None, description="Its model in the store; absent where spec.keepArtifacts others were as good."
    )
    reason: ShortText | None = Field(
        None, description="Why it did not succeed, or cannot be the best, as one CamelCase word."
    )
    message: str | None = Field(
        None, max_length=512, description="Why it did not succeed, or cannot be the best, as a sentence."
    )
    job: ShortText | None = Field(None, description="Its Job, whose logs can be read while it is there.")
    node: str | None = Field(None, max_length=253, description="Where it ran.")
    image: str | None = Field(None, max_length=1024, description="What it ran, by digest.")
    usage: ResourceUsage | None = Field(None, description="What it used.")
    finished_at: datetime | None = Field(None, description="When it ended.")


class Counts(Schema):
    """How many trials there are."""

    running: int = Field(description="They run, or wait to be tried again.")
    succeeded: int = Field(description="They reported the objective.")
    failed: int = Field(description="They did not, and it was their own fault.")
    stopped: int = Field(description="They were not needed any more.")
    pruned: int | None = Field(None, description="They ended early, since others were better; absent, none.")
    feasible: int | None = Field(
        None, description="They succeeded within the constraints; absent where there are no constraints."
    )

    @property
    def ended(self) -> int:
        """What the budget has been spent on."""
        return self.succeeded + self.failed + (self.pruned or 0)


class Importance(Schema):
    """How much one parameter decided whether a trial was among the best."""

    name: str = Field(
        max_length=127,
        description="The parameter, `Estimator.parameter` where there are several, or `estimator`, their choice.",
    )
    share: str = Field(
        max_length=16, description="Its share; all add up to 1, or less where more than 10 are left out."
    )


class Data(Schema):
    """The data that the search started with; it stays the same until the end."""

    version: str = Field(max_length=253, description="The Dataset's version.")
    digest: Digest = Field(description="Its artifact.")
    task: Literal["Classification", "Regression"] | None = Field(
        None, description="The task that follows from its target."
    )
    classes: int | None = Field(None, description="How many classes its target has.")


class ExperimentStatus(Status):
    """How far the search is and what it found."""

    start_time: datetime | None = Field(None, description="When the first trial started.")
    completion_time: datetime | None = Field(None, description="When the search ended.")
    fingerprint: str | None = Field(
        None, max_length=16, description="Digest of the fields that cannot change once the search has started."
    )
    data: Data | None = Field(None, description="The data that the search started with.")
    refused_at: int | None = Field(
        None,
        description="The generation of the spec with which a trial could never work; another generation starts again.",
    )
    metric: ShortText | None = Field(None, description="The objective's metric.")
    direction: Literal["Maximize", "Minimize"] | None = Field(None, description="Whether more or less of it is better.")
    trials: Counts | None = Field(None, description="How many trials there are.")
    best: Trial | None = Field(None, description="The best trial.")
    last_trials: tuple[Trial, ...] = Field(
        (), max_length=MAX_LISTED, description="The trials that ended last, newest first."
    )
    running: tuple[Attempt, ...] = Field((), max_length=100, description="Trials that run, or that are tried again.")
    history: tuple[TrialRecord, ...] = Field((), max_length=MAX_HISTORY, description="Every trial, for the sampler.")
    importance: tuple[Importance, ...] = Field(
        (),
        max_length=MAX_LISTED,
        description="Which parameters mattered, the most important first; there once the search is over, if 8 trials succeeded.",
    )
    model_version: str | None = Field(None, max_length=63, description="The ModelVersion that the best trial became.")
