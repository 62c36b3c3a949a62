"""What a ModelMonitor asks of the service itself: few errors, and responses in time."""

from typing import Literal

from pydantic import Field

from flywheel.core.resource.schema import Schema, model_rules, rule
from flywheel.core.resource.values import Number

LatencyBound = Literal[
    "100us", "250us", "500us", "1ms", "2.5ms", "5ms", "10ms", "25ms", "50ms", "100ms", "250ms", "500ms", "1s", "2.5s", "5s", "10s"
]  # fmt: skip
UNITS = {"us": 1_000_000, "ms": 1_000, "s": 1}


def seconds_of(bound: LatencyBound) -> float:
    """The seconds of a bound."""
    digits = bound.rstrip("mus")
    return float(digits) / UNITS[bound[len(digits) :]]


class Latency(Schema):
    """How long responses may take."""

    model_config = model_rules(
        rule(
            f"!has(self.quantile) || !self.quantile.matches(r'{Number.pattern}') || "
            "(double(self.quantile) >= 0.5 && double(self.quantile) < 1.0)",
            "quantile is a share of all responses, from 0.5 to below 1, such as '0.99'",
        )
    )

    quantile: Number = Field(
        Number("0.99"), description="Share of the successful responses that must not take longer, from 0.5 to below 1."
    )
    max: LatencyBound = Field(
        description="The longest latency of these responses: one of the upper ends of the buckets in which servers count."
    )


class ServiceLevels(Schema):
    """Errors and latencies, which servers count in classes and buckets."""

    model_config = model_rules(
        rule(
            "has(self.maxErrorShare) || has(self.latency)",
            "set maxErrorShare, latency or both, such as maxErrorShare: '0.01'",
        ),
        rule(
            f"!has(self.maxErrorShare) || !self.maxErrorShare.matches(r'{Number.pattern}') || "
            "(double(self.maxErrorShare) > 0.0 && double(self.maxErrorShare) < 1.0)",
            "maxErrorShare is a share of all requests, above 0 and below 1, such as '0.01'",
        ),
    )

    max_error_share: Number | None = Field(
        None,
        description="Share of the requests that may fail: the model failed, the server was overloaded, or it took too long. Requests that are invalid, or whose own timeout was below 100 ms, do not count.",
    )
    latency: Latency | None = Field(
        None, description="How long responses may take, from the checked request to its response."
    )
