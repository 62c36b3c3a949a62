"""What is read from an Experiment. All that the search must remember is here, in the API server, and nowhere else."""

import json
from datetime import datetime
from functools import lru_cache
from typing import Annotated, Literal

from pydantic import Field

from flywheel.core.resource.schema import (
    InternalErrorCount,
    LongText,
    MessageText,
    NameText,
    NumberText,
    Schema,
    ShortText,
    Status,
)
from flywheel.core.resource.values import Digest
from flywheel.kinds.experiment.schema.trainer import MAX_SEARCHED_PARAMETERS
from flywheel.kinds.featureset.schema.pins import FeatureSetPin, pins_field

State = Literal["Running", "Succeeded", "Failed", "Pruned", "Stopped", "Invalid"]
MAX_LISTED = 10
MAX_HISTORY = 1000  # spent budgets may be raised, and stopped trials are no part of them

Text = Annotated[str, Field(max_length=256)]


class TrialRecord(Schema):
    """A trial for the sampler, in a compact form because there may be 500 of them."""

    trial: int = Field(description="Its number, from 1.")
    state: State = Field(description="Its result.")
    value: NumberText | None = Field(
        None, description="Its value of the objective; for a pruned trial, the last value."
    )
    step: int | None = Field(None, description="For a pruned trial, the last step of its curve.")
    over: str | None = Field(
        None,
        max_length=16,
        description="Relative violation of the constraints. Absent if they are satisfied.",
    )
    point: LongText = Field(
        description="Its point in the search space as a JSON list: the index of the estimator, then the searched values ordered by name.",
    )

    @property
    def coordinates(self) -> tuple[float | int, ...]:
        """The point as numbers."""
        return _coordinates(self.point)


@lru_cache(maxsize=8 * MAX_HISTORY)  # each pass reads all points of its search several times
def _coordinates(point: str) -> tuple[float | int, ...]:
    return tuple(json.loads(point))


class Attempt(Schema):
    """A trial that is running or will be retried."""

    trial: int = Field(description="The trial's number.")
    attempt: int = Field(description="Number of the attempt. A lost attempt is repeated with the same parameters.")
    repeat: int | None = Field(None, description="Number of the repeat, from the second on.")
    not_before: datetime | None = Field(None, description="Time of the next attempt.")
    message: MessageText | None = Field(None, description="Reason for the retry.")
    internal_errors: InternalErrorCount = None

    @property
    def key(self) -> tuple[int, int]:
        """Its trial, and which of the trial's repeats it is, from 1."""
        return self.trial, self.repeat or 1


class ResourceUsage(Schema):
    """What the container `main` of a trial used."""

    cpu_seconds: int | None = Field(None, description="CPU time, rounded up.")
    memory_peak_bytes: int | None = Field(None, description="Peak memory.")


class Trial(Schema):
    """A trial, for users."""

    trial: int = Field(description="Its number, from 1.")
    state: State = Field(description="Its result.")
    estimator: ShortText | None = Field(None, description="The estimator of trainer sklearn.")
    parameters: dict[ShortText, Text] = Field(
        default_factory=dict, max_length=MAX_SEARCHED_PARAMETERS, description="The searched parameters."
    )
    metrics: dict[ShortText, ShortText] = Field(
        default_factory=dict, max_length=64, description="The metrics that it reported."
    )
    value: NumberText | None = Field(None, description="Its value of the objective.")
    std: NumberText | None = Field(None, description="Standard deviation over the repeats; value is their mean.")
    seed: int | None = Field(
        None, description="Seed of the repeat closest to the mean, which provides model and metrics."
    )
    model: Digest | None = Field(
        None, description="Its model in the store. Absent if spec.keepArtifacts did not store it."
    )
    reason: ShortText | None = Field(
        None, description="Reason why it failed or cannot be the best, as one CamelCase word."
    )
    message: MessageText | None = Field(None, description="Message about why it failed or cannot be the best.")
    job: ShortText | None = Field(None, description="Its Job; logs are available while it exists.")
    node: NameText | None = Field(None, description="Node it ran on.")
    image: LongText | None = Field(None, description="Image it ran, by digest.")
    usage: ResourceUsage | None = Field(None, description="Resource usage.")
    finished_at: datetime | None = Field(None, description="Time when it finished.")


class Counts(Schema):
    """Number of trials."""

    running: int = Field(description="Trials that are running or waiting for a retry.")
    succeeded: int = Field(description="Trials that reported the objective.")
    failed: int = Field(description="Trials that failed because of their own code or parameters.")
    stopped: int = Field(description="Trials that were stopped because they were no longer needed.")
    pruned: int | None = Field(None, description="Trials that were pruned.")
    feasible: int | None = Field(
        None, description="Trials that succeeded and satisfy the constraints. Absent if there are no constraints."
    )

    @property
    def ended(self) -> int:
        """What the budget has been spent on."""
        return self.succeeded + self.failed + (self.pruned or 0)


class Importance(Schema):
    """Importance of one parameter for whether a trial was among the best."""

    name: str = Field(
        max_length=127,
        description="Name of the parameter: `Estimator.parameter` if there are several estimators, or `estimator` for the choice of the estimator.",
    )
    share: str = Field(
        max_length=16,
        description="Its importance. All importances sum to 1, or to less if parameters beyond the first 10 are omitted.",
    )


class Data(Schema):
    """The data that the search started with; it stays the same until the end."""

    version: NameText = Field(description="The Dataset's version.")
    digest: Digest = Field(description="Digest of its artifact.")
    task: Literal["Classification", "Regression"] | None = Field(
        None, description="The task that follows from its target."
    )
    classes: int | None = Field(None, description="Number of classes of its target.")
    feature_sets: tuple[FeatureSetPin, ...] = pins_field(
        "The FeatureSets whose features it has. The artifact is then the result of the join."
    )


class Join(Schema):
    """The Job that adds the features of FeatureSets to the data."""

    number: int = Field(description="Number of the attempt; each attempt is a separate Job.")
    question: str = Field(max_length=16, description="Digest of the data and of the FeatureSets that it joins.")
    data: Data | None = Field(
        None, description="The data and the FeatureSets that it joins. They stay the same until it has ended."
    )
    fingerprint: str | None = Field(None, max_length=8, description="Digest of the search that chose them.")
    scope: str | None = Field(
        None,
        max_length=16,
        description="Digest of the spec and the release. With another one, features that could not be added are added again.",
    )
    result: Literal["Running", "Retrying", "Failed"] = Field(description="Its result.")
    reason: ShortText | None = Field(None, description="Why it failed, as one CamelCase word.")
    message: LongText | None = Field(None, description="Why it failed, as a sentence.")
    retries: int = Field(description="Number of retries after failures that neither the spec nor the data caused.")
    internal_errors: InternalErrorCount = None
    not_before: datetime | None = Field(None, description="Time of the next attempt.")


class FitStatus(Schema):
    """The best trial's objective beside that on its train rows and that of a constant prediction."""

    train: NumberText | None = Field(None, description="Its objective on the rows that it was trained on.")
    gap: NumberText | None = Field(
        None, description="By how much the objective is better on the train rows than on the validation rows."
    )
    baseline: NumberText | None = Field(
        None, description="The objective of the best constant prediction on the validation rows."
    )
    finding: Literal["NoBetterThanConstant", "Underfitting", "Overfitting"] | None = Field(
        None,
        description="NoBetterThanConstant: the trial is no better than the baseline. Underfitting: it explains less than a tenth of what the baseline leaves open, even on its train rows. Overfitting: less than half of what it gained on its train rows remains on the validation rows. Absent otherwise.",
    )


class ExperimentStatus(Status):
    """How far the search is and what it found."""

    start_time: datetime | None = Field(None, description="Time when the first trial started.")
    completion_time: datetime | None = Field(None, description="Time when the search ended.")
    fingerprint: str | None = Field(
        None, max_length=16, description="Digest of the fields that cannot change once the search has started."
    )
    data: Data | None = Field(None, description="The data that the search started with.")
    join: Join | None = Field(None, description="The join of the features of FeatureSets that runs or failed.")
    refused_at: int | None = Field(
        None,
        description="Generation of the spec with which a trial can never succeed. A new generation tries it again.",
    )
    metric: ShortText | None = Field(None, description="The objective's metric.")
    direction: Literal["Maximize", "Minimize"] | None = Field(
        None, description="Whether the metric is maximized or minimized."
    )
    trials: Counts | None = Field(None, description="Number of trials.")
    best: Trial | None = Field(None, description="The best trial.")
    fit: FitStatus | None = Field(
        None,
        description="Whether the best trial learned something that holds. Absent if its trainer does not report it.",
    )
    last_trials: tuple[Trial, ...] = Field(
        (),
        max_length=MAX_LISTED,
        description="Most recently finished trials, newest first, each with at most 8 of its metrics.",
    )
    running: tuple[Attempt, ...] = Field((), max_length=100, description="Trials that are running or will be retried.")
    history: tuple[TrialRecord, ...] = Field((), max_length=MAX_HISTORY, description="Every trial, for the sampler.")
    importance: tuple[Importance, ...] = Field(
        (),
        max_length=MAX_LISTED,
        description="Parameter importances, highest first. Available after the search if at least 8 trials succeeded.",
    )
    model_version: ShortText | None = Field(None, description="The ModelVersion that the best trial became.")
