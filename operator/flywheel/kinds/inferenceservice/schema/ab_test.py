"""`spec.rollout.abTest`: two versions are compared by what came of their answers."""

from datetime import timedelta
from typing import Literal

from pydantic import Field

from flywheel.core.resource.schema import Schema, duration_seconds, model_rules, rule, validations
from flywheel.core.resource.values import Duration, Number, Percent

# Absent rather than defaulted by the schema: this is a member of a union.
DEFAULT_PERCENT, DEFAULT_ALPHA, DEFAULT_LABEL_DELAY, DEFAULT_INTERVAL = (
    50,
    Percent("5%"),
    Duration("1h"),
    Duration("10m"),
)
MAX_TEST_SECONDS = 90 * 86_400
MIN_INTERVAL_SECONDS = 30
MAX_LOOKS = 1_000  # each of which reads all rows and labels of the test
LOG_SECONDS = 90  # LOG_SECONDS of flywheel_runtime.commands.ab_test.units, which tests compare
UNBOUNDED_METRICS = ("log_loss", "mae", "mape")  # whose losses have no upper bound of their own


def _seconds(field: str, absent: str = "0") -> str:
    """CEL: the seconds of a Duration; 0 for one of another form, which is refused by its type."""
    has_form = f"self.{field}.matches(r'{Duration.pattern}')"
    return f"(has(self.{field}) ? ({has_form} ? {duration_seconds(field)} : 0) : {absent})"


class Sticky(Schema):
    """Which requests the same side answers."""

    header: str = Field(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9-]*$",
        max_length=64,
        description="Requests with the same value of this header are answered by the same version, such as x-user-id.",
    )


class OutcomeRange(Schema):
    """The outcomes between which an A/B test bets, in the unit of the metric; one beyond counts as the bound."""

    model_config = model_rules(
        rule(
            f"!self.max.matches(r'{Number.pattern}') || (has(self.min) && !self.min.matches(r'{Number.pattern}')) || "
            "double(self.max) > (has(self.min) ? double(self.min) : 0.0)",
            "max must be above min, which is 0 if it is absent",
        )
    )

    min: Number | None = Field(None, description="The least outcome; absent, 0.")
    max: Number = Field(description="The largest outcome, such as '120' for a delay in minutes.")


class ABTest(Schema):
    """Users are divided between champion and challenger, until labels of their requests show which version is better."""

    model_config = model_rules(
        rule(
            f"!(self.metric in {list(UNBOUNDED_METRICS)}) || has(self.range)",
            "range is required with metric log_loss, mae or mape, whose losses have no upper bound: give the largest loss that matters, such as range: {max: '5'}",
        ),
        rule(
            "self.metric == 'label' || !has(self.range) || !has(self.range.min)",
            "range.min is for metric label alone: the least loss is 0",
        ),
        rule(
            "!(self.metric in ['accuracy', 'brier']) || !has(self.range)",
            "metric accuracy and brier have a range of their own: remove range",
        ),
        rule(
            f"!self.minEffect.matches(r'{Number.pattern}') || double(self.minEffect) <= 0.0 || (has(self.range) && "
            f"(!self.range.max.matches(r'{Number.pattern}') || (has(self.range.min) && !self.range.min.matches(r'{Number.pattern}')))) || "
            "double(self.minEffect) < (has(self.range) ? double(self.range.max) - (has(self.range.min) ? double(self.range.min) : 0.0) : 1.0)",
            "minEffect must be less than the range of the outcome, which is 1 if range is absent",
        ),
        rule(f"{_seconds('maxDuration')} <= {MAX_TEST_SECONDS}", "maxDuration must not be longer than 90d"),
        rule(
            f"{_seconds('maxDuration')} >= 2 * {_seconds('labelDelay', str(DEFAULT_LABEL_DELAY.seconds))} + {LOG_SECONDS}",
            f"maxDuration must be at least twice labelDelay (1h if it is absent) and {LOG_SECONDS}s, since no unit counts before",
        ),
        rule(
            f"!has(self.interval) || {_seconds('interval')} == 0 || {_seconds('interval')} >= {MIN_INTERVAL_SECONDS}",
            f"interval must be at least {MIN_INTERVAL_SECONDS}s",
        ),
        rule(
            f"!has(self.interval) || {_seconds('interval')} == 0 || {_seconds('maxDuration')} <= {MAX_LOOKS} * {_seconds('interval')}",
            "interval must be at least a thousandth of maxDuration, since each look reads all rows of the test: give a longer one, or leave it out",
        ),
    )

    metric: Literal["label", "accuracy", "log_loss", "brier", "mae", "mape"] = Field(
        description="What is compared: label takes the label itself as a reward (a number, true or false; more is better), the others compare the answer with it."
    )
    min_effect: Number = Field(
        description="The least gain that is worth having, in the unit of the metric; of a loss, how much less it is. A challenger that is not better by so much is rejected.",
        json_schema_extra=validations(rule("double(self) > 0.0", "must be above 0")),
    )
    max_duration: Duration = Field(
        description="When the test ends without a decision, at most 90d; the champion stays then."
    )
    percent: int | None = Field(
        None,
        ge=1,
        le=99,
        description=f"The percentage of units that are assigned to the challenger; absent, {DEFAULT_PERCENT}.",
    )
    sticky: Sticky | None = Field(
        None,
        description="The unit that is assigned, by a header; absent, the key of spec.logging.key. Requests without one are answered by the champion and left out.",
    )
    range: OutcomeRange | None = Field(None, description="The range of the outcome; absent, 0 to 1 with metric label.")
    alpha: Percent | None = Field(
        None,
        description=f"The chance that a challenger is promoted that is not better, and the chance that one is rejected that is better by minEffect, however often the test is looked at; absent, {DEFAULT_ALPHA}.",
        json_schema_extra=validations(rule("!self.matches(r'^0(\\.0+)?%$')", "must be above 0%")),
    )
    label_delay: Duration | None = Field(
        None,
        description=f"How long after a request its label counts. A unit counts from twice that time (and {LOG_SECONDS}s for the log) after its first request on, with the requests of the first half; absent, {DEFAULT_LABEL_DELAY}.",
    )
    interval: Duration | None = Field(
        None,
        description=f"How long after a look at the labels the next one comes, at least {MIN_INTERVAL_SECONDS}s and a thousandth of maxDuration; absent, {DEFAULT_INTERVAL}, or a hundredth of maxDuration if that is longer.",
    )

    @property
    def step(self) -> tuple[int, Duration]:
        """The challenger's percentage of the units, and for how long."""
        return self.percent or DEFAULT_PERCENT, self.max_duration

    @property
    def look_interval(self) -> timedelta:
        """The time from one look to the next."""
        return (
            self.interval.timedelta
            if self.interval
            else max(DEFAULT_INTERVAL.timedelta, self.max_duration.timedelta / 100)
        )
