"""What a user writes about a rollout, and what is read of it."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field

from flywheel.core.resource.schema import Schema, exactly_one_of, model_rules, rule, validations
from flywheel.core.resource.values import Digest, Duration, Number, Percent

MAX_REJECTIONS = 5
MAX_NUMBERS = 24

# No schema default inside the union of canary and shadow: a defaulted member would make the other one unappliable.
DEFAULT_MAX_ERROR_RATE, DEFAULT_MAX_P99_RATIO, DEFAULT_MAX_DISAGREEMENT = "1%", "1.5", "1%"
DEFAULT_MIN_REQUESTS, DEFAULT_TIMEOUT = 100, "1s"
DEFAULT_ABSOLUTE_TOLERANCE, DEFAULT_RELATIVE_TOLERANCE = "1e-6", "1e-3"


Mode = Literal["Canary", "Shadow"]


class CanaryStep(Schema):
    """One share of the requests, for one length of time."""

    percent: int = Field(
        ge=1,
        le=99,
        description="The share of requests that the challenger answers, in percent; the champion's share is what it is compared with.",
    )
    duration: Duration = Field(description="How long it is measured before it is judged, such as 2m.")


class Sticky(Schema):
    """Which requests belong together."""

    header: str = Field(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9-]*$",
        max_length=64,
        description="Requests with the same value of this header are answered by the same side, such as x-user-id.",
    )


class CanaryAnalysis(Schema):
    """The limits; what is absent has the value that is named."""

    max_error_rate: Percent | None = Field(
        None,
        description=f"The largest share of forwarded requests that the challenger may fail, be late for or answer with nonsense; absent, {DEFAULT_MAX_ERROR_RATE}.",
    )
    max_p99_ratio: Number | None = Field(
        None,
        description=f"The challenger's 99th percentile of latency may be so many times the champion's; absent, '{DEFAULT_MAX_P99_RATIO}'.",
        json_schema_extra=validations(rule("double(self) >= 1.0", "must be at least '1'")),
    )
    min_requests: int | None = Field(
        None,
        ge=1,
        le=10_000_000,
        description=f"A step with fewer forwarded requests cannot be judged and is held; absent, {DEFAULT_MIN_REQUESTS}.",
    )


class Canary(Schema):
    """The challenger answers a growing share of the requests."""

    steps: tuple[CanaryStep, ...] = Field(
        min_length=1,
        max_length=20,
        description="The shares, rising. After the last one the challenger becomes champion.",
        json_schema_extra=validations(
            rule(
                "self.map(s, s.percent).isSorted() && self.all(s, self.exists_one(t, t.percent == s.percent))",
                "the percentages of the steps must rise from one to the next",
            )
        ),
    )
    sticky: Sticky | None = Field(None, description="Absent, each request is decided for itself.")
    analysis: CanaryAnalysis | None = Field(None, description="When a step has failed.")


_NOT_NEGATIVE = validations(rule("double(self) >= 0.0", "must not be negative"))


class Tolerance(Schema):
    """Numbers that differ by less agree: |a - b| <= absolute + relative * |a| (as numpy.isclose)."""

    absolute: Number | None = Field(
        None,
        description=f"In units of the answer; absent, '{DEFAULT_ABSOLUTE_TOLERANCE}'.",
        json_schema_extra=_NOT_NEGATIVE,
    )
    relative: Number | None = Field(
        None,
        description=f"As a share of the champion's answer; absent, '{DEFAULT_RELATIVE_TOLERANCE}'.",
        json_schema_extra=_NOT_NEGATIVE,
    )


class Shadow(Schema):
    """The challenger gets copies, nobody sees its answers, and they are compared with the champion's."""

    percent: int = Field(ge=1, le=100, description="The share of requests that are copied, in percent.")
    duration: Duration = Field(description="How long it is measured before it is judged, such as 30m.")
    max_disagreement: Percent | None = Field(
        None,
        description=f"The largest share of copies whose answer differs or does not come; absent, {DEFAULT_MAX_DISAGREEMENT}.",
    )
    tolerance: Tolerance | None = Field(None, description="When two numbers agree; classes must be equal.")
    min_requests: int | None = Field(
        None,
        ge=1,
        le=10_000_000,
        description=f"With fewer compared requests it cannot be judged and is held; absent, {DEFAULT_MIN_REQUESTS}.",
    )


class Rollout(Schema):
    """How a new version takes over: judged while the old one answers."""

    model_config = model_rules(exactly_one_of("canary", "shadow"))

    canary: Canary | None = Field(None, description="The challenger answers a growing share of the requests.")
    shadow: Shadow | None = Field(None, description="The challenger gets copies of requests, and answers are compared.")
    timeout: Duration | None = Field(
        None,
        description=f"An answer of the challenger that takes longer is late, and the champion answers itself; absent, {DEFAULT_TIMEOUT}.",
        json_schema_extra=validations(rule("self.matches(r'^([1-9]|[1-5][0-9]|60)s$')", "must be from 1s to 60s")),
    )
    keep_warm: Duration = Field(
        Duration("10m"),
        description="How long the old version's servers stay after a promotion, so that going back moves a pointer alone.",
    )
    paused: bool = Field(
        False, description="True keeps the rollout at the step where it is. A breach rolls back all the same."
    )

    @property
    def mode(self) -> Mode:
        """How a challenger is measured."""
        return "Canary" if self.canary is not None else "Shadow"

    @property
    def steps(self) -> tuple[CanaryStep, ...]:
        """The steps of the canary; a shadow is one step."""
        shadow = (CanaryStep(percent=self.shadow.percent, duration=self.shadow.duration),) if self.shadow else ()
        return (*(self.canary.steps if self.canary else ()), *shadow)


Phase = Literal["Starting", "Judging", "Holding", "Promoting", "Promoted", "RolledBack", "Aborted"]
# Absent, never empty: where a map of ours loses all its keys, server-side apply makes it null, which no schema takes (seen: 422).
Numbers = dict[str, Annotated[str, Field(max_length=32)]]


class Rejection(Schema):
    """A version that was judged and found bad; its ModelVersion copies this as its mark."""

    version: str = Field(max_length=253, description="The ModelVersion.")
    at: datetime = Field(description="When it was rolled back.")
    message: str = Field("", max_length=512, description="What was found, with the numbers.")
    numbers: Numbers | None = Field(None, max_length=MAX_NUMBERS, description="What the judge measured.")


class RolloutStatus(Schema):
    """How far the rollout of a challenger is, or how the last one ended."""

    phase: Phase = Field(description="Starting, Judging, Holding, Promoting, Promoted, RolledBack or Aborted.")
    mode: Mode = Field(description="How it is judged.")
    challenger: str = Field(max_length=253, description="The ModelVersion that wants to take over, or did.")
    digest: Digest | None = Field(None, description="The challenger's artifact.")
    champion: str = Field(max_length=253, description="The ModelVersion that it challenges, or challenged.")
    step: int | None = Field(None, description="The step that is measured, from 1.")
    percent: int | None = Field(None, description="The share of requests that go to the challenger.")
    started: datetime = Field(description="When the rollout began.")
    since: datetime = Field(description="When it came into this phase or step.")
    judgements: int | None = Field(None, description="How many judge Jobs of this rollout have ended.")
    verdict: str | None = Field(None, max_length=63, description="The last judgement: Pass, Breach or CannotMeasure.")
    message: str | None = Field(None, max_length=700, description="The last judgement in a sentence.")
    numbers: Numbers | None = Field(None, max_length=MAX_NUMBERS, description="What the judge measured last.")
    examples: Digest | None = Field(
        None, description="The artifact with the worst disagreements of a shadow, in its file worst.json."
    )
    held: int | None = Field(None, description="How many times in a row this step could not be measured.")
    retry_at: datetime | None = Field(None, description="When it is measured again.")
    keep_until: datetime | None = Field(None, description="How long the other version is kept warm.")
    rejected: tuple[Rejection, ...] = Field(
        (),
        max_length=MAX_REJECTIONS,
        description="The versions that were rolled back last, for their ModelVersions to copy.",
    )
