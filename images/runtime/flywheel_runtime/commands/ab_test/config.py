"""The configuration of one look at an A/B test, in params.json."""

from datetime import datetime
from typing import Literal

from pydantic import Field

from flywheel_runtime.params import Params


class Arm(Params):
    """A version, whose artifact is the input of that role."""

    version: str
    digest: str


class OutcomeRange(Params):
    """The outcomes between which the test bets; one beyond counts as the bound."""

    min: float = 0.0
    max: float


class ABTestConfig(Params):
    """One look at a test, at all that was known at `until`; `final` is the last one. Shares are fractions, times have a zone."""

    test: str
    metric: Literal["label", "accuracy", "log_loss", "brier", "mae", "mape"]
    min_effect: float = Field(gt=0)
    alpha: float = Field(gt=0, lt=1)
    share: float = Field(gt=0, lt=1)
    label_delay_seconds: int = Field(ge=1)
    since: datetime
    until: datetime
    final: bool = False
    look: int = Field(ge=1)
    range: OutcomeRange | None = None
    champion: Arm
    challenger: Arm
