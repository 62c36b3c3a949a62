"""The configuration of a canary analysis, in params.json."""

from typing import Literal, Self

from pydantic import model_validator

from flywheel_runtime.params import Params


class Side(Params):
    """Champion or challenger: the version that its pods serve, and where they are found."""

    version: str
    host: str
    port: int


class Limits(Params):
    """Shares are fractions. A canary has a limit of errors and of latency, a shadow one of disagreement."""

    min_requests: float
    max_error_rate: float | None = None
    max_p99_ratio: float | None = None
    max_disagreement: float | None = None


class CanaryAnalysisConfig(Params):
    """One step of a rollout; times are in seconds."""

    mode: Literal["Canary", "Shadow"]
    model: str
    percent: float
    seconds: float
    at_most_seconds: float
    takes_up_seconds: float
    champion: Side
    challenger: Side
    limits: Limits

    @model_validator(mode="after")
    def check_limits(self) -> Self:
        """Each mode has its own limits."""
        needed = ("max_disagreement",) if self.mode == "Shadow" else ("max_error_rate", "max_p99_ratio")
        if missing := [name for name in needed if getattr(self.limits, name) is None]:
            raise ValueError(f"limits has no {missing[0]}")
        return self
