"""What a user writes about a rollout, and what is read of it."""

from datetime import datetime
from typing import Literal

from pydantic import Field

from flywheel.core.resource.schema import (
    InternalErrorCount,
    NameText,
    NumberText,
    RetryScope,
    Schema,
    ShortText,
    exactly_one_of,
    model_rules,
    rule,
    validations,
)
from flywheel.core.resource.values import Digest, Duration, Number, Percent
from flywheel.kinds.inferenceservice.schema.ab_test import ABTest, Sticky

MAX_REJECTIONS = 5
MAX_NUMBERS = 24
MAX_MESSAGE_CHARACTERS = 700  # of a rollout
MAX_REJECTION_CHARACTERS = 512

# No schema default inside the union of canary and shadow: a defaulted member would make the other one unappliable.
DEFAULT_MAX_ERROR_RATE, DEFAULT_MAX_P99_RATIO, DEFAULT_MAX_DISAGREEMENT = "1%", "1.5", "1%"
DEFAULT_MIN_REQUESTS, DEFAULT_TIMEOUT = 100, "1s"
DEFAULT_ABSOLUTE_TOLERANCE, DEFAULT_RELATIVE_TOLERANCE = "1e-6", "1e-3"


Mode = Literal["Canary", "Shadow", "ABTest"]


class CanaryStep(Schema):
    """One share of the requests, for one duration."""

    percent: int = Field(
        ge=1,
        le=99,
        description="The percentage of requests that the challenger answers; it is compared with the champion on the others.",
    )
    duration: Duration = Field(description="How long the challenger is measured before the verdict, such as 2m.")


class CanaryAnalysis(Schema):
    """The limits of a canary; an absent one has its default."""

    max_error_rate: Percent | None = Field(
        None,
        description=f"The largest share of forwarded requests for which the challenger may fail, time out or give an invalid response; absent, {DEFAULT_MAX_ERROR_RATE}.",
    )
    max_p99_ratio: Number | None = Field(
        None,
        description=f"The largest ratio of the challenger's 99th percentile of latency to the champion's; absent, '{DEFAULT_MAX_P99_RATIO}'.",
        json_schema_extra=validations(rule("double(self) >= 1.0", "must be at least '1'")),
    )
    min_requests: int | None = Field(
        None,
        ge=1,
        le=10_000_000,
        description=f"A step with fewer forwarded requests gets no verdict and is held; absent, {DEFAULT_MIN_REQUESTS}.",
    )


class Canary(Schema):
    """The challenger serves an increasing percentage of requests."""

    steps: tuple[CanaryStep, ...] = Field(
        min_length=1,
        max_length=20,
        description="The shares, in rising order. After the last one the challenger becomes champion.",
        json_schema_extra=validations(
            rule(
                "self.map(s, s.percent).isSorted() && self.all(s, self.exists_one(t, t.percent == s.percent))",
                "the percentages of the steps must increase",
            )
        ),
    )
    sticky: Sticky | None = Field(
        None, description="Which requests the same version answers; absent, each request is assigned alone."
    )
    analysis: CanaryAnalysis | None = Field(None, description="The limits; absent, the defaults.")


_NOT_NEGATIVE = validations(rule("double(self) >= 0.0", "must not be negative"))


class Tolerance(Schema):
    """Two numbers agree if |a - b| <= absolute + relative * |a|, as in numpy.isclose."""

    absolute: Number | None = Field(
        None,
        description=f"In units of the output; absent, '{DEFAULT_ABSOLUTE_TOLERANCE}'.",
        json_schema_extra=_NOT_NEGATIVE,
    )
    relative: Number | None = Field(
        None,
        description=f"As a share of the champion's output; absent, '{DEFAULT_RELATIVE_TOLERANCE}'.",
        json_schema_extra=_NOT_NEGATIVE,
    )


class Shadow(Schema):
    """The challenger gets copies of requests, and its responses are only compared with the champion's."""

    percent: int = Field(ge=1, le=100, description="The percentage of requests that are copied.")
    duration: Duration = Field(description="How long the challenger is measured before the verdict, such as 30m.")
    max_disagreement: Percent | None = Field(
        None,
        description=f"The largest share of copies whose response differs or is missing; absent, {DEFAULT_MAX_DISAGREEMENT}.",
    )
    tolerance: Tolerance | None = Field(None, description="How far numbers may differ; classes must be equal.")
    min_requests: int | None = Field(
        None,
        ge=1,
        le=10_000_000,
        description=f"With fewer compared requests there is no verdict, and the rollout is held; absent, {DEFAULT_MIN_REQUESTS}.",
    )


class Rollout(Schema):
    """How a new version takes over: it is measured while the old one serves."""

    model_config = model_rules(exactly_one_of("canary", "shadow", "abTest"))

    canary: Canary | None = Field(None, description="The challenger serves an increasing percentage of requests.")
    shadow: Shadow | None = Field(
        None, description="The challenger gets copies of requests, and responses are compared."
    )
    ab_test: ABTest | None = Field(
        None, description="Users are divided between both versions, until the outcomes of their requests decide."
    )
    timeout: Duration | None = Field(
        None,
        description=f"How long the champion waits for the challenger's response before it answers itself; absent, {DEFAULT_TIMEOUT}.",
        json_schema_extra=validations(rule("self.matches(r'^([1-9]|[1-5][0-9]|60)s$')", "must be from 1s to 60s")),
    )
    keep_warm: Duration = Field(
        Duration("10m"),
        description="How long the old version's servers stay on standby after a promotion, for a rollback that starts no pod; at least spec.rollback.bakeTime of the Model.",
    )
    paused: bool = Field(False, description="True keeps the rollout at its step; a breach still rolls it back.")

    @property
    def mode(self) -> Mode:
        """How a challenger is measured."""
        if self.ab_test is not None:
            return "ABTest"
        return "Canary" if self.canary is not None else "Shadow"

    @property
    def steps(self) -> tuple[CanaryStep, ...]:
        """The steps of the canary; a shadow is one step, and so is an A/B test."""
        if self.canary is not None:
            return self.canary.steps
        test, shadow = self.ab_test, self.shadow
        if test is not None:
            percent, duration = test.step
            return (CanaryStep(percent=percent, duration=duration),)
        return (CanaryStep(percent=shadow.percent, duration=shadow.duration),) if shadow is not None else ()


Phase = Literal["Starting", "Judging", "Holding", "Promoting", "Promoted", "RolledBack", "Aborted", "Inconclusive"]
IN_PROGRESS: tuple[Phase, ...] = ("Starting", "Judging", "Holding", "Promoting")
# Absent, never empty: where a map of ours loses all its keys, server-side apply makes it null, which no schema takes (seen: 422).
Numbers = dict[str, NumberText]


class Rejection(Schema):
    """A version that was rolled back; its ModelVersion copies this as its rejection."""

    version: NameText = Field(description="The ModelVersion.")
    at: datetime = Field(description="Time of the rollback.")
    message: str = Field("", max_length=MAX_REJECTION_CHARACTERS, description="The finding, with its numbers.")
    numbers: Numbers | None = Field(None, max_length=MAX_NUMBERS, description="Measurements of the analysis.")


class RolloutStatus(Schema):
    """How far the rollout of a challenger is, or how the last one ended."""

    phase: Phase = Field(
        description="Starting, Judging, Holding, Promoting, Promoted, RolledBack, Aborted or Inconclusive."
    )
    mode: Mode = Field(description="Canary, Shadow or ABTest.")
    challenger: NameText = Field(description="The ModelVersion that takes over, or took over.")
    digest: Digest | None = Field(None, description="The challenger's artifact.")
    champion: NameText = Field(description="The ModelVersion that is replaced, or was replaced.")
    step: int | None = Field(None, description="Current step, from 1.")
    percent: int | None = Field(None, description="Percentage of requests that go to the challenger.")
    started: datetime = Field(description="Time when the rollout started.")
    since: datetime = Field(description="When the phase or step began.")
    judgements: int | None = Field(None, description="Number of finished judge Jobs of this rollout.")
    verdict: ShortText | None = Field(
        None,
        description="The last verdict: Pass, Breach or CannotMeasure; of an A/B test Better, NotBetter, Undecided, CannotMeasure or Inconclusive.",
    )
    message: str | None = Field(None, max_length=MAX_MESSAGE_CHARACTERS, description="The last verdict's finding.")
    numbers: Numbers | None = Field(None, max_length=MAX_NUMBERS, description="Measurements of the last analysis.")
    examples: Digest | None = Field(
        None, description="Artifact with the largest differences of a shadow, in its file worst.json."
    )
    held: int | None = Field(
        None,
        description="Number of consecutive times that this step could not be measured for the same cause (no verdict, or a judge that failed).",
    )
    retry_at: datetime | None = Field(None, description="When the step is measured again.")
    test: str | None = Field(
        None,
        max_length=16,
        description="Id of the A/B test in the log; another start or another spec.rollout.abTest has another.",
    )
    next_look: datetime | None = Field(None, description="When the A/B test is looked at next.")
    internal_errors: InternalErrorCount = None
    given_up: RetryScope = None
    keep_until: datetime | None = Field(None, description="Until when the other version stays on standby.")
    rejected: tuple[Rejection, ...] = Field(
        (), max_length=MAX_REJECTIONS, description="The versions that were rolled back last."
    )
