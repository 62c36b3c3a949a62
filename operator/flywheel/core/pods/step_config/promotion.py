"""What decides whether a version takes over: gates and the analysis of a canary."""

from typing import Any, Literal

from flywheel.core.pods.step_config.config import StepConfig


class ChampionConfig(StepConfig):
    """The version that a challenger is compared with; `own`, its queries and tables, only where it was prepared in another way."""

    version: str
    digest: str
    own: dict[str, Any] | None = None


class GatesConfig(StepConfig):
    """`params.json` of gates; each gate is as in the spec of the Model. `traffic` is what those on logged requests read."""

    gates: tuple[dict[str, Any], ...]
    objective: str | None
    digest: str
    champion: ChampionConfig | None
    traffic: dict[Literal["until", "services", "labels"], Any] | None = None


class Side(StepConfig):
    """Champion or challenger: the version that its pods serve, and where they are found."""

    version: str
    host: str
    port: int


class Limits(StepConfig):
    """What a challenger may have at most; shares are fractions."""

    min_requests: int
    max_error_rate: float | None = None
    max_p99_ratio: float | None = None
    max_disagreement: float | None = None


class CanaryAnalysisConfig(StepConfig):
    """`params.json` of judge."""

    mode: Literal["Canary", "Shadow"]
    model: str
    percent: int | float
    seconds: int
    at_most_seconds: int
    takes_up_seconds: int
    champion: Side
    challenger: Side
    limits: Limits
